"""Many runs at once with Ray: on this machine's cores or GPUs, or on a cluster, never more than memory allows.

Each run has a process of its own, so that one that dies takes no other with it and its peak memory is its own. What a
run has reached lies in its folder; whoever starts the same runs again goes on there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from recbole_samrec.experiments import worker
from recbole_samrec.experiments.jobs import Job
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.paths import PACKAGE, PROPERTIES

MARGIN = 1.3
"""Memory that is reserved for a run, as a multiple of what its probe took: evaluation comes later than the probe."""
MEGABYTE = 2**20
LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.5
LOST = "its process was lost twice, most likely for want of memory; lower --parallel"


@dataclass(frozen=True)
class Resources:
    """What each run gets, and of how much.

    Args:
        threads: Threads, and so cores, of each run.
        parallel: Most runs at once; None for as many as there are cores.
        gpus: GPUs of each run, which may be a part of one.
        address: Of a Ray cluster; None starts one on this machine for the time of the comparison.
        host: Address at which a Ray that is started here listens.
        dashboard: Whether it shows its dashboard.
    """

    threads: int = 1
    parallel: int | None = None
    gpus: float = 0
    address: str | None = None
    host: str = LOOPBACK
    dashboard: bool = False


@contextlib.contextmanager
def cluster(resources: Resources, store_mb: float = 100) -> Iterator[Any]:
    """Ray, started on this machine alone or joined.

    Args:
        resources: What each run gets, and of how much.
        store_mb: Memory of the store of a Ray that is started here, in which runs share what they read.

    Yields:
        The module ``ray``.

    Raises:
        ConfigError: There is no cluster at the address.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 lets every other process go first
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    if ray.is_initialized():  # as in a notebook; it stays when the runs are done
        if resources.address:
            raise ConfigError(f"--address={resources.address}: Ray runs in this process; call ray.shutdown() first")
        yield ray
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": False}
    if resources.address:
        _require_listener(resources.address)
        with tempfile.TemporaryDirectory(prefix="recbole-samrec-") as folder:
            options["runtime_env"] = {"py_modules": [str(_package_in(Path(folder)))]}
            try:
                ray.init(resources.address, **options)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise ConfigError(f"--address={resources.address}: there is no Ray cluster ({error})") from error
    else:
        cores = os.cpu_count() or 1
        slots = resources.parallel * resources.threads if resources.parallel else max(cores, resources.threads)
        with _as_named(resources.host):
            ray.init(
                "local",  # else it would join whatever Ray runs on this machine
                num_cpus=slots,
                include_dashboard=resources.dashboard,
                dashboard_host=resources.host,
                _node_ip_address=resources.host,
                object_store_memory=int(store_mb * MEGABYTE),
                **options,
            )
    try:
        yield ray
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _as_named(host: str) -> Iterator[None]:
    """Let a Ray that starts listen on the loopback where it is told to; it would take this machine's own address.

    It does as it is told where it knows that it will have no other computers, as it does on Windows.
    """
    name, constants = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", sys.modules.get("ray._private.ray_constants")
    if host != LOOPBACK or name in os.environ:
        yield
        return
    os.environ[name], before = "0", getattr(constants, "ENABLE_RAY_CLUSTER", None)
    try:
        if before is not None:  # this process has read the variable when it imported Ray
            constants.ENABLE_RAY_CLUSTER = False
        yield
    finally:
        del os.environ[name]
        if before is not None:
            constants.ENABLE_RAY_CLUSTER = before


