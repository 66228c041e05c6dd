"""A device that torch treats as an accelerator, on any machine: real values, real autograd, a device's rules.

A tensor "on the device" is a wrapper around one on the CPU. An operation that mixes devices, or draws for the device
from a generator of the CPU, raises as CUDA would; the device has its own random generator. It is registered through
``torch.utils.backend_registration``, once for the whole process and before its first backward pass, so it belongs into
a process of its own. It does not show speed, memory, rounding, or whether kernels are deterministic.
"""

import contextlib
import threading
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch.optim import optimizer
from torch.utils import _foreach_utils, backend_registration
from torch.utils._python_dispatch import TorchDispatchMode

from recbole_samrec.optim import directions
from tests.helpers import simulated_autocast
from tests.helpers.device_counts import INDEXING, DeviceCounter, describe, list_tensors

NAME = "simulated"
REGISTER = "_setup_privateuseone_for_python_backend"
MISSING = f"torch {torch.__version__} cannot register a backend written in Python ({REGISTER})"
SCALARS_ALLOWED = set(
    """fill_ masked_fill masked_fill_ where lerp _fused_adam_ _amp_foreach_non_finite_check_and_unscale_
    _amp_update_scale_""".split()
)
"""Operations besides pointwise ones that take a scalar of the CPU."""

RESHAPING = {"squeeze_", "unsqueeze_", "t_", "transpose_"}
"""Operations that change the shape of their argument."""


def is_possible() -> bool:
    """Return True if this version of torch can register such a device."""
    return hasattr(backend_registration, REGISTER)


class Wrapped(torch.Tensor):
    """A tensor on the simulated device, which wraps a tensor on the CPU."""

    @staticmethod
    def __new__(cls, inner):
        strided = inner.layout == torch.strided
        where = {"strides": inner.stride(), "storage_offset": inner.storage_offset()} if strided else {}
        kind = {"dtype": inner.dtype, "layout": inner.layout, "device": torch.device(NAME, 0)}
        made = torch.Tensor._make_wrapper_subclass(cls, inner.size(), **kind, **where)
        made.inner = inner.detach()
        return made

    def __repr__(self, *args, **kwargs):
        return f"Wrapped({self.inner})"

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            copy = Wrapped(self.inner.clone()).requires_grad_(self.requires_grad)
            if getattr(self, "_is_param", False):
                copy._is_param = True
            memo[id(self)] = copy
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        return self.inner.__reduce_ex__(protocol)

    def new_tensor(self, data, **kwargs):
        return torch.tensor(data, **{"dtype": self.dtype, "device": self.device, **kwargs})

    def __setitem__(self, index, value):
        number = isinstance(value, (bool, int, float))
        super().__setitem__(index, torch.tensor(value, dtype=self.dtype) if number else value)  # as CUDA's does

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, *args, **kwargs):
        raise TypeError(f"can't convert {NAME}:0 device type tensor to numpy. Use Tensor.cpu() first.")

    def __array__(self, *args, **kwargs):
        return self.numpy()

    def untyped_storage(self):
        return self.inner.untyped_storage()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return DEVICE.run(func, args, kwargs or {})


