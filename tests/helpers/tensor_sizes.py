"""The sizes of the tensors that operations make."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Sizes(TorchDispatchMode):
    """Notes how many numbers each operation's results hold, but for those of a table itself."""

    def __init__(self, table):
        super().__init__()
        self.table, self.largest = table.untyped_storage().data_ptr(), 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor) and not tensor.is_sparse:
                if tensor.untyped_storage().data_ptr() != self.table:
                    self.largest = max(self.largest, tensor.numel())
        return result
