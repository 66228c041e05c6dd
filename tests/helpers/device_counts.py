"""Counts of the costs of training on a device: kernel launches, copies to it, and waits of the host for it.

The counts are those of torch's operations, one launch each, so they need no profiler and are the same on every machine.
They hold for a real device and for the simulated one of :mod:`tests.helpers.simulated_device` alike.
"""

import contextlib
import functools
import sys
from collections import Counter
from typing import NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WITHOUT_KERNEL = set(
    """_local_scalar_dense _reshape_alias _unsafe_view alias as_strided chunk detach diagonal empty empty_like
    empty_strided expand is_pinned is_same_size lift_fresh movedim new_empty new_empty_strided numpy_T permute select
    set_ slice split split_with_sizes squeeze t transpose unbind unfold unsqueeze view view_as_complex view_as_real
    _indices _values indices values sparse_dim dense_dim _nnz is_coalesced""".split()
)
"""Operations that only make or describe a view, or memory."""
WAITING = set(
    """_coalesce _local_scalar_dense _unique2 allclose bincount coalesce equal is_nonzero masked_select nonzero
    unique_consecutive unique_dim""".split()
)
"""Operations whose result, or its shape, the host has to know."""
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}

TRAINING = ("loop", "forward", "backward", "sam", "second forward", "second backward")
"""Phases of a training step; the loop is RecBole's, with the making of batches and the optimizer."""
OTHER = "other"


class Operation(NamedTuple):
    """The properties of one of torch's operations that the counts and the simulated device need.

    Args:
        name: Its name without namespace and overload.
        draws: Whether it draws random numbers.
        pointwise: Whether it works element by element.
        targets: Of each result that is an argument which was written into, the argument's place and name; None for
            other results. Empty if nothing is written into.
    """

    name: str
    draws: bool
    pointwise: bool
    targets: tuple[tuple[int, str] | None, ...]


