"""Speed of one way to train on a GPU, in each precision: ``python -m benchmarks.gpu_measure REQUEST.json RESULT.json``.

A step's time is that of many steps in a row, with one wait at their end. torch's profiler counts launches, waits and
copies, and measures the time in which the GPU is busy, in steps of their own.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROFILED = 5
"""Number of profiled steps."""
WARM_UP = 4
"""Number of steps before the first measurement of a precision."""
MOST_STEPS = 300
"""Largest number of timed steps."""
LAUNCH = ("cudaLaunchKernel", "cuLaunchKernel", "hipLaunchKernel", "hipExtModuleLaunchKernel")
WAIT = ("cudaStreamSynchronize", "cudaEventSynchronize", "hipStreamSynchronize", "hipEventSynchronize")
COPY = ("Memcpy HtoD",)
"""Beginnings of the names of the profiler's events."""

PRECISIONS: dict[str, dict[str, Any]] = {
    "fp32": {},
    "TF32": {},
    "bf16": {"enable_amp": True, "amp_dtype": "bfloat16"},
    "fp16, scaler": {"enable_amp": True, "amp_dtype": "float16", "enable_scaler": True},
}
"""Settings of each precision; TF32 is a switch of torch's."""


def main(request: dict[str, Any], keep: Callable[[dict[str, Any]], None] = lambda result: None) -> dict[str, Any]:
    """Measure a way to train.

    Args:
        request: ``settings`` of RecBole and ours, ``recbole`` (whether RecBole's trainer trains), ``precisions``,
            ``seconds`` for each, ``device``, and ``items`` and ``interactions`` of a data set made in memory, if any.
        keep: Called with all results so far after each precision.

    Returns:
        For each precision: seconds of a step, busy share, launches, waits, copies and peak memory, or ``failed``.
    """
    import torch

    import recbole_samrec  # noqa: F401  patches RecBole, which could not be imported otherwise

    results: dict[str, Any] = {}
    for precision in request["precisions"]:
        torch.set_float32_matmul_precision("high" if precision == "TF32" else "highest")
        torch.backends.cudnn.allow_tf32 = precision == "TF32"
        try:
            results[precision] = measure(request, PRECISIONS[precision])
        except torch.OutOfMemoryError:
            results[precision] = {"failed": "out of memory"}
        except Exception as error:
            results[precision] = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        keep(results)
        gc.collect()  # the trainer, which refers to itself, and the GPU memory that it holds
        torch.cuda.empty_cache()
    return results


def measure(request: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Measure one precision."""
    import torch

    from benchmarks.measure import time_batches

    cuda = request["device"] == "cuda"
    trainer, loader = build({**request, "settings": {**request["settings"], **settings}})
    loader = time_batches(loader)
    wait = torch.cuda.synchronize if cuda else lambda: None
    with torch.autograd.set_detect_anomaly(request["recbole"]):  # which importing RecBole's models turns on
        first = time_block(trainer, loader, WARM_UP, wait)
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        trial = time_block(trainer, loader, WARM_UP, wait)
        wanted = int(min(max(request["seconds"] / trial, WARM_UP), MOST_STEPS))
        seconds = time_block(trainer, loader, wanted, wait)
        result = {"step": seconds, "first_steps": first, "timed_steps": wanted, "steps_per_epoch": len(loader)}
        if cuda:
            result["peak_mb"] = torch.cuda.max_memory_allocated() / 2**20
            result["reserved_mb"] = torch.cuda.max_memory_reserved() / 2**20
        result |= profile_steps(lambda: time_block(trainer, loader, PROFILED, lambda: None), PROFILED, seconds, cuda)
    if request["recbole"]:
        result["step_without_anomaly_detection"] = time_block(trainer, loader, wanted, wait)
    return result


def build(request: dict[str, Any]) -> tuple[Any, Any]:
    """Build trainer and training loader of a request."""
    from benchmarks import measure

    if "items" not in request:
        trainer, loaders = measure.build(request)
        return trainer, loaders[0]
    from recbole.utils import get_trainer, init_seed

    from benchmarks.synthetic import Synthetic
    from recbole_samrec.data.packed_loader import PackedLoader
    from recbole_samrec.model.samrec import SAMRec

    config = measure.make_config(request)
    init_seed(config["seed"], config["reproducibility"])
    dataset = Synthetic(config, request["interactions"], request["items"])
    model = SAMRec(config, dataset).to(config["device"])
    return get_trainer(config["MODEL_TYPE"], "SAMRec")(config, model), PackedLoader(config, dataset, shuffle=True)


def time_block(trainer: Any, loader: Any, steps: int, wait: Callable[[], Any]) -> float:
    """Train for a number of steps, across epochs, and return the mean seconds of one."""
    wait()
    started, left = time.perf_counter(), steps
    while left > 0:
        loader.most = left
        trainer._train_epoch(loader, 0)
        left -= min(left, len(loader))
    wait()
    return (time.perf_counter() - started) / steps


def profile_steps(run: Callable[[], Any], steps: int, seconds: float, cuda: bool) -> dict[str, Any]:
    """Count launches, waits and copies of a step, and the share of its time in which the GPU is busy.

    Args:
        run: Trains for some steps.
        steps: Number of these steps.
        seconds: Time of a step without the profiler, which slows the host down.
        cuda: Whether there is a GPU; without one there is nothing to count.
    """
    if not cuda:
        return {}
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        run()
    events = [event for event in profiler.events() if not getattr(event, "is_user_annotation", False)]
    found = [(event.name, str(event.device_type).endswith("CUDA"), event.time_range) for event in events]
    return summarize_events([(name, gpu, (time.start, time.end)) for name, gpu, time in found], steps, seconds)


def summarize_events(
    events: Sequence[tuple[str, bool, tuple[float, float]]], steps: int, seconds: float
) -> dict[str, Any]:
    """Count the events of a profile, per step.

    Args:
        events: Name, whether it is one of the GPU's, and begin and end in microseconds.
        steps: Number of steps.
        seconds: Time of a step without the profiler.
    """
    counts = Counter(
        kind
        for name, gpu, _ in events
        for kind, names, of_gpu in (("launches", LAUNCH, False), ("waits", WAIT, False), ("copies", COPY, True))
        if gpu == of_gpu and name.startswith(names)
    )
    busy = measure_union([times for name, gpu, times in events if gpu and not name.startswith(("Optimizer", "aten::"))])
    per_step = {kind: round(counts[kind] / steps, 2) for kind in ("launches", "waits", "copies")}
    return {**per_step, "busy_seconds": busy / 1e6 / steps, "utilization": busy / 1e6 / steps / seconds}


def measure_union(times: Sequence[tuple[float, float]]) -> float:
    """Measure the length of the union of intervals."""
    total, end = 0.0, float("-inf")
    for begin, until in sorted(times):
        total += max(until - max(begin, end), 0.0)
        end = max(end, until)
    return total


if __name__ == "__main__":
    asked, answer = map(Path, sys.argv[1:])

    def write(results: dict[str, Any]) -> None:
        """Write the results so far, in case a later precision takes too long."""
        answer.write_text(json.dumps(results), encoding="utf-8")

    write(main(json.loads(asked.read_text(encoding="utf-8")), write))
