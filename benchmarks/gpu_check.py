"""Check that training works on this machine's GPU, and measure its speed there: ``make gpu-check``.

It takes some eight minutes with an installed torch, needs no network, and continues where it was interrupted: every
result is written to ``OUT.json`` as it arrives, and ``OUT.md`` is the page made of it. Parts:

- ``checks``: those of ``tests/gpu``, as plain functions, so that pytest is not needed;
- ``processes``: a run on two processes, with nccl where there are two GPUs;
- ``speed``: RecBole untouched and ours, in several precisions, on ml-100k and on generated data.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import gpu_data
from benchmarks.gpu_page import render_page

NEEDED = {
    "torch": "torch",
    "recbole": "recbole",
    "numpy": "numpy",
    "pandas": "pandas",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "tensorboard": "tensorboard",
    "tqdm": "tqdm",
    "colorlog": "colorlog",
    "colorama": "colorama",
    "texttable": "texttable",
    "tabulate": "tabulate",
    "pydantic": "pydantic",
    "filelock": "filelock",
}
"""Modules that training imports, and the packages that have them."""
BUDGETS = {"checks": 150.0, "processes": 40.0, "speed": 290.0}
"""Seconds that the parts may take."""
GRACE = 30.0
"""Seconds that a part may be late: a measurement that has begun is not thrown away."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 if everything that was run passed, 1 if a check failed, 2 if nothing could be run.
    """
    options = make_parser().parse_args(arguments)
    if problem := find_problem(options.device):
        print(f"gpu-check: {problem}", file=sys.stderr)
        return 2
    journal = Journal(options.out.with_suffix(".json"), describe_machine(options.device), options.fresh)
    size = gpu_data.TINY if options.tiny else gpu_data.FULL
    for part in options.parts:
        clock = Clock(BUDGETS[part] * options.minutes / 8)
        for item, run in PARTS[part](options.device, size, options.out.parent):
            if journal.has(part, item):
                print(f"{part}  {item}  kept", flush=True)
            elif clock.left <= 0:
                print(f"{part}  {item}  not run: the part's time is over; the same command continues", flush=True)
            else:
                started = time.perf_counter()
                result = run(clock.left + GRACE)
                journal.add(part, item, {**result, "seconds": round(time.perf_counter() - started, 1)})
                print(f"{part}  {item}  {summarize(result)}", flush=True)
    page = options.out.with_suffix(".md")
    page.write_text(render_page(journal.content), encoding="utf-8")
    print(f"written to {journal.file} and {page}")
    return 1 if journal.failed("checks") or journal.failed("processes") else 0


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu tries the script itself out")
    parser.add_argument("--out", type=Path, default=Path("results/gpu"), help="name of the files, without a suffix")
    parser.add_argument(
        "--parts", type=lambda text: text.split(","), default=list(PARTS), help="some of them, by commas"
    )
    parser.add_argument("--minutes", type=float, default=8, help="time of all parts together")
    parser.add_argument("--tiny", action="store_true", help="measure on tiny data")
    parser.add_argument("--fresh", action="store_true", help="begin again")
    return parser


def find_problem(device: str) -> str | None:
    """Find the reason why the check cannot run on this machine."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        line = f"this Python lacks {', '.join(missing)}; install with: {sys.executable} -m pip install "
        remedy = line + " ".join(package for package in missing if package != "recbole")
        return remedy + ("; and --no-deps recbole==1.2.1" if "recbole" in missing else "")
    import torch

    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6):
        return f"torch {torch.__version__} is too old; 2.6 or later is needed"
    if device == "cuda" and not torch.cuda.is_available():
        return f"torch {torch.__version__} sees no GPU; --device=cpu tries the script itself out"
    return None


def describe_machine(device: str) -> dict[str, Any]:
    """Describe the machine and the software, in a process that then frees the GPU."""
    from tests.helpers.device_process import DeviceProcess

    process = DeviceProcess(device)
    try:
        return process.call(describe_here)
    finally:
        process.close()


def describe_here(device: Any) -> dict[str, Any]:
    """Describe the machine in the process that has the device."""
    import torch

    from benchmarks import machine
    from recbole_samrec.quick_start.environment import revision, versions

    found: dict[str, Any] = {"device": device.kind, "host": machine.describe_machine(torch.get_num_threads())}
    if device.kind == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found |= {
            "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
            "gpu_memory_mb": round(properties.total_memory / 2**20),
            "capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda or torch.version.hip,
            "cudnn": torch.backends.cudnn.version(),
            "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
        }
    return {**found, "versions": {**versions(), "torch": torch.__version__}, "revision": revision()}


