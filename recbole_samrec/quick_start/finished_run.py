"""Load the settings and the checkpoint of a finished run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recbole_samrec.config.build import check_data, configure
from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.data.temporal_held import SELECTS_EPOCH
from recbole_samrec.integration import registry
from recbole_samrec.quick_start.run_folder import SELECTION
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import CheckpointError


def load_finished_run(
    run: str | Path,
    model: str | None = None,
    settings: Mapping[str, Any] | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> tuple[Any, Path]:
    """Find the best checkpoint of a run and build the configuration it was trained with.

    Args:
        run: Folder of a run, or a checkpoint file.
        model: ``file.py:Name`` of your own model; None for other models.
        settings: Settings that replace those of the run.
        note: Called with each remark on the settings.

    Returns:
        RecBole's configuration, and the checkpoint.

    Raises:
        UserError: There is no such run, it is damaged, or a setting or the data cannot be used.
    """
    given = dict(settings or {})
    if model:
        registry.model_from(model)
    file = Path(run) / "best.pth" if Path(run).is_dir() else Path(run)
    if not file.exists():
        raise CheckpointError(f"{file}: there is no such checkpoint; give the folder of a run (runs are in runs/)")
    stored = load_settings(file, trust=bool(given.get("trust_checkpoint")))
    stored |= {"run_dir": None, "checkpoint_dir": str(file.parent), "show_progress": False}
    config = configure(stored, given, note, trains=False)
    config[SELECTS_EPOCH] = file.parent.name == SELECTION
    check_data(config, lambda line: None)
    return config, file


def load_settings(file: Path, trust: bool = False) -> dict[str, Any]:
    """Read the settings that a checkpoint was trained with.

    ``gpu_id`` is left out: it numbers the GPUs of the machine on which the run was trained.

    Args:
        file: The checkpoint.
        trust: Also read a pickled one, which may run code.

    Raises:
        CheckpointError: The file cannot be read, or its model is your own and has not been registered.
    """
    stored = checkpoint_io.extract_run_settings(checkpoint_io.load(file, trust=trust), file)
    if not registry.is_model(stored["model"]):
        raise CheckpointError(f"{file}: custom model; pass its location with --model=file.py:{stored['model']}")
    # gpu_id belongs to the machine; the other one only to the first of two trainings
    left_out = ("gpu_id", SELECTS_EPOCH)
    return {key: value for key, value in upgrade_settings(stored).items() if key not in left_out}