@functools.cache
def describe(func) -> Operation:
    """Describe an operation; torch is slow to answer, so this is done once for each."""
    schema = func._schema
    places = {
        frozenset(argument.alias_info.before_set): (place, argument.name)
        for place, argument in enumerate(schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    }
    targets = tuple(
        places[frozenset(result.alias_info.before_set)]
        if result.alias_info is not None and result.alias_info.is_write
        else None
        for result in schema.returns
    )
    draws, pointwise = torch.Tag.nondeterministic_seeded in func.tags, torch.Tag.pointwise in func.tags
    return Operation(schema.name.split("::")[-1], draws, pointwise, targets if any(targets) else ())


def list_tensors(args, kwargs) -> list[torch.Tensor]:
    """Return the tensors among the arguments of an operation, including those in lists."""
    found = []
    for value in (*args, *kwargs.values()):
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += [entry for entry in value if isinstance(entry, torch.Tensor)]
    return found


def on_device(value) -> bool:
    """Return True for a tensor that is not on the host."""
    return value.device.type != "cpu"


def indexed_by_mask(name, args) -> bool:
    """Return True if the shape of the result depends on the values of a mask."""
    masks = (torch.bool, torch.uint8)
    if name not in INDEXING or not any(isinstance(i, torch.Tensor) and i.dtype in masks for i in args[1]):
        return False
    return name == "index" or args[2].dim() > 0  # a scalar is put in by masked_fill


def find_place() -> str:
    """Find file and line of the innermost running code of this package or RecBole; autograd's threads have none."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename.replace("\\", "/")
        for package in ("/recbole_samrec/", "/recbole/"):
            if package in file:
                return f"{package[1:]}{file.rpartition(package)[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return "autograd"


class DeviceCounter(TorchDispatchMode):
    """Count launches, waits and copies while it is active.

    Args:
        generator_state: Returns the state of the device's random generator.

    Attributes:
        launches: Number of kernels, by phase.
        waits: Number of waits of the host, by phase, operation and place in the code.
        copies: Number of copies from host to device, by phase and place; those that block are not counted as waits.
        draws: For each operation of a training step that draws: phase, step, and the generator's state before it.
        steps: Number of training steps.
        costs: Waits, copies and launches of each training step but the last one of each epoch; a step ends where the
            next one's forward pass begins.
    """

    def __init__(self, generator_state):
        super().__init__()
        self.generator_state = generator_state
        self.launches, self.waits, self.copies = Counter(), Counter(), Counter()
        self.operations = Counter()
        self.draws = []
        self.steps = 0
        self.costs = []
        self.phase = OTHER
        self._before: tuple[int, ...] | None = None

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        self.count(describe(func), list_tensors(args, kwargs), args, kwargs)
        return func(*args, **kwargs)

    def count(self, operation, tensors, args, kwargs):
        """Count one operation of torch's.

        Args:
            operation: The operation.
            tensors: All tensors among its arguments.
            args: Its arguments.
            kwargs: Its named arguments.
        """
        name, target = operation.name, kwargs.get("device")
        host = [tensor for tensor in tensors if not on_device(tensor)]
        made_there = target is not None and torch.device(target).type != "cpu"
        if len(host) == len(tensors) and not made_there:
            return
        if name == "_to_copy":
            if target is not None and not made_there:
                self.wait(name)
            elif host and host[0].numel():
                self.copy()
        elif name == "copy_" and 0 < len(host) < len(tensors):
            self.copy() if on_device(args[0]) else self.wait(name)
        elif name in INDEXING and host:  # an index, or a scalar to put in
            self.copy()
        if name in WAITING or indexed_by_mask(name, args):
            self.wait(name)
        elif name == "repeat_interleave" and kwargs.get("output_size") is None:
            self.wait(name)
        if operation.draws:
            self.draw()
        if name not in WITHOUT_KERNEL:
            self.launch(name)

    def copy(self):
        """Count a copy to the device."""
        self.copies[self.phase, find_place()] += 1

    def wait(self, name):
        """Count a wait."""
        self.waits[self.phase, name, find_place()] += 1

    def launch(self, name):
        """Count a kernel."""
        self.launches[self.phase] += 1
        self.operations[self.phase, name] += 1

    def draw(self):
        """Record a draw."""
        if self.phase in TRAINING:
            step = self.steps - self.phase.startswith("second")  # by then the step has been counted
            self.draws.append((self.phase, step, bytes(self.generator_state().numpy())))

    @contextlib.contextmanager
    def during(self, phase):
        """Count for a phase."""
        before, self.phase = self.phase, phase
        try:
            yield
        finally:
            self.phase = before

    def begin_epoch(self):
        """Mark the beginning of an epoch."""
        self._before = None

    def begin_step(self):
        """Mark the beginning of a step's forward pass."""
        launches = sum(self.launches[phase] for phase in TRAINING)
        now = self._sum(self.waits), self._sum(self.copies), launches
        if self._before is not None:
            self.costs.append([after - before for before, after in zip(self._before, now, strict=True)])
        self._before = now

    def _sum(self, counts):
        return sum(number for key, number in counts.items() if key[0] in TRAINING)

    def per_step(self) -> dict[str, float]:
        """Return the mean costs per step, without the first step, in which the optimizer makes its state."""
        means = [round(sum(column) / len(column), 2) for column in zip(*self.costs[1:], strict=True)]
        return dict(zip(("waits", "copies", "launches"), means, strict=True))

    def places(self) -> list[str]:
        """Describe the places where training steps wait and copy, and how often per step, for a message."""
        counts = [
            (f"{op} at {place} ({phase})", n) for (phase, op, place), n in self.waits.items() if phase in TRAINING
        ]
        counts += [(f"copy at {place} ({phase})", n) for (phase, place), n in self.copies.items() if phase in TRAINING]
        return [f"{n / max(self.steps, 1):.2f} {what}" for what, n in sorted(counts)]


@contextlib.contextmanager
def watch_phases(counter: DeviceCounter):
    """Record the phases of training."""
    from recbole_samrec.optim.hook import SAMHook
    from recbole_samrec.trainer.trainer import SAMTrainer

    recorded, before_step, second = SAMHook.recorded, SAMHook._before_step, SAMHook._second_gradient
    epoch, backward = SAMTrainer._train_epoch, torch.Tensor.backward

    def recorded_in_phase(self, loss_func, second=None):
        loss = recorded(self, loss_func, second)

        def loss_in_phase(batch):
            counter.begin_step()
            with counter.during("forward"):
                return loss(batch)

        return loss_in_phase

    def before_step_in_phase(self, *args):
        counter.steps += 1
        with counter.during("sam"):
            return before_step(self, *args)

    def second_in_phase(self, *args):
        with counter.during("second forward"):
            return second(self, *args)

    def backward_in_phase(self, *args, **kwargs):
        with counter.during("second backward" if counter.phase == "second forward" else "backward"):
            return backward(self, *args, **kwargs)

    def epoch_in_phase(self, *args, **kwargs):
        counter.begin_epoch()
        with counter.during("loop"):
            return epoch(self, *args, **kwargs)

    try:
        SAMHook.recorded, SAMHook._before_step, SAMHook._second_gradient = (
            recorded_in_phase,
            before_step_in_phase,
            second_in_phase,
        )
        torch.Tensor.backward, SAMTrainer._train_epoch = backward_in_phase, epoch_in_phase
        yield
    finally:
        SAMHook.recorded, SAMHook._before_step, SAMHook._second_gradient = recorded, before_step, second
        torch.Tensor.backward, SAMTrainer._train_epoch = backward, epoch
