"""One measurement in a separate process: ``python -m benchmarks.measure REQUEST.json RESULT.json``."""

from __future__ import annotations

import functools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

PROFILED = 6
"""Number of profiled steps."""
STARTUP_STEPS = 25
"""First steps of a compiled loss in which it may still be compiling."""


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Execute a request of ``cases.py``; ``report.py`` reads the result."""
    import torch

    torch.set_num_threads(request["threads"])
    import recbole_samrec  # noqa: F401  patches RecBole, which could not be imported otherwise
    from recbole_samrec.quick_start.environment import peak_memory_mb, revision, versions

    result = MEASUREMENTS[request["what"]](request)
    # The peak may have been read before the explanation.
    result.setdefault("peak_mb", peak_memory_mb(torch.device(request["device"])))
    return result | {"threads": torch.get_num_threads(), "revision": revision(), "versions": versions()}


def measure_imports(request: dict[str, Any]) -> dict[str, Any]:
    """Measure the imports alone, for their memory, and name the GPU."""
    import torch

    return {"gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None}


def measure_epochs(request: dict[str, Any]) -> dict[str, Any]:
    """Measure epochs of training, or a sample of batches from which an epoch is estimated."""
    import torch

    from recbole_samrec.quick_start.environment import peak_memory_mb

    started = time.perf_counter()
    trainer, (train_data, *_) = build(request)
    prepared = time.perf_counter() - started
    if request["compiled"]:
        compile_loss(trainer)
    loader = time_batches(train_data)
    startup = sum(time_steps(trainer, loader, STARTUP_STEPS)) if request["compiled"] else None
    time_steps(trainer, loader, request["warm_up"])
    calm = time_steps(trainer, loader, request["batches"]) if request["recbole"] else None
    with torch.autograd.set_detect_anomaly(request["recbole"]):  # which importing RecBole's models turns on
        steps = [time_steps(trainer, loader, request["batches"], epoch) for epoch in range(request["epochs"])]
    typical = statistics.median(step for epoch in steps for step in epoch)
    measured = [sum(epoch) for epoch in steps]
    result = {
        "prepared": prepared,
        "steps": len(loader),
        "step": typical,
        "epoch": typical * len(loader) if request["batches"] else statistics.mean(measured),
        "estimated_from": request["batches"],
        "peak_mb": peak_memory_mb(trainer.device),
    }
    if calm:
        result["calm_epoch"] = statistics.median(calm) * len(loader)
    if startup is not None:
        result["startup"] = startup - typical * STARTUP_STEPS
    return result | (explain(trainer, loader, request) if request["explain"] else {})


def explain(trainer: Any, loader: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Measure the arithmetic limit of a packed epoch at the machine's current speed, and a profile of its steps."""
    from benchmarks.arithmetic import Shape, Work, count_products, measure_limit
    from benchmarks.breakdown import measure_breakdown

    work = Work.count(loader)
    return {
        "tokens": work.tokens,
        "limit": measure_limit(count_products(work, Shape.read(trainer.model)), request["device"]),
        "passes": 2 if trainer.sam_step.settings.rho else 1,
        "breakdown": measure_breakdown(lambda: time_steps(trainer, loader, PROFILED), request["device"]),
    }


def measure_convergence(request: dict[str, Any]) -> dict[str, Any]:
    """Measure training until early stopping: the score and the seconds since the start after each epoch."""
    from recbole_samrec.trainer.callbacks import Callback

    class Watch(Callback):
        def on_validation_end(self, trainer: Any, epoch: int, score: float, result: dict, best: bool) -> None:
            history.append((time.perf_counter() - started, score))

    history: list[tuple[float, float]] = []
    trainer, (train_data, valid_data, _) = build(request)
    trainer.callbacks.add(Watch())
    started = time.perf_counter()
    trainer.fit(train_data, valid_data, saved=False, show_progress=False, verbose=False)
    return {"seconds": [seconds for seconds, _ in history], "scores": [score for _, score in history]}


def measure_growth(request: dict[str, Any]) -> dict[str, Any]:
    """Measure steps, or a whole epoch, on a synthetic set that is made in memory."""
    from recbole.utils import get_trainer, init_seed

    from benchmarks.synthetic import Synthetic
    from recbole_samrec.data.packed_loader import PackedLoader
    from recbole_samrec.model.samrec import SAMRec

    config = make_config(request)
    init_seed(config["seed"], config["reproducibility"])
    dataset = Synthetic(config, request["interactions"], request["items"])
    loader = time_batches(PackedLoader(config, dataset, shuffle=True))
    trainer = get_trainer(config["MODEL_TYPE"], "SAMRec")(config, SAMRec(config, dataset))
    time_steps(trainer, loader, 3)
    steps = time_steps(trainer, loader, request["batches"])
    first, *others = steps  # the first step plans the epoch
    return {
        "steps": len(loader),
        "step": statistics.median(others),
        "epoch": first + statistics.mean(others) * (len(loader) - 1),
        "estimated_from": len(steps) if len(steps) < len(loader) else None,
    }


MEASUREMENTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "imports": measure_imports,
    "epochs": measure_epochs,
    "convergence": measure_convergence,
    "growth": measure_growth,
}


def make_config(request: dict[str, Any]) -> Any:
    """Make RecBole's configuration of a request."""
    from recbole_samrec.config.build import configure

    scratch = Path(tempfile.gettempdir(), "benchmarks")
    settings = {"checkpoint_dir": str(scratch), "use_gpu": request["device"] == "cuda", **request["settings"]}
    return configure(settings, {})


def build(request: dict[str, Any]) -> tuple[Any, tuple]:
    """Build the trainer and the loaders of a request, as RecBole's ``run_recbole`` makes them."""
    from recbole.data import create_dataset, data_preparation
    from recbole.trainer.trainer import Trainer
    from recbole.utils import get_model, get_trainer, init_seed

    config = make_config(request)
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    loaders = data_preparation(config, dataset)
    init_seed(config["seed"], config["reproducibility"])
    model = get_model(config["model"])(config, loaders[0]._dataset).to(config["device"])
    make = Trainer if request["recbole"] else get_trainer(config["MODEL_TYPE"], config["model"])
    return make(config, model), loaders


def time_batches(loader: Any) -> Any:
    """Make a loader record the time of each request for a batch, and end an epoch early if requested."""

    class Timed(type(loader)):
        def __iter__(self) -> Iterator[Any]:
            self.requested = [time.perf_counter()]
            for batch in islice(super().__iter__(), self.most):
                yield batch
                self.requested.append(time.perf_counter())

    loader.__class__ = Timed  # no wrapper: a trainer checks the class of its loader
    return loader


def time_steps(trainer: Any, loader: Any, most: int | None, epoch: int = 0) -> list[float]:
    """Train for an epoch, or its first steps, and return the seconds of each step, including making its batch.

    Args:
        trainer: RecBole's or ours.
        loader: A loader that :func:`time_batches` changed.
        most: The most steps; None for a whole epoch.
        epoch: Number of the epoch.
    """
    loader.most = most
    trainer._train_epoch(loader, epoch)
    return [end - begin for begin, end in zip(loader.requested, loader.requested[1:], strict=False)]


def compile_loss(trainer: Any) -> None:
    """Compile the packed loss with ``torch.compile``, for sequences of any length."""
    import torch

    plain = trainer.training_loss
    trainer.training_loss = functools.cache(lambda: torch.compile(plain(), dynamic=True))


if __name__ == "__main__":
    request, answer = map(Path, sys.argv[1:])
    answer.write_text(json.dumps(main(json.loads(request.read_text(encoding="utf-8")))), encoding="utf-8")
