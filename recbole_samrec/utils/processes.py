"""Communication of the processes that train one model together (DDP); a run may also have a single process."""

from __future__ import annotations

from typing import Any

import torch


def is_first_process(config: Any) -> bool:
    """Return True in the process that writes files: the only one or the first of several."""
    return bool(config["single_spec"]) or config["local_rank"] == 0


def share_name(config: Any, name: str) -> str:
    """Return the first process's name for a file in every process, because each would choose another."""
    if config["single_spec"] or not torch.distributed.is_initialized():
        return name
    box = [name]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]


def gather_values(config: Any, value: Any) -> list[Any]:
    """Return the values of all processes, in their order."""
    if config["single_spec"] or not torch.distributed.is_initialized():
        return [value]
    values = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def wait_for_all(config: Any) -> None:
    """Wait until every process gets here, so that none reads a file that the first one is still writing."""
    if not config["single_spec"]:
        torch.distributed.barrier()
