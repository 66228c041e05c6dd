"""One measurement in a process of its own: ``python -m benchmarks.measure REQUEST.json RESULT.json``."""

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
"""Steps of which the profile is taken."""
STARTUP_STEPS = 25
"""First steps of a compiled loss in which it may still be compiling."""


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Carry out a request of ``cases.py``; what is returned is explained there and in ``report.py``."""
    import torch

    torch.set_num_threads(request["threads"])
    import recbole_samrec  # noqa: F401  patches RecBole, which could not be imported otherwise
    from recbole_samrec.quick_start.environment import peak_memory_mb, revision, versions

    result = MEASUREMENTS[request["what"]](request)
    # What is measured may have read its peak before it went on to explain itself.
    result.setdefault("peak_mb", peak_memory_mb(torch.device(request["device"])))
    return result | {"threads": torch.get_num_threads(), "revision": revision(), "versions": versions()}


def imports(request: dict[str, Any]) -> dict[str, Any]:
    """Nothing but the imports, for the memory that they take; and which GPU there is."""
    import torch

    return {"gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None}


def epochs(request: dict[str, Any]) -> dict[str, Any]:
    """Epochs of training, or a sample of batches from which an epoch is estimated."""
    import torch

    from recbole_samrec.quick_start.environment import peak_memory_mb

    started = time.perf_counter()
    trainer, (train_data, *_) = build(request)
    prepared = time.perf_counter() - started
    if request["compiled"]:
        compile_loss(trainer)
    loader = timed(train_data)
    startup = sum(steps_of(trainer, loader, STARTUP_STEPS)) if request["compiled"] else None
    steps_of(trainer, loader, request["warm_up"])
    calm = steps_of(trainer, loader, request["batches"]) if request["recbole"] else None
    with torch.autograd.set_detect_anomaly(request["recbole"]):  # which importing RecBole's models turns on
        steps = [steps_of(trainer, loader, request["batches"], epoch) for epoch in range(request["epochs"])]
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
    """The arithmetic limit of a packed epoch at the machine's rates of now, and where the time of its steps goes."""
    from benchmarks.arithmetic import Shape, Work, limit, products
    from benchmarks.breakdown import breakdown

    work = Work.of(loader)
    return {
        "tokens": work.tokens,
        "limit": limit(products(work, Shape.of(trainer.model)), request["device"]),
        "passes": 2 if trainer.sam_step.settings.rho else 1,
        "breakdown": breakdown(lambda: steps_of(trainer, loader, PROFILED), request["device"]),
    }


def convergence(request: dict[str, Any]) -> dict[str, Any]:
    """Training until validation stops it: the score, and the seconds since the beginning, after each epoch."""
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


def growth(request: dict[str, Any]) -> dict[str, Any]:
    """Steps, or a whole epoch, on a synthetic set that is made in memory."""
    from recbole.utils import get_trainer, init_seed

    from benchmarks.synthetic import Synthetic
    from recbole_samrec.data.packed_loader import PackedLoader
    from recbole_samrec.model.samrec import SAMRec

    config = configured(request)
    init_seed(config["seed"], config["reproducibility"])
    dataset = Synthetic(config, request["interactions"], request["items"])
    loader = timed(PackedLoader(config, dataset, shuffle=True))
    trainer = get_trainer(config["MODEL_TYPE"], "SAMRec")(config, SAMRec(config, dataset))
    steps_of(trainer, loader, 3)
    steps = steps_of(trainer, loader, request["batches"])
    first, *others = steps  # the first step plans the epoch
    return {
        "steps": len(loader),
        "step": statistics.median(others),
        "epoch": first + statistics.mean(others) * (len(loader) - 1),
        "estimated_from": len(steps) if len(steps) < len(loader) else None,
    }


MEASUREMENTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "imports": imports,
    "epochs": epochs,
    "convergence": convergence,
    "growth": growth,
}


def configured(request: dict[str, Any]) -> Any:
    """RecBole's configuration of a request."""
    from recbole_samrec.config.build import configure

    scratch = Path(tempfile.gettempdir(), "benchmarks")
    settings = {"checkpoint_dir": str(scratch), "use_gpu": request["device"] == "cuda", **request["settings"]}
    return configure(settings, {})


def build(request: dict[str, Any]) -> tuple[Any, tuple]:
    """The trainer and the loaders of a request, as RecBole's ``run_recbole`` makes them."""
    from recbole.data import create_dataset, data_preparation
    from recbole.trainer.trainer import Trainer
    from recbole.utils import get_model, get_trainer, init_seed

    config = configured(request)
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    loaders = data_preparation(config, dataset)
    init_seed(config["seed"], config["reproducibility"])
    model = get_model(config["model"])(config, loaders[0]._dataset).to(config["device"])
    make = Trainer if request["recbole"] else get_trainer(config["MODEL_TYPE"], config["model"])
    return make(config, model), loaders


def timed(loader: Any) -> Any:
    """The loader itself, which from now on notes when each batch is asked for, and may end an epoch early."""

    class Timed(type(loader)):
        def __iter__(self) -> Iterator[Any]:
            self.asked = [time.perf_counter()]
            for batch in islice(super().__iter__(), self.most):
                yield batch
                self.asked.append(time.perf_counter())

    loader.__class__ = Timed  # no wrapper: a trainer looks at what kind of loader it is given
    return loader


def steps_of(trainer: Any, loader: Any, most: int | None, epoch: int = 0) -> list[float]:
    """Train for an epoch, or the first steps of one, and return the seconds of each step, its batch's making included.

    Args:
        trainer: RecBole's or ours.
        loader: A loader that is :func:`timed`.
        most: The most steps; None for a whole epoch.
        epoch: Number of the epoch.
    """
    loader.most = most
    trainer._train_epoch(loader, epoch)
    return [end - begin for begin, end in zip(loader.asked, loader.asked[1:], strict=False)]


def compile_loss(trainer: Any) -> None:
    """Send the packed loss through ``torch.compile``, for rows of any length."""
    import torch

    plain = trainer.training_loss
    trainer.training_loss = functools.cache(lambda: torch.compile(plain(), dynamic=True))


if __name__ == "__main__":
    asked, answer = map(Path, sys.argv[1:])
    answer.write_text(json.dumps(main(json.loads(asked.read_text(encoding="utf-8")))), encoding="utf-8")
