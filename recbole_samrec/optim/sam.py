"""SAM next to any torch optimizer, in any training loop; RecBole is not needed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypedDict, TypeVar, Unpack, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from recbole_samrec.optim.perturbation import match_names, select_parameters
from recbole_samrec.optim.schedule import VARIANTS, SAMSettings, Variant
from recbole_samrec.optim.state_snapshot import Replay
from recbole_samrec.optim.two_pass import TwoPass
from recbole_samrec.optim.variants import CLASSES
from recbole_samrec.utils.errors import ConfigError

T = TypeVar("T")

RHO_KEY = "sam_rho"
"""The key of the radius in ``param_groups``; ``rho`` alone is a setting of ``torch.optim.Adadelta``."""

READ_BY = {
    "eta": ("asam",),
    "momentum": ("fsam", "msam"),
    "gsam_alpha": ("gsam",),
    "fsam_sigma": ("fsam",),
    "looksam_k": ("looksam",),
    "looksam_alpha": ("looksam",),
    "seed": ("random",),
    "params": VARIANTS,
    "exclude": VARIANTS,
}
"""The variants that read each option."""

NEEDS_CLOSURE = (
    "SAM computes the gradient twice and needs a closure: call sam.step(closure); with a GradScaler, whose step() "
    "cannot pass one, call sam.step(closure, scaler=scaler) instead of scaler.step(sam)"
)


class SAMOptions(TypedDict, total=False):
    """Options of :class:`SAM`: those of one variant, and the choice of parameters.

    Attributes:
        eta: ASAM's stability term, at least 0; default 0.01.
        momentum: Factor of the moving average of gradients that ``fsam`` and ``msam`` keep, in [0, 1); default 0.9.
        gsam_alpha: Weight of GSAM's orthogonal part, at least 0; default 0.4.
        fsam_sigma: Share of the average that Friendly SAM subtracts from the gradient, at least 0; default 1.
        looksam_k: Number of steps from one of LookSAM's second gradients to the next, at least 1; default 5.
        looksam_alpha: Weight of the part of it that LookSAM uses again in between, at least 0; default 0.7.
        seed: Seed of the directions of ``random``, the same in all processes; default 0.
        params: The parameters that SAM moves: ``all``, ``norm`` (normalization layers), ``embedding``, or shell
            patterns of their names. Anything but ``all`` needs ``model``.
        exclude: Shell patterns of names of parameters that SAM does not move. Needs ``model``.
    """

    eta: float
    momentum: float
    gsam_alpha: float
    fsam_sigma: float
    looksam_k: int
    looksam_alpha: float
    seed: int
    params: str | Sequence[str]
    exclude: Sequence[str]


class SAM(torch.optim.Optimizer):
    """Sharpness-Aware Minimization around a torch optimizer, with the SAM variants of this package.

    Each step computes a gradient, moves the weights by the ascent step, computes a second gradient there with the same
    random draws, restores the weights bit for bit, and steps with the second gradient.

    Example::

        import torch
        from recbole_samrec import SAM

        model = torch.nn.Linear(8, 1)
        batches = [(torch.randn(32, 8), torch.randn(32, 1)) for _ in range(10)]
        sam = SAM(torch.optim.AdamW(model.parameters(), lr=0.01), rho=0.05)
        for inputs, targets in batches:

            def closure():
                sam.zero_grad()
                loss = torch.nn.functional.mse_loss(model(inputs), targets)
                loss.backward()
                return loss

            loss = sam.step(closure)

    ``param_groups``, ``state`` and ``defaults`` are those of the optimizer, so that learning rate schedulers,
    Lightning's automatic optimization and Accelerate work unchanged. With ``rho`` 0 a step equals the optimizer's, bit
    for bit.

    * Half precision: the closure calls ``scaler.scale(loss).backward()``. Then call ``sam.step(closure,
      scaler=scaler)`` and ``scaler.update()``; an inf in either gradient skips the step and lowers the scale.
    * Clipping: ``max_norm`` clips the gradient that the optimizer steps with, after it is unscaled.
    * Accumulation: the closure clears the gradients once and calls backward for each micro-batch.
    * Several processes: wrap the model in ``DistributedDataParallel``; nothing else is needed.
    * Schedules: assign ``sam.rho``, or ``sam_rho`` of every parameter group.

    Source: Foret et al., arXiv 2010.01412, algorithm 1. :mod:`recbole_samrec.optim.variants` lists the sources of the
    variants.

    Args:
        optimizer: The optimizer that makes the steps, of any class that does not need a closure.
        rho: Radius, at least 0.
        variant: ``sam``, ``asam``, ``gsam``, ``fsam``, ``msam`` or ``looksam``; or ``random``, a control that computes
            as many gradients as SAM but perturbs in a random direction.
        model: The model, if its forward pass changes buffers or attributes, as batch normalization does: the second
            pass then starts from the same state as the first one, and the state after the first pass is kept. Without
            a model, only the random draws are repeated.
        max_norm: Largest Euclidean norm of the gradient that the optimizer steps with, above 0; None does not clip.
        skip_nonfinite: Skip a step whose gradient contains an inf or nan; with a scaler this is always done. The check
            waits for the device.
        local_ascent: Let each process perturb by the gradient of its own batch, which saves the first of two
            all-reduces (2010.01412, section 4.1: m-sharpness). For ``sam``, ``asam`` and ``random``, with a ``model``
            wrapped in ``DistributedDataParallel``.
        **options: Options of the variant and the choice of parameters; see :class:`SAMOptions`.

    Raises:
        ConfigError: A setting is out of its range, or lacks the ``model`` that it needs.
        TypeError: ``optimizer`` is not a torch optimizer, or the variant does not read an option.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        rho: float = 0.05,
        variant: Variant = "sam",
        *,
        model: nn.Module | None = None,
        max_norm: float | None = None,
        skip_nonfinite: bool = False,
        local_ascent: bool = False,
        **options: Unpack[SAMOptions],
    ) -> None:
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError("SAM takes a torch optimizer, such as SAM(torch.optim.AdamW(model.parameters()), rho=0.05)")
        if max_norm is not None and not max_norm > 0:
            raise ConfigError(f"max_norm={max_norm}: give a number above 0, or None")
        self.base_optimizer, self._model = optimizer, model
        # Optimizer.__init__ would add the parameter groups again; __setstate__ only makes the dictionaries of hooks.
        super().__setstate__({})
        self._settings = _make_settings(variant, options, model)
        self.skip_nonfinite, self.skipped_steps = skip_nonfinite, 0
        self._local = _require_distributed(model, variant) if local_ascent else None
        self._first_rho = rho
        self.rho = rho
        parameters = _parameters_of(self.param_groups)
        moved = self._choose_moved(parameters)
        if not moved:
            raise ConfigError("params and exclude leave SAM no parameter to move")
        self._variant = CLASSES[variant](parameters, moved, self._settings)
        self._variant.copies_first = True
        replayed = model.module if isinstance(model, DistributedDataParallel) else model
        clip = None if max_norm is None else {"max_norm": max_norm}
        self._two_pass = TwoPass(parameters, self._variant, Replay(replayed, parameters), clip)
        self._ascent: float | None = None  # the radius of a first_step() that waits for its second_step()

    # Attributes of the optimizer --------------------------------------------------------------------------------------

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The optimizer's parameter groups."""
        return self.base_optimizer.param_groups

    @param_groups.setter
    def param_groups(self, groups: list[dict[str, Any]]) -> None:
        self.base_optimizer.param_groups = groups

    @property
    def state(self) -> Any:
        """The optimizer's state, such as its moments, by parameter."""
        return self.base_optimizer.state

    @state.setter
    def state(self, state: Any) -> None:
        self.base_optimizer.state = state

    @property
    def defaults(self) -> dict[str, Any]:
        """The optimizer's default settings of a parameter group."""
        return self.base_optimizer.defaults

    @defaults.setter
    def defaults(self, defaults: dict[str, Any]) -> None:
        self.base_optimizer.defaults = defaults

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all parameters."""
        self.base_optimizer.zero_grad(set_to_none=set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, which SAM moves like those of the other groups."""
        self.base_optimizer.add_param_group({RHO_KEY: self.rho, **param_group})
        added = _parameters_of(self.param_groups[-1:])
        self._two_pass.parameters.extend(added)
        self._variant.extend(added, self._choose_moved(added))

    # The radius -------------------------------------------------------------------------------------------------------

    @property
    def rho(self) -> float:
        """The radius, which every parameter group contains as ``sam_rho``; assign it to follow a schedule."""
        radii = {float(group.get(RHO_KEY, self._first_rho)) for group in self.param_groups}
        if len(radii) > 1:
            raise ConfigError(f"{RHO_KEY} differs between parameter groups: {sorted(radii)}; give all groups the same")
        return _require_radius(radii.pop())

    @rho.setter
    def rho(self, rho: float) -> None:
        _require_radius(rho)
        for group in self.param_groups:
            group[RHO_KEY] = rho

    # Steps ------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def step(self, closure: Callable[[], T] | None = None, *, scaler: torch.amp.GradScaler | None = None) -> T:
        """Take a step with SAM.

        Args:
            closure: Clears the gradients, computes the loss, calls backward and returns the loss. It is called twice
                if the variant computes a second gradient.
            scaler: Scales the closure's loss under half precision. Call its ``update`` afterwards.

        Returns:
            The return value of the closure's first call.

        Raises:
            RuntimeError: There is no closure, or it does not replace the gradients.
            ConfigError: The variant does not support sparse gradients.
        """
        if closure is None:
            raise RuntimeError(NEEDS_CLOSURE)
        rho, scaler = self.rho, scaler if scaler is not None and scaler.is_enabled() else None
        check = scaler is not None or self.skip_nonfinite
        self._two_pass.settle()
        self._ascent = None
        try:
            result = self._take_first(closure, rho)
            if self._local is not None and rho and check:
                self._share_overflow(self._local)
            if scaler is not None:
                scaler.unscale_(self)
            good = self._two_pass.finish(rho, lambda: self._take_second(closure, scaler), check)
        finally:
            self._two_pass.settle()
            self._two_pass.replay.forget()
        self._step_if(good)
        return result

    def _take_first(self, closure: Callable[[], T], rho: float) -> T:
        if rho:
            if self._two_pass.needs_second():
                self._two_pass.replay.record()
            self._two_pass.begin(rho)
        alone: AbstractContextManager[Any] = contextlib.nullcontext()
        if self._local is not None and rho:
            alone = self._local.no_sync()
        with torch.enable_grad(), alone:
            return closure()

    def _share_overflow(self, model: DistributedDataParallel) -> None:
        """Share an inf or nan gradient of one process with all processes, so that all skip the step."""
        gradients = [p.grad for p in self._two_pass.parameters if p.grad is not None]
        good = torch.tensor(float(self._two_pass.has_finite_gradients()), device=next(model.parameters()).device)
        torch.distributed.all_reduce(good, torch.distributed.ReduceOp.MIN, group=model.process_group)
        if not good and gradients:
            gradients[0].fill_(torch.inf)

    def _take_second(self, closure: Callable[[], object], scaler: torch.amp.GradScaler | None) -> None:
        with torch.enable_grad(), self._expect_new_gradients():
            closure()
        if scaler is not None:
            scaler.unscale_(self.base_optimizer)  # a separate key in the scaler's state: one inf check for each pass

    @contextlib.contextmanager
    def _expect_new_gradients(self) -> Iterator[None]:
        """Raise if the closure leaves or accumulates the gradients: mark the smallest one with nan."""
        dense = [p for p in self._two_pass.parameters if p.grad is not None and not p.grad.is_sparse]
        if not dense:
            yield
            return
        marked = min(dense, key=Tensor.numel)
        first, mark = marked.grad, torch.full_like(marked, torch.nan)
        marked.grad = mark
        try:
            yield
        finally:
            is_left = marked.grad is mark and bool(mark.isnan().all())
            if is_left:
                marked.grad = first
        if is_left:
            raise RuntimeError(
                "the closure did not replace the gradients when SAM called it again: it must clear them, compute the "
                "loss and call backward; to accumulate gradients, do so for all micro-batches within the closure"
            )

    @torch.no_grad()
    def first_step(self, zero_grad: bool = False) -> None:
        """Move the weights by the ascent step of the current gradient, the first half of a step in two calls.

        Then compute the loss and its gradient again and call :meth:`second_step`. Unlike with :meth:`step`, the second
        pass makes its own random draws and changes buffers again.

        Args:
            zero_grad: Clear the gradients afterwards.

        Raises:
            RuntimeError: The variant does not ascend by the gradient in every step.
        """
        if not self._variant.ascends_by_gradient:
            possible = ", ".join(name for name in VARIANTS if CLASSES[name].ascends_by_gradient)
            raise RuntimeError(
                f"variant={self._settings.variant} has no first_step and second_step; call step(closure), or choose "
                f"one of {possible}"
            )
        self._two_pass.require_dense_gradients()
        self._variant.settle()
        self._ascent = self.rho
        if self._ascent:
            self._variant.ascend(self._ascent)
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def second_step(self, zero_grad: bool = False) -> None:
        """Restore the weights and step with the gradient, the second half of a step in two calls.

        Args:
            zero_grad: Clear the gradients afterwards.

        Raises:
            RuntimeError: :meth:`first_step` was not called before.
        """
        if self._ascent is None:
            raise RuntimeError("second_step() needs first_step() before it")
        self._variant.settle()
        if self._ascent:
            self._variant.combine()
        good = self._two_pass.accept_gradients(self.skip_nonfinite)
        if self._ascent:
            self._variant.end(good)
        self._ascent = None
        self._step_if(good)
        if zero_grad:
            self.zero_grad()

    def _step_if(self, good: bool) -> None:
        if good:
            self.base_optimizer.step()
        else:
            self.skipped_steps += 1

    # State ------------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer's state and, under ``sam``, the state of the variant.

        The optimizer can load this state, and SAM can load a state of the optimizer alone.
        """
        kept = {"variant": self._settings.variant, "skipped_steps": self.skipped_steps, **self._variant.state_dict()}
        return {**self.base_optimizer.state_dict(), "sam": kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state that :meth:`state_dict` returned, or one of the optimizer alone.

        Raises:
            ConfigError: The state belongs to another variant.
        """
        rho, kept = self.rho, state_dict.get("sam", {})
        if kept.get("variant", self._settings.variant) != self._settings.variant:
            raise ConfigError(f"the state is of variant={kept['variant']}, not of variant={self._settings.variant}")
        self.base_optimizer.load_state_dict({key: value for key, value in state_dict.items() if key != "sam"})
        for group in self.param_groups:
            group.setdefault(RHO_KEY, rho)
        self.skipped_steps = kept.get("skipped_steps", 0)
        self._variant.load_state_dict(kept)

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle and copy need; a learning rate scheduler's wrapper of ``step`` is not part of it."""
        return {key: value for key, value in self.__dict__.items() if key != "step"}

    def __repr__(self) -> str:
        """Name the variant, the radius and the optimizer."""
        return f"SAM (variant={self._settings.variant}, rho={self.rho:g}) of {self.base_optimizer!r}"

    def _choose_moved(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        """Select the parameters that SAM moves."""
        if self._model is None:
            return list(parameters)
        try:
            wanted = select_parameters(self._model, self._settings.params)
            left_out = match_names(select_parameters(self._model), self._settings.exclude)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        chosen = {id(parameter) for name, parameter in wanted.items() if name not in left_out}
        return [p for p in parameters if id(p) in chosen]


def _make_settings(variant: Variant, options: SAMOptions, model: nn.Module | None) -> SAMSettings:
    if variant not in VARIANTS:
        raise ConfigError(f"variant={variant}: choose one of {', '.join(VARIANTS)}")
    for name in options:
        if name not in READ_BY:
            raise TypeError(f"SAM has no option {name}; there are: {', '.join(READ_BY)}")
        if variant not in READ_BY[name]:
            raise TypeError(f"variant={variant} does not read {name}; it is an option of {', '.join(READ_BY[name])}")
    values: dict[str, Any] = {name: _check_option(name, value) for name, value in options.items()}
    if model is None and (values.get("params", "all") != "all" or values.get("exclude")):
        raise ConfigError("params and exclude choose parameters by their names in the model; pass model=...")
    return SAMSettings(variant=variant, **values)


def _check_option(name: str, value: Any) -> Any:
    if name in ("params", "exclude"):
        kinds = isinstance(value, str) and name == "params" and value in ("all", "norm", "embedding")
        return value if kinds else (value,) if isinstance(value, str) else tuple(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ConfigError(f"{name}={value}: give a number that is at least 0")
    if name == "momentum" and value >= 1:
        raise ConfigError(f"momentum={value}: must be in [0, 1)")
    if name == "seed" and not isinstance(value, int):
        raise ConfigError(f"seed={value}: give a whole number that is at least 0")
    if name == "looksam_k" and (not isinstance(value, int) or value < 1):
        raise ConfigError(f"looksam_k={value}: give a whole number that is at least 1")
    return value


def _require_radius(rho: float) -> float:
    if not 0 <= rho < float("inf"):
        raise ConfigError(f"rho={rho}: give a number that is at least 0")
    return rho


def _require_distributed(model: nn.Module | None, variant: str) -> DistributedDataParallel:
    if variant not in ("sam", "asam", "random"):
        raise ConfigError(
            f"local_ascent: variant={variant} also steps by its first gradient or remembers it, which would differ "
            "between processes; choose sam, asam or random"
        )
    if not isinstance(model, DistributedDataParallel):
        raise ConfigError("local_ascent needs model=..., wrapped in torch.nn.parallel.DistributedDataParallel")
    return model


def _parameters_of(groups: Sequence[dict[str, Any]]) -> list[Tensor]:
    return [cast(Tensor, parameter) for group in groups for parameter in group["params"]]