class SimulatedDevice(TorchDispatchMode):
    """Runs operations by the device's rules while it is active.

    Attributes:
        visible: Number of devices that torch reports.
        counter: The counter that is told about kernels that replace several operations.
    """

    def __init__(self):
        super().__init__()
        self.visible = 1
        self.counter: DeviceCounter | None = None
        self._lock = threading.RLock()
        self.seed(0)

    # Random numbers ---------------------------------------------------------------------------------------------

    def seed(self, seed):
        """Seed the device's generator, whose numbers differ from the CPU's."""
        self.state = torch.Generator().manual_seed((int(seed) + 7919) % 2**63).get_state()

    def get_state(self, device=None):
        """Return the generator's state."""
        return self.state.clone()

    def set_state(self, state, device=None):
        """Set the generator's state."""
        self.state = state.clone()

    def get_states(self):
        """Return the states of the generators of all visible devices."""
        return [self.state.clone() for _ in range(self.visible)]

    def set_states(self, states):
        """Set the states of the generators of all devices."""
        if len(states) > self.visible:
            raise IndexError("tuple index out of range")  # as torch.cuda.default_generators[index]
        self.state = states[0].clone()

    @contextlib.contextmanager
    def own_generator(self):
        """Draw from the device's generator."""
        with self._lock:
            kept = torch._C.default_generator.get_state()
            torch._C.default_generator.set_state(self.state)
            try:
                yield
            finally:
                self.state = torch._C.default_generator.get_state()
                torch._C.default_generator.set_state(kept)

    # Operations -------------------------------------------------------------------------------------------------

    def run(self, func, args, kwargs):
        """Run an operation on the wrapped tensors."""
        operation, tensors = describe(func), list_tensors(args, kwargs)
        if self.counter is not None:
            self.counter.count(operation, tensors, args, kwargs)
        name, target, plain = operation.name, kwargs.get("device"), kwargs
        wrapped = [tensor for tensor in tensors if isinstance(tensor, Wrapped)]
        goes_there = bool(wrapped)
        if target is not None:
            goes_there = torch.device(target).type == NAME
            if goes_there or wrapped:
                plain = {**kwargs, "device": torch.device("cpu")}
                plain.pop("pin_memory", None)
        if name in ("_pin_memory", "pin_memory"):
            return args[0].clone()
        if name == "is_pinned":
            return False
        if not (goes_there or wrapped):
            return func(*args, **kwargs)
        if 0 < len(wrapped) < len(tensors):
            check_mixed(operation, func, args, [tensor for tensor in tensors if not isinstance(tensor, Wrapped)])
        generator = kwargs.get("generator")
        if goes_there and generator is not None and generator.device.type == "cpu":
            raise RuntimeError(f"Expected a '{NAME}' device type for generator but found 'cpu' ({func})")
        args_inside, kwargs_inside = [unwrap(value) for value in args], {k: unwrap(v) for k, v in plain.items()}
        if name in ("_softmax", "_log_softmax") and args_inside[2]:  # a device widens half precision by itself
            args_inside = (args_inside[0].float(), args_inside[1], False)
        if name in ("_softmax_backward_data", "_log_softmax_backward_data") and args[3] != args[0].dtype:
            gradient, output, dim, dtype = args_inside
            return Wrapped(func(gradient, output, dim, gradient.dtype).to(dtype))
        with self.own_generator() if goes_there and operation.draws else contextlib.nullcontext():
            result = func(*args_inside, **kwargs_inside)
        if name == "_local_scalar_dense":
            return result
        if name in RESHAPING:
            args[0].data = Wrapped(result)  # the wrapper has sizes of its own
        if operation.targets:
            return written(operation.targets, args, kwargs, result)
        return wrap(result) if goes_there else result

    def one_kernel(self, compute, *tensors):
        """Compute a function of tensors with one kernel each way and no second derivative.

        Args:
            compute: The function, of tensors on the CPU.
            tensors: Its arguments on the device.
        """
        return _OneKernel.apply(compute, *tensors)


def unwrap(value):
    """Return the tensor in a wrapper, or the tensors in a list of wrappers."""
    if isinstance(value, Wrapped):
        return value.inner
    if isinstance(value, (list, tuple)) and any(isinstance(entry, Wrapped) for entry in value):
        return [unwrap(entry) for entry in value]
    return value


def wrap(value):
    """Put a tensor, or the tensors in a list or tuple, on the device."""
    if isinstance(value, torch.Tensor):
        return value if isinstance(value, Wrapped) else Wrapped(value)
    return type(value)(map(wrap, value)) if isinstance(value, (list, tuple)) else value


def check_mixed(operation, func, args, host):
    """Raise if an operation mixes tensors of the CPU and of the device, unless a real device accepts them."""
    name = operation.name
    if name in ("_to_copy", "copy_", "_foreach_copy_"):
        return
    if name in INDEXING:
        if not isinstance(args[0], Wrapped):
            raise_mixed(func, "an index or values on the device with a tensor on the CPU")
        values = args[2] if len(args) > 2 else None
        if isinstance(values, torch.Tensor) and not isinstance(values, Wrapped) and values.dim():
            raise_mixed(func, "values on the CPU put into a tensor on the device")
        return
    pointwise = operation.pointwise or name.startswith("_foreach") or name in SCALARS_ALLOWED
    for tensor in host:
        if tensor.dim() or not pointwise:
            raise_mixed(func, f"a tensor of shape {tuple(tensor.shape)} is on the CPU")


def raise_mixed(func, reason):
    """Raise CUDA's error."""
    raise RuntimeError(
        f"Expected all tensors to be on the same device, but found at least two devices, {NAME}:0 and cpu! "
        f"({func}: {reason})"
    )


