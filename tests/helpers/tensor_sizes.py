"""The sizes of the tensors that operations create."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Sizes(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation returned, except views of known ones."""

    def __init__(self, *known):
        super().__init__()
        self.known, self.largest = {tensor.untyped_storage().data_ptr() for tensor in known}, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and not tensor.is_sparse:
                if tensor.untyped_storage().data_ptr() not in self.known:
                    self.largest = max(self.largest, tensor.numel())
        return result
