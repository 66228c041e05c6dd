"""Start Ray on this machine or join a cluster, and measure how many runs fit and how much memory each gets."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import shutil
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_samrec.config.value_types import Count, NonNegative, describe_type, is_accepted
from recbole_samrec.experiments.ray_environment import choose_token, use_temporary_folder
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.home import use_own_home
from recbole_samrec.utils.paths import PACKAGE, PROPERTIES
from recbole_samrec.utils.settings import NO_GPU

MEGABYTE = 2**20
LOOPBACK = "127.0.0.1"
UNKNOWN_MB = 2000.0
"""Memory that is reserved for a run whose use is unknown, or an equal share of all memory if that is less."""
MOST_ON_A_GPU = 8
"""Largest number of runs that share a GPU unless ``--gpus`` says otherwise; more mainly wait for one another."""


@dataclass(frozen=True)
class Resources:
    """Resources of each run, and their origin; :func:`choose_resources` checks them.

    Args:
        threads: Threads, and so cores, of each run.
        parallel: Largest number of runs at once; None for as many as there are cores.
        gpus: GPUs of each run, which may be a part of one; 0 for the CPU; None for what a run needs, where there are
            GPUs.
        address: Address of a Ray cluster; None starts Ray on this machine for the time of the command.
        host: Address at which a Ray that is started here listens.
        dashboard: True to show its dashboard.
    """

    threads: int = 1
    parallel: int | None = None
    gpus: float | None = None
    address: str | None = None
    host: str = LOOPBACK
    dashboard: bool = False


def choose_resources(
    threads: int = 1,
    parallel: int | None = None,
    gpus: float | None = None,
    address: str | None = None,
    host: str = LOOPBACK,
    dashboard: bool = False,
) -> Resources:
    """Check the resources of each run; see :class:`Resources` for the arguments.

    Raises:
        ConfigError: A number is out of its range.
    """
    for name, number, kind in (("threads", threads, Count), ("parallel", parallel, Count), ("gpus", gpus, NonNegative)):
        if number is not None and not is_accepted(kind, number):
            raise ConfigError(f"--{name}={number}: must be {describe_type(kind)}")
    if gpus is not None and gpus > 1 and gpus != int(gpus):
        raise ConfigError(f"--gpus={gpus}: must be a fraction of a GPU, or a whole number of GPUs")
    return Resources(threads, parallel, gpus, address, host, dashboard)


@dataclass(frozen=True)
class Capacity:
    """Capacity of a cluster.

    Args:
        parallel: Number of runs at once that cores, GPUs and ``--parallel`` allow.
        largest_mb: Memory of the computer that has the most.
        total_mb: Memory of all computers.
        node: Ray's name of this computer.
        gpus: Number of GPUs.
    """

    parallel: int
    largest_mb: float
    total_mb: float
    node: str
    gpus: float = 0

    def reserved_mb(self, wanted_mb: float | None) -> float:
        """Memory to reserve for a run: the requested memory, or the default if nothing is known."""
        return min(UNKNOWN_MB, 0.9 * self.total_mb / self.parallel) if wanted_mb is None else wanted_mb

    def reserved_gpus(self, resources: Resources, settings: Mapping[str, Any], share: float | None) -> float:
        """GPUs to reserve for a run, 0 if it uses the CPU.

        Args:
            resources: Resources of each run.
            settings: Settings of the run, of which ``use_gpu`` and ``gpu_id`` may request the CPU.
            share: Part of a GPU's memory that it needs; None if that is not known.
        """
        on_cpu = settings.get("use_gpu") is False or str(settings.get("gpu_id", 0)) in NO_GPU
        if on_cpu or not self.gpus or resources.gpus == 0:
            return 0.0
        if resources.gpus is None:
            return 1.0 if share is None else max(share, 1 / MOST_ON_A_GPU)
        return max(resources.gpus, share or 0.0) if resources.gpus < 1 else resources.gpus


def measure_capacity(ray: Any, resources: Resources) -> Capacity:
    """Measure how many runs of these resources fit at once, and how much memory there is.

    Raises:
        ConfigError: Not even one run fits.
    """
    there = ray.cluster_resources()
    gpus = there.get("GPU", 0)
    most = there.get("CPU", 1) / resources.threads
    if resources.gpus:
        most = min(most, gpus / resources.gpus)
    if most < 1:
        flag, unit = f"--threads={resources.threads}", "cores"
        if there.get("CPU", 1) >= resources.threads:
            flag, unit = f"--gpus={resources.gpus:g}", "GPUs"
        raise ConfigError(f"{flag}: there are not enough {unit} for one run; use a smaller value")
    memory = [node["Resources"].get("memory", 0) / MEGABYTE for node in ray.nodes() if node["Alive"]]
    parallel = int(min(most, resources.parallel or most))
    return Capacity(parallel, max(memory, default=0.0), sum(memory), ray.get_runtime_context().get_node_id(), gpus)


@contextlib.contextmanager
def connect_ray(resources: Resources, store_mb: float = 100) -> Iterator[Any]:
    """Start Ray on this machine, or join a cluster, and leave it at the end.

    Args:
        resources: Resources of each run.
        store_mb: Memory of the object store of a Ray that is started here, in which runs share data.

    Yields:
        The module ``ray``.

    Raises:
        ConfigError: There is no cluster at the address, or no folder for temporary files.
    """
    with use_own_home():
        yield from _connect(resources, store_mb)


class RayConnection(contextlib.AbstractContextManager["RayConnection"]):
    """Connection to Ray for the stages of a command: made when the first stage needs it, closed after the last.

    Args:
        resources: Resources of each run.
    """

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self._stack = contextlib.ExitStack()
        self._ray: Any = None

    def open(self) -> Any:
        """Return the module ``ray``, connected; see :func:`connect_ray` for errors."""
        if self._ray is None:
            self._ray = self._stack.enter_context(connect_ray(self.resources))
        return self._ray

    def __exit__(self, *error: object) -> None:
        """Close the connection, if there is one."""
        self._ray = None
        self._stack.close()


def _connect(resources: Resources, store_mb: float) -> Iterator[Any]:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # with Ray's default of 15, every other process has priority
    ray = _import_ray()
    logging.getLogger("ray").setLevel(logging.ERROR)
    if ray.is_initialized():  # as in a notebook; the connection stays open after the runs
        if resources.address:
            raise ConfigError(
                f"--address={resources.address}: Ray already runs in this process; call ray.shutdown() first"
            )
        yield ray
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": False}
    threads = {name: str(resources.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    options["runtime_env"] = {"env_vars": threads}
    if (quoted := shlex.quote(sys.executable)) != sys.executable and not resources.address:
        options["runtime_env"]["py_executable"] = quoted  # Ray inserts it unquoted into a shell command
    if resources.address:
        _require_listener(resources.address)
        with tempfile.TemporaryDirectory(prefix="recbole-samrec-") as folder:
            options["runtime_env"]["py_modules"] = [str(_copy_package(Path(folder)))]
            try:
                ray.init(resources.address, **options)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise ConfigError(f"--address={resources.address}: there is no Ray cluster ({error})") from error
    else:
        cores = os.cpu_count() or 1
        slots = resources.parallel * resources.threads if resources.parallel else max(cores, resources.threads)
        choose_token()
        with _listen_on(resources.host), use_temporary_folder():
            ray.init(
                "local",  # otherwise it would join any Ray that runs on this machine
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


def _import_ray() -> Any:
    """Import Ray without the advice to install ipywidgets, which it and tqdm give in a notebook."""
    logging.getLogger("ray.widgets.util").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        import ray
        import tqdm.auto  # noqa: F401  by Ray, later
    return ray


@contextlib.contextmanager
def _listen_on(host: str) -> Iterator[None]:
    """Make a local Ray listen on the loopback address if requested; its default is this machine's own address.

    Ray does so if it runs on one computer only, as on Windows.
    """
    name = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
    constants: Any = sys.modules.get("ray._private.ray_constants")
    if host != LOOPBACK or name in os.environ:
        yield
        return
    os.environ[name], before = "0", getattr(constants, "ENABLE_RAY_CLUSTER", None)
    try:
        if before is not None:  # this process read the variable when it imported Ray
            constants.ENABLE_RAY_CLUSTER = False
        yield
    finally:
        del os.environ[name]
        if before is not None:
            constants.ENABLE_RAY_CLUSTER = before


def _require_listener(address: str) -> None:
    """Check that something listens at an address; Ray would try for minutes.

    Raises:
        ConfigError: Names the address.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address in ("auto", "local") or not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--address={address}: there is no answer ({error}); start Ray there or correct the address"
        ) from error


def _copy_package(folder: Path) -> Path:
    """Copy this package as a wheel would install it, so that Ray can send it to the other computers of a cluster."""
    package = folder / "recbole_samrec"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    if not (package / "properties").exists():
        shutil.copytree(PROPERTIES, package / "properties")
    return package