def written(targets, args, kwargs, result):
    """Return the arguments that an operation wrote into, in place of its results."""

    def choose(target, value):
        if target is None:
            return wrap(value)
        place, name = target
        return kwargs.get(name, args[place] if place < len(args) else None)

    if len(targets) == 1:
        return choose(targets[0], result)
    return tuple(map(choose, targets, result))


class _OneKernel(torch.autograd.Function):
    @staticmethod
    def forward(ctx, compute, *tensors):
        ctx.compute, ctx.parts = compute, [tensor.inner for tensor in tensors]
        _count_kernel("one_kernel")
        with DEVICE.own_generator():
            ctx.state = torch._C.default_generator.get_state()
            result = compute(*ctx.parts)
        return wrap(result)

    @staticmethod
    def backward(ctx, *gradients):
        if torch.is_grad_enabled():
            raise RuntimeError("derivative for a fused backward pass is not implemented")
        _count_kernel("one_kernel_backward")
        with DEVICE._lock, torch.enable_grad():
            kept = torch._C.default_generator.get_state()
            torch._C.default_generator.set_state(ctx.state)
            parts = [part.clone().requires_grad_() for part in ctx.parts]
            results = ctx.compute(*parts)
            torch._C.default_generator.set_state(kept)
            results = results if isinstance(results, tuple) else (results,)
            known = [(r, g.inner) for r, g in zip(results, gradients, strict=True) if g is not None]
            found = torch.autograd.grad([r for r, _ in known], parts, [g for _, g in known])
        return (None, *map(wrap, found))


def _count_kernel(name):
    if DEVICE.counter is not None:
        DEVICE.counter.draw() if name == "one_kernel" else None
        DEVICE.counter.launch(name)


def _dispatch(self, func, types, args=(), kwargs=None):
    return self.run(func, args, kwargs or {})


SimulatedDevice.__torch_dispatch__ = _dispatch  # torch wraps methods that it finds in the class, which takes long
DEVICE = SimulatedDevice()


# Registration ---------------------------------------------------------------------------------------------------


class _Module:
    """The module ``torch.simulated``, the counterpart of ``torch.cuda``."""

    def _is_in_bad_fork(self):
        return False

    def is_available(self):
        return True

    def is_initialized(self):
        return True

    def current_device(self):
        return 0

    def device_count(self):
        return DEVICE.visible

    def manual_seed_all(self, seed):
        DEVICE.seed(seed)

    def get_rng_state(self, device=None):
        return DEVICE.get_state()

    def set_rng_state(self, state, device=None):
        DEVICE.set_state(state)

    def get_amp_supported_dtype(self):
        return [torch.float16, torch.bfloat16]


def register() -> SimulatedDevice:
    """Register the device with torch and make RecBole choose it; once in a process, before any backward pass.

    Returns:
        The device, which is to be entered as a context for as long as its tensors are used.
    """
    getattr(backend_registration, REGISTER)(NAME, backend_module=_Module())
    DEVICE.rules = simulated_autocast.register(NAME)
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    for types in (optimizer._foreach_supported_types, _foreach_utils._foreach_supported_types):
        types.append(Wrapped)  # optimizers and clipping take all parameters at once, as on CUDA
    _answer_for_cuda()
    torch.tensor, torch.as_tensor = _copy_over(torch.tensor), _copy_over(torch.as_tensor)
    F.scaled_dot_product_attention = torch.nn.functional.scaled_dot_product_attention = _attend
    torch.nn.GRU.forward = _run_gru
    directions.make_generator = lambda device, seed: None  # torch makes no generator for it: it draws from its own
    _choose_device()
    return DEVICE


def _answer_for_cuda():
    """Answer the calls of ``torch.cuda``, each with its own function, as torch's compiler requires."""
    answers = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: DEVICE.visible,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "synchronize": lambda device=None: None,
        "manual_seed": lambda seed: DEVICE.seed(seed),
        "manual_seed_all": lambda seed: DEVICE.seed(seed),
        "get_rng_state": lambda device=None: DEVICE.get_state(),
        "set_rng_state": lambda state, device=None: DEVICE.set_state(state),
        "get_rng_state_all": lambda: DEVICE.get_states(),
        "set_rng_state_all": lambda states: DEVICE.set_states(states),
        "get_device_name": lambda device=None: "a simulated device",
        "is_bf16_supported": lambda including_emulation=True: True,
        "mem_get_info": lambda device=None: (2**34, 2**34),
        "memory_allocated": lambda device=None: 2**20,
        "max_memory_allocated": lambda device=None: 2**20,
        "max_memory_reserved": lambda device=None: 2**21,
        "reset_peak_memory_stats": lambda device=None: None,
        "get_device_properties": lambda device=None: SimpleNamespace(total_memory=2**34, major=8, minor=0),
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, answer)


