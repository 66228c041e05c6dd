"""The device of a run: the GPUs that are visible to this process, and the one that it uses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from logging import getLogger
from typing import Any

import torch

from recbole_samrec.compat import Patcher, recbole_patch
from recbole_samrec.config.recbole_config import is_plan
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.settings import NO_GPU

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Variable by which CUDA is told which GPUs there are; it reads the variable once in a process."""
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""Variable without which PyTorch refuses deterministic matrix products on a GPU; it is read once, too."""

_visible_by_us: str | None = None
_was_read = False


@recbole_patch(
    "config/configurator.py _init_device", "CUDA_VISIBLE_DEVICES, use_gpu and a missing GPU are overruled", True
)
def choose_device(patch: Patcher) -> None:
    """Choose the device that the settings name, and gloo for several processes without a GPU."""
    from recbole.config import Config

    patch(Config, "_init_device", init_device)


def init_device(self: Any) -> None:
    """Set ``device``, ``single_spec`` and ``local_rank``, and join the process group of several processes.

    Raises:
        ConfigError: There are fewer GPUs than processes.
    """
    config = self.final_config_dict
    ids = config["gpu_id"]
    ids = ",".join(map(str, ids)) if isinstance(ids, (list, tuple)) else str("" if ids is None else ids)
    config["gpu_id"] = ids
    several = "local_rank" in config
    if is_plan(self):
        config.update(single_spec=True, local_rank=0, device=torch.device("cpu"))
        return
    is_given = "gpu_id" in self.external_config_dict
    if several and not is_given:
        ids = config["gpu_id"] = ",".join(map(str, range(config["nproc"])))
    wanted = config.get("use_gpu") is not False and ids not in NO_GPU
    cuda = wanted and _have_cuda(ids, is_given, config.get("deterministic"))
    if not several:
        config["single_spec"], config["local_rank"] = True, 0
        config["device"] = torch.device("cuda" if cuda else "cpu")
        return
    _join_processes(config, cuda, is_given)


def _join_processes(config: dict[str, Any], cuda: bool, is_given: bool) -> None:
    """Select this process's GPU, and join the process group."""
    rank = config["local_rank"]
    config["single_spec"] = False
    if cuda:
        _require_gpus(config, is_given)
        torch.cuda.set_device(rank)
    config["device"] = torch.device("cuda", rank) if cuda else torch.device("cpu")
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group(
            backend="nccl" if cuda else "gloo",
            rank=rank + config["offset"],
            world_size=config["world_size"],
            init_method=f"tcp://{config['ip']}:{config['port']}",
        )
    if rank != 0:
        config.update(state="error", show_progress=False, verbose=False)


def _require_gpus(config: dict[str, Any], is_given: bool) -> None:
    """Check that each process of this machine has a GPU.

    Raises:
        ConfigError: Says how many GPUs there are.
    """
    nproc, there = config["nproc"], torch.cuda.device_count()
    if there >= nproc:
        return
    one = there == 1
    if os.environ.get(VISIBLE) != config["gpu_id"]:
        where = f"{VISIBLE}={os.environ.get(VISIBLE)} shows only {there} GPU{'' if one else 's'}"
    elif is_given:
        where = f"gpu_id={config['gpu_id']} names only {there} GPU{'' if one else 's'} of this machine"
    else:
        where = f"this machine has only {there} GPU{'' if one else 's'}"
    raise ConfigError(
        f"--nproc={nproc}: {where}; give --nproc={there} or name more GPUs, or --use_gpu=False to train on the CPU"
    )


def _have_cuda(ids: str, is_given: bool, deterministic: Any) -> bool:
    """Make the GPUs of a configuration visible to CUDA, and check whether there are any."""
    global _was_read
    _show_gpus(ids)
    if deterministic:
        os.environ.setdefault(WORKSPACE, ":4096:8")
    there = torch.cuda.is_available()
    _was_read = _was_read or there
    if not there and is_given and torch.backends.cuda.is_built() and os.environ.get(VISIBLE) == ids:
        getLogger().warning(f"gpu_id={ids}: there is no such GPU; using the CPU")
    return there


def _show_gpus(ids: str) -> None:
    """Set the GPUs that CUDA uses, unless the user or a scheduler such as Ray has already done so."""
    global _visible_by_us
    if os.environ.get(VISIBLE, _visible_by_us) != _visible_by_us:
        return
    if _was_read and _visible_by_us not in (None, ids):
        getLogger().warning(
            f"gpu_id={ids} has no effect: this process uses gpu_id={_visible_by_us} since its first run, and CUDA "
            "takes another GPU in a new process only"
        )
        return
    os.environ[VISIBLE] = _visible_by_us = ids


@contextlib.contextmanager
def withdraw_choice() -> Iterator[None]:
    """Let processes that are started in a ``with`` block choose among all GPUs of this machine."""
    ours = _visible_by_us is not None and os.environ.get(VISIBLE) == _visible_by_us
    if ours:
        del os.environ[VISIBLE]
    try:
        yield
    finally:
        if ours:
            os.environ[VISIBLE] = str(_visible_by_us)
