"""Autocast on the simulated device, with torch's rules for CUDA."""

import functools

import torch
from torch.utils._pytree import tree_leaves, tree_map

KEY = "AutocastPrivateUse1"
LOWER = "mm addmm addmv mv matmul linear bmm baddbmm addbmm einsum scaled_dot_product_attention".split()
"""Operations that compute in half precision."""
SINGLE = """exp expm1 log log1p log2 pow.Tensor_Scalar pow.Tensor_Tensor pow.Scalar reciprocal rsqrt softplus layer_norm
    nll_loss kl_div mse_loss binary_cross_entropy_with_logits cosine_similarity logsumexp cdist""".split()
"""Operations that compute in single precision."""
SINGLE_RESULT = "softmax.int log_softmax.int cumsum sum sum.dim_IntList prod prod.dim_int linalg_vector_norm".split()
"""Operations whose result is in single precision."""
WIDEST = "cat stack index_put scatter_add dot addcmul addcdiv".split()
"""Operations that compute in the widest precision of their arguments."""


def register(name):
    """Register the rules for a device.

    Args:
        name: Name of the device.

    Returns:
        What has to be kept for as long as they hold.
    """
    everything, library = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
    everything.fallback(torch.library.fallthrough_kernel, KEY)

    def cast_to(dtype_of):
        def cast(value, dtype):
            return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value

        def convert(args):
            dtype = dtype_of(args)
            return args if dtype is None else tree_map(functools.partial(cast, dtype=dtype), args)

        return convert

    def widest(args):
        tensors = [t for t in tree_leaves(args) if isinstance(t, torch.Tensor)]
        return torch.float32 if any(t.dtype == torch.float32 for t in tensors) else None

    lower = cast_to(lambda args: torch.get_autocast_dtype(name))
    single = cast_to(lambda args: torch.float32)
    for operations, convert in ((LOWER, lower), (SINGLE, single), (WIDEST, cast_to(widest))):
        for operation in operations:
            library.impl(operation, _make_kernel(operation, convert), KEY)
    for operation in SINGLE_RESULT:
        library.impl(operation, _make_kernel(operation, single), KEY)
    return everything, library


def _make_kernel(operation, convert):
    name, _, overload = operation.partition(".")
    function = getattr(getattr(torch.ops.aten, name), overload or "default")

    def kernel(*args, **kwargs):
        with torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)):
            return function(*convert(args), **kwargs)

    return kernel