def _copy_over(make):
    """Wrap a constructor that dispatch modes do not see: make its tensor on the CPU, and copy it to the device."""

    def make_there(data, *args, device=None, requires_grad=False, **kwargs):
        if device is None or torch.device(device).type != NAME:
            return make(data, *args, device=device, **kwargs).requires_grad_(requires_grad)
        return make(data, *args, **kwargs).to(device).requires_grad_(requires_grad)

    return make_there


def _choose_device():
    """Make RecBole's configuration choose the device where it would choose CUDA."""
    from recbole.config import Config
    from recbole.trainer import trainer

    choose, autocast, scaler = Config._init_device, trainer.amp.autocast, trainer.amp.GradScaler

    def choose_device(self):
        choose(self)
        settings = self.final_config_dict
        if settings["device"].type == "cuda":
            settings["device"] = torch.device(NAME, 0)

    Config._init_device = choose_device

    def autocast_there(enabled=True):
        chosen = autocast(enabled)
        return torch.autocast(NAME, enabled=enabled) if chosen.device == "cuda" else chosen

    trainer.amp = SimpleNamespace(GradScaler=scaler, autocast=autocast_there)


_sdpa, _gru = F.scaled_dot_product_attention, torch.nn.GRU.forward


def _attend(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, **options):
    """Attend with one kernel, like CUDA's memory-efficient one, unless a second derivative is needed."""
    fused = isinstance(query, Wrapped) and attn_mask is None and torch.backends.cuda.mem_efficient_sdp_enabled()
    if not fused:
        return _sdpa(query, key, value, attn_mask=attn_mask, dropout_p=dropout_p, is_causal=is_causal, **options)
    if torch.is_autocast_enabled(NAME):
        query, key, value = (part.to(torch.get_autocast_dtype(NAME)) for part in (query, key, value))

    def compute(*parts):
        return _sdpa(*parts, dropout_p=dropout_p, is_causal=is_causal, **options)

    return DEVICE.one_kernel(compute, query, key, value)


def _run_gru(self, x, hx=None):
    """Run a GRU with one kernel, like cuDNN, or step by step if cuDNN is disabled."""
    if not isinstance(x, Wrapped):
        return _gru(self, x, hx)
    assert self.batch_first and not self.bidirectional and hx is None, "not needed by any model so far"
    weights = [weight for layer in self.all_weights for weight in layer]
    if torch.backends.cudnn.enabled:
        if not self.training and torch.is_grad_enabled() and x.requires_grad:
            raise RuntimeError("cudnn RNN backward can only be called in training mode")
        if torch.is_autocast_enabled(NAME):
            x, *weights = (part.to(torch.get_autocast_dtype(NAME)) for part in (x, *weights))
        dropout, training = self.dropout, self.training

        def compute(x, *weights):
            start = x.new_zeros(self.num_layers, len(x), self.hidden_size)
            return torch._VF.gru(x, start, weights, self.bias, self.num_layers, dropout, training, False, True)

        return DEVICE.one_kernel(compute, x, *weights)
    return _step_gru(self, x)


def _step_gru(gru, x):
    """Compute a GRU step by step, with operations that have a second derivative."""
    last = []
    for layer in gru.all_weights:
        w_input, w_hidden, b_input, b_hidden = layer if gru.bias else (*layer, None, None)
        state, states = x.new_zeros(len(x), gru.hidden_size), []
        for inputs in F.linear(x, w_input, b_input).unbind(1):
            i_reset, i_update, i_new = inputs.chunk(3, 1)
            h_reset, h_update, h_new = F.linear(state, w_hidden, b_hidden).chunk(3, 1)
            reset, update = torch.sigmoid(i_reset + h_reset), torch.sigmoid(i_update + h_update)
            state = (1 - update) * torch.tanh(i_new + reset * h_new) + update * state
            states.append(state)
        x = torch.stack(states, 1)
        last.append(state)
    return x, torch.stack(last)