class Clock:
    """A budget of time.

    Args:
        seconds: The budget.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._end - time.monotonic()


@dataclass
class Journal:
    """The results so far, in one file that is written whole after each of them.

    Args:
        file: The file.
        machine: Description of this machine; results of another one are refused.
        fresh: Whether existing results are left out.
    """

    file: Path
    machine: dict[str, Any]
    fresh: bool = False

    def __post_init__(self) -> None:
        """Read the results of an interrupted check."""
        self.content: dict[str, Any] = {"machine": self.machine, "parts": {}}
        if self.file.exists() and not self.fresh:
            content = json.loads(self.file.read_text(encoding="utf-8"))
            if content["machine"] != self.machine:
                raise SystemExit(
                    f"{self.file} holds results of another machine or revision; add --fresh, or --out=FILE"
                )
            self.content = content

    def has(self, part: str, item: str) -> bool:
        """Return True if there is a result."""
        return item in self.content["parts"].get(part, {})

    def add(self, part: str, item: str, result: dict[str, Any]) -> None:
        """Store a result."""
        self.content["parts"].setdefault(part, {})[item] = result
        self.file.parent.mkdir(parents=True, exist_ok=True)
        half = self.file.with_suffix(".half")
        half.write_text(json.dumps(self.content, indent=1), encoding="utf-8")
        half.replace(self.file)

    def failed(self, part: str) -> list[str]:
        """List the items of a part that failed."""
        return [item for item, result in self.content["parts"].get(part, {}).items() if "failed" in result]


def summarize(result: dict[str, Any]) -> str:
    """Describe a result in a few words."""
    for key in ("failed", "skipped"):
        if key in result:
            return f"{key}: {result[key]}"
    found = {name: of for name, of in result.items() if isinstance(of, dict) and ("step" in of or "failed" in of)}
    steps = (f"{name} {of['failed'] if 'failed' in of else format_step(of['step'])}" for name, of in found.items())
    return ", ".join(steps) or "passed"


def format_step(seconds: float) -> str:
    """Format the time of a step."""
    return f"{1000 * seconds:.1f} ms"


Item = tuple[str, Callable[[float], dict[str, Any]]]
"""Name, and a function from the seconds that it may take to its result."""


def list_checks(device: str, size: gpu_data.Size, folder: Path) -> Iterator[Item]:
    """List the checks of ``tests/gpu``, which share one process as long as none of them breaks it."""
    from tests.helpers.device_checks import CHECKS
    from tests.helpers.device_process import DeviceProcess

    process = DeviceProcess(device)
    try:
        for name, (check, arguments) in CHECKS.items():
            if size.checks is None or name in size.checks:
                yield (
                    name,
                    lambda seconds, check=check, arguments=arguments: run_check(process, check, arguments, seconds),
                )
    finally:
        process.close()


def run_check(process: Any, check: Callable, arguments: tuple, seconds: float) -> dict[str, Any]:
    """Run a check in the process with the device."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            found = process.call_within(seconds, check, scratch, *arguments)
        except ModuleNotFoundError as error:
            return {"skipped": f"{error.name} is not installed"}
        except (FutureTimeout, BrokenProcessPool) as error:
            process.restart()
            return {
                "failed": f"it took longer than {seconds:.0f} s" if isinstance(error, FutureTimeout) else str(error)
            }
        except Exception as error:
            return {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}
    counts = {key: found[key] for key in ("waits", "copies", "launches") if found and key in found}
    return {"counts": counts} if counts else {}


def list_processes(device: str, size: gpu_data.Size, folder: Path) -> Iterator[Item]:
    """List the runs on several processes."""
    yield "two processes", lambda seconds: run_processes(device, seconds)


def run_processes(device: str, seconds: float) -> dict[str, Any]:
    """Train on two processes, with nccl on two GPUs or gloo on the CPU."""
    import torch

    if device == "cuda" and torch.cuda.device_count() < 2:
        return {"skipped": "there is one GPU only"}
    return run_module("benchmarks.gpu_processes", {"device": device}, seconds)


def list_speed(device: str, size: gpu_data.Size, folder: Path) -> Iterator[Item]:
    """List the measurements of speed, one process each."""
    for name, request in gpu_data.make_requests(device, size, folder):
        if size.speeds is None or name in size.speeds:
            yield name, lambda seconds, request=request: run_module("benchmarks.gpu_measure", request, seconds)


def run_module(module: str, request: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Run a module of this package in a separate process; the results written before its time limit count."""
    with tempfile.TemporaryDirectory() as scratch:
        asked, answer = Path(scratch, "request.json"), Path(scratch, "result.json")
        asked.write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-m", module, str(asked), str(answer)]
        reason = None
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
            if run.returncode:
                reason = (run.stderr.strip().splitlines() or [f"status {run.returncode}"])[-1][:500]
        except subprocess.TimeoutExpired:
            reason = f"it took longer than {seconds:.0f} s"
        result = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else {}
    return {**result, "failed": reason} if reason else result


PARTS: dict[str, Callable[[str, gpu_data.Size, Path], Iterator[Item]]] = {
    "checks": list_checks,
    "processes": list_processes,
    "speed": list_speed,
}

if __name__ == "__main__":
    sys.exit(main())
