"""What is written down of a finished run in ``result.json``."""

from __future__ import annotations

import hashlib
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from recbole_samrec.data.validate.layout import Layout
from recbole_samrec.integration.registry import source_hash
from recbole_samrec.trainer.trainer import SAMTrainer
from recbole_samrec.utils.paths import CHECKOUT
from recbole_samrec.utils.settings import plain_config
from recbole_samrec.version import __version__


def describe(
    config: Any, dataset: Any, trainer: Any, test: Mapping[str, float] | None, seconds_total: float, sha256: str
) -> dict[str, Any]:
    """The record of a finished run that other programs rely on; its keys are explained in the README.

    Args:
        config: RecBole's configuration.
        dataset: RecBole's data set, with the number of ``interactions`` and the hash of its ``attributes``.
        trainer: RecBole's trainer, after training.
        test: Metrics of the test set, if there is one.
        seconds_total: Time that the whole run took.
        sha256: Hash of the interactions.
    """
    ours = isinstance(trainer, SAMTrainer)  # boosted trees have no epochs, steps or parameters
    seconds = list(trainer.seconds.values()) if ours else []
    source = source_hash(config.model_class)
    return {
        "model": config["model"],
        "label": label(config),
        "dataset": config["dataset"],
        "seed": config["seed"],
        "config": settings_of(config),
        "data": {
            "users": dataset.user_num - 1,
            "items": dataset.item_num - 1,
            "interactions": dataset.interactions,
            "sha256": sha256,
            **({"attributes_sha256": dataset.attributes} if dataset.attributes else {}),
        },
        **({"source_sha256": source} if source else {}),
        "versions": versions(),
        "revision": revision(),
        "device": device_name(config["device"]),
        "parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad) if ours else None,
        "epochs_run": len(trainer.train_loss_dict) if ours else None,
        "best_epoch": trainer.best_epoch if ours and trainer.best_epoch >= 0 else None,
        "seconds_per_epoch": statistics.median(seconds) if seconds else None,
        "seconds_total": seconds_total,
        "peak_memory_mb": peak_memory_mb(config["device"]),
        "skipped_steps": trainer.sam_step.skipped if ours else None,
        **({"pretraining": trainer.pretraining} if ours and trainer.pretraining else {}),
        **({"sharpness": trainer.tracker.history} if ours and trainer.tracker.history else {}),
        "valid": renamed(trainer.best_valid_result),
        "test": renamed(test),
    }


def label(config: Mapping[str, Any]) -> str:
    """The name under which tables show a run: what was trained, rather than by which class.

    SAMRec without SAM is SASRec; other models with SAM are marked, and so are losses, variants of SAM, and RecBole's
    own pre-training.

    Example: ``SAMRec``, ``SASRec (SSM)``, ``SAMRec (looksam)``, ``GRU4Rec+SAM``, ``S3Rec (RecBole)``.
    """
    name, with_sam, ours = config["model"], bool(config["sam_rho"]), config["model"] == "SAMRec"
    if ours and not with_sam:
        name = "SASRec"
    elif with_sam and not ours:
        name += "+SAM"
    marks = [config["loss_type"]] if ours and config["loss_type"] != "CE" else []
    if name.startswith("S3Rec") and config["pretraining"] == "recbole":
        marks.append("RecBole")
    if with_sam and config["sam_variant"] not in (None, "sam"):
        marks.append(config["sam_variant"])
    return f"{name} ({', '.join(marks)})" if marks else name


def renamed(metrics: Mapping[str, float] | None) -> dict[str, float] | None:
    """RecBole's metrics under the field's names: ``hit@10`` is ``hr@10``."""
    if metrics is None:
        return None
    return {field_name(name): float(value) for name, value in metrics.items()}


def field_name(metric: str) -> str:
    """The field's name of a metric that RecBole or a user writes as ``Hit@10``: ``hr@10``."""
    return metric.lower().replace("hit@", "hr@")


def settings_of(config: Any) -> dict[str, Any]:
    """The settings of a run without those of its folder, so that another run may use them."""
    drop = ("run_dir", "resume", "quiet_terminal", "checkpoint_dir")
    return {key: value for key, value in plain_config(config).items() if key not in drop}


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that a result depends on."""
    names = ("recbole-samrec", "recbole", "torch", "numpy", "pandas", "scipy", "ray")
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


def _version(package: str) -> str | None:
    if package == "recbole-samrec":
        return __version__
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


CODE = ("recbole_samrec", "properties", "benchmarks")
"""What of a checkout makes a result."""
DIRTY = "-dirty"
"""Behind a revision from which the code was changed."""


def revision() -> str | None:
    """The git revision of a checkout that the code runs from, with ``-dirty`` if the code was changed; else None."""
    here = CHECKOUT
    if not (here / ".git").exists():
        return None
    try:
        name = _git(here, "rev-parse", "--short=12", "HEAD")
        return f"{name}{DIRTY}" if _git(here, "status", "--porcelain", "--", *CODE) else name
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()


def device_name(device: torch.device) -> str:
    """Name of the GPU, or of the CPU with the number of threads that the run had."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{cpu_name()} ({threads} {'threads' if threads > 1 else 'thread'})"


def cpu_name() -> str:
    """What the CPU calls itself, or at least its kind."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine() or "cpu"


def peak_memory_mb(device: torch.device) -> float:
    """The most memory that was in use: on the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource  # there is none on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def data_hash(config: Any) -> str:
    """The sha256 of the interaction file, or of all of them for benchmark files."""
    folder, name = Path(config["data_path"]), config["dataset"]
    parts = config["benchmark_filename"]
    files = [f"{name}.{part}.inter" for part in parts] if parts else [f"{name}.inter"]
    return _sha256(folder / file for file in files)


def attributes_hash(config: Any) -> str | None:
    """The sha256 of the other files of a data set that are loaded, such as ``.item``; None if there are none."""
    folder, name, layout = Path(config["data_path"]), config["dataset"], Layout.of(config.final_config_dict)
    files = [folder / f"{name}.{suffix}" for suffix in ("user", "item", "kg", "link") if layout.loads_any(suffix)]
    there = [file for file in files if file.is_file()]
    return _sha256(there) if there else None


def _sha256(files: Iterable[Path]) -> str:
    """The sha256 of files one after the other, read piece by piece, as they may be larger than the memory."""
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()