def _require_listener(address: str) -> None:
    """Refuse an address at which nothing listens; Ray would try for minutes.

    Raises:
        ConfigError: Names the address.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address in ("auto", "local") or not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise ConfigError(f"--address={address}: nothing answers there ({error}); start Ray or correct it") from error


def _package_in(folder: Path) -> Path:
    """A copy of this package as a wheel would install it, which Ray sends to the other computers of a cluster."""
    package = folder / "recbole_samrec"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    if not (package / "properties").exists():
        shutil.copytree(PROPERTIES, package / "properties")
    return package


class Board:
    """Holds how far the runs are; lives in a process of its own, which all others can reach."""

    def __init__(self) -> None:
        self._reports: dict[str, worker.Report] = {}

    def report(self, folder: str, report: worker.Report) -> None:
        """Note how far a run is."""
        self._reports[folder] = report

    def reports(self) -> dict[str, worker.Report]:
        """How far each run is, by folder."""
        return self._reports


def _work(job: Job, threads: int, board: Any, folder: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    _go_to(folder)
    result = worker.carry_out(job, threads, partial(board.report.remote, str(job.folder)))
    return result, worker.result_files(job.folder)


def _probe(job: Job, threads: int, board: Any, folder: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    _go_to(folder)
    return worker.probe(job, threads), {}


def _go_to(folder: str) -> None:
    """Work where the comparison was started, so that paths mean the same; on another computer, where there is one."""
    if os.path.isdir(folder):
        os.chdir(folder)


def run_all(
    ray: Any,
    jobs: Sequence[Job],
    resources: Resources,
    memory_mb: Callable[[Job], float],
    *,
    gpu_share: Callable[[Job], float] = lambda job: 0.0,
    probe: bool = False,
    done: Callable[[Job, Mapping[str, Any]], None] = lambda job, result: None,
    tick: Callable[[Mapping[str, worker.Report]], None] = lambda reports: None,
) -> None:
    """Carry out runs, as many at once as cores, GPUs and memory allow, in their order.

    Args:
        ray: What :func:`cluster` gives.
        jobs: The runs.
        resources: What each gets.
        memory_mb: Memory to reserve for a run.
        gpu_share: Part of a GPU's memory that a run needs; it then gets at least this part of the GPU.
        probe: Only estimate what each costs.
        done: Is told of each run that ended: its record, its cost, or ``{"failed": reason}``.
        tick: Is told twice a second how far the running ones are, by folder.
    """
    board = ray.remote(num_cpus=0)(Board).remote()
    most = max((node["Resources"].get("memory", 0) for node in ray.nodes()), default=0)
    # Ray does not count how often it kills for want of memory: it would start such a run again without end
    task = ray.remote(max_calls=1, max_retries=0)(_probe if probe else _work)
    threads = {name: str(resources.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    pending: dict[Any, Job] = {}
    lost: set[Job] = set()

    def start(job: Job) -> None:
        needed = memory_mb(job) * MEGABYTE
        if needed > most:
            done(job, {"failed": f"needs about {needed / 2**30:.1f} GB, and there are {most / 2**30:.1f} GB"})
            return
        gpus = resources.gpus if resources.gpus >= 1 else max(resources.gpus, gpu_share(job) * bool(resources.gpus))
        options = {"num_cpus": resources.threads, "num_gpus": gpus, "memory": int(needed)}
        options["runtime_env"] = {"env_vars": threads}
        pending[task.options(**options).remote(job, resources.threads, board, os.getcwd())] = job

    for job in jobs:
        start(job)
    asked = [board.reports.remote()]
    while pending:
        ready, _ = ray.wait([*pending, *asked], num_returns=1, timeout=POLL_SECONDS)
        for reference in ready:
            if reference in asked:
                try:
                    tick(ray.get(reference))
                    time.sleep(POLL_SECONDS)
                    asked = [board.reports.remote()]
                except ray.exceptions.RayError:  # the board was lost; ray 2.60 started no more runs while one asked on
                    asked = []
            else:
                job = pending.pop(reference)
                result = _result_of(ray, reference, job)
                if result is not None:
                    done(job, result)
                elif job in lost:
                    done(job, {"failed": LOST})
                else:
                    lost.add(job)
                    start(job)


def _result_of(ray: Any, reference: Any, job: Job) -> Mapping[str, Any] | None:
    """The result of a run that ended, whose record is then on this machine; None if its process was lost."""
    try:
        result, files = ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # the process lives, and the run could not be begun there
        return {"failed": worker.reason_of(error.cause)}
    except ray.exceptions.RayError:
        return None
    for name, content in files.items():
        if not (job.folder / name).exists():  # it ran on another machine, without a shared disk
            job.folder.mkdir(parents=True, exist_ok=True)
            with checkpoint_io.writing(job.folder / name) as file:
                file.write(content)
    return result
