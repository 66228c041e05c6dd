"""The record of a finished run, ``result.json``: its fields, and how it is read, written and upgraded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

from recbole_samrec.config.schema import upgrade_settings
from recbole_samrec.utils.files import write_atomically
from recbole_samrec.utils.settings import serialize_config

RESULT = "result.json"
"""Name of the file in the folder of a run."""
SCHEMA_VERSION: Literal[1] = 1
"""Number of the present form of the record; raised when a field is renamed, removed or changes its meaning."""
SCHEMA_FILE = Path(__file__).with_name("result.schema.json")
"""JSON Schema of the record, for programs in other languages; ``python -m tools.result_schema`` writes it."""
OF_SOME_RUNS = (
    "source_sha256", "pretraining", "retraining", "sharpness", "peak_device_memory_mb", "device_memory_mb",
    "gradient_passes", "cpu_seconds",
)  # fmt: skip
"""Fields that are absent, rather than null, where a run has nothing of the kind."""


class DataRecord(TypedDict):
    """The data of a run, after filtering."""

    users: int
    items: int
    interactions: int
    sha256: Annotated[str, Field(description="hash of the .inter files")]
    split: NotRequired[Annotated[dict[str, Any], Field(description="numbers of a global temporal split")]]
    attributes_sha256: NotRequired[Annotated[str, Field(description="hash of the .user, .item, .kg and .link files")]]


class PretrainingRecord(TypedDict):
    """The pre-training of S3Rec."""

    epochs: int
    seconds: float
    seconds_per_epoch: float
    reused: Annotated[bool, Field(description="true if the weights were computed by an earlier run")]
    file: str
    sha256: Annotated[str, Field(description="hash of the file of weights")]
    gradient_passes: NotRequired[Annotated[float, Field(description="backward passes over its training set")]]
    cpu_seconds: NotRequired[Annotated[float, Field(description="CPU time that its computation took")]]


class RetrainingRecord(TypedDict):
    """The second training, on all events before the test; the other cost fields refer to the first training."""

    epochs: int
    seconds: Annotated[float, Field(description="time of the second training, which seconds_total contains")]
    seconds_per_epoch: float | None
    gradient_passes: NotRequired[Annotated[float, Field(description="passes of the second training")]]
    cpu_seconds: NotRequired[Annotated[float, Field(description="CPU time of the second training")]]


class SharpnessRecord(TypedDict):
    """A measurement of sharpness during training."""

    epoch: Annotated[int, Field(description="number of the epoch, from 0")]
    loss: float
    top_eigenvalue: float
    residual: float
    converged: bool
    ascent_rise: float
    rho: float
    gradient_norm: float
    targets: int


Metrics = dict[str, float]


@dataclass(frozen=True, eq=False, config=ConfigDict(strict=True, extra="forbid"))
class RunRecord(Mapping):
    """The record of a finished run, which other programs may rely on.

    A record is also a mapping from the names of its fields, as the file is: ``record["test"]["ndcg@10"]``.
    """

    model: Annotated[str, Field(description="name of the model")]
    label: Annotated[str, Field(description="name of what was trained, as tables show it")]
    dataset: str
    seed: int
    config: Annotated[
        dict[str, Any], Field(min_length=1, description="every setting; another run may be started with them")
    ]
    data: DataRecord
    versions: Annotated[dict[str, str | None], Field(description="versions of Python and of packages")]
    revision: Annotated[str | None, Field(description="git revision of the code, -dirty if it was changed")]
    device: Annotated[str, Field(description="name of the GPU, or of the CPU with its threads")]
    parameters: Annotated[int | None, Field(description="number of trained weights")]
    epochs_run: int | None
    best_epoch: Annotated[int | None, Field(description="number of the best epoch, from 0")]
    seconds_per_epoch: Annotated[float | None, Field(description="median over the epochs, without validation")]
    seconds_total: Annotated[float, Field(description="time of the whole run, of its earlier parts too if resumed")]
    peak_memory_mb: Annotated[float, Field(description="of the process on the host")]
    skipped_steps: Annotated[int | None, Field(description="optimizer steps whose gradient was inf or nan")]
    valid: Annotated[Metrics | None, Field(description="validation metrics of the best epoch")]
    test: Annotated[Metrics | None, Field(description="test metrics of the best epoch")]
    source_sha256: Annotated[str | None, Field(description="hash of the source of a model of your own")] = None
    pretraining: PretrainingRecord | None = None
    retraining: RetrainingRecord | None = None
    sharpness: list[SharpnessRecord] | None = None
    peak_device_memory_mb: Annotated[
        float | None, Field(description="the most that PyTorch reserved on the GPU, without the CUDA context")
    ] = None
    device_memory_mb: Annotated[float | None, Field(description="memory of the GPU")] = None
    gradient_passes: Annotated[
        float | None,
        Field(
            description="backward passes over a stage's training set, of all stages and trainings; an epoch without "
            "SAM is 1, with SAM 2; a pre-training that was reused counts"
        ),
    ] = None
    cpu_seconds: Annotated[
        float | None,
        Field(
            description="user and system CPU time of all processes of the run, of its earlier parts too if resumed; "
            "a pre-training that was reused counts"
        ),
    ] = None
    schema_version: Literal[1] = SCHEMA_VERSION

    @classmethod
    def from_dict(cls, content: Any) -> RunRecord:
        """Return the record in the content of a file, which an earlier version may have written.

        Raises:
            ValueError: A field is missing, unknown, or has another type.
        """
        if not isinstance(content, dict):
            raise ValueError("it has no fields")
        if content.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
            raise ValueError(f"this package reads schema_version {SCHEMA_VERSION}, not {content['schema_version']}")
        try:
            return cls(**upgrade_record(content))
        except ValidationError as error:
            raise ValueError(_describe_errors(error)) from error

    @classmethod
    def read(cls, file: Path) -> RunRecord:
        """Read a record, which an earlier version may have written.

        Raises:
            OSError: The file cannot be read.
            ValueError: The content is not a record.
        """
        return cls.from_dict(json.loads(file.read_text(encoding="utf-8")))

    def write(self, file: Path) -> None:
        """Write the record so that the file is at every moment either the old one or the new one.

        Raises:
            ConfigError: It cannot be written.
        """
        write_atomically(file, json.dumps(self.to_dict(), indent=2) + "\n")

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the file."""
        content = {"schema_version": self.schema_version, **asdict(self)}
        return {name: value for name, value in content.items() if name not in OF_SOME_RUNS or value is not None}

    def __getitem__(self, name: str) -> Any:
        """Return a field by its name."""
        if name not in set(self):
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the fields in the file."""
        names = (field.name for field in fields(self))
        return (name for name in names if name not in OF_SOME_RUNS or getattr(self, name) is not None)

    def __len__(self) -> int:
        """Return the number of fields in the file."""
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        """Return model, data set, seed and test metrics in one line."""
        test = ", ".join(f"{name} {value:.4f}" for name, value in (self.test or {}).items())
        return f"RunRecord({self.label} on {self.dataset}, seed {self.seed}: {test or 'not tested'})"


def upgrade_record(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a file in the current form; the file stays as it is.

    Args:
        content: The content. Records up to revision 6de9c71 have no ``schema_version``, and earlier names of some
            settings in ``config``.
    """
    if "schema_version" in content:
        return content
    config = content.get("config")
    settings = {"config": upgrade_settings(config)} if isinstance(config, dict) else {}
    return {"schema_version": 1, **content, **settings}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the current form."""
    schema = TypeAdapter(RunRecord).json_schema()
    schema["required"] = ["schema_version", *schema["required"]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _describe_errors(error: ValidationError) -> str:
    """Describe in one line which fields of a record are missing or wrong."""
    missing: dict[str, list[str]] = {}
    wrong = []
    for one in error.errors():
        *places, name = map(str, one["loc"] or ("",))
        if one["type"] in ("missing", "missing_argument"):
            missing.setdefault(".".join(places), []).append(name)
        else:
            wrong.append(f"{'.'.join([*places, name])}: {one['msg']}" if name else one["msg"])
    lacks = []
    for place, names in missing.items():
        more = f" and {len(names) - 3} other fields" if len(names) > 3 else ""
        lacks.append(f"{place or 'it'} has no {' and no '.join(names[:3])}{more}")
    return "; ".join([*lacks, *wrong])


SAM_STAGES = {"pretraining": "pre-training", "both": "both stages"}
"""Marks of the stages of S3Rec in which SAM acts, where it is not fine-tuning alone."""


def make_label(config: Mapping[str, Any]) -> str:
    """Return the name of a run in tables: the method that was trained, rather than its class.

    SAMRec without SAM is SASRec; other models with SAM are marked, and so are losses, variants of SAM, stages in which
    it acts, averages of weights, and RecBole's own pre-training.

    Example: ``SAMRec``, ``SASRec (SSM)``, ``SAMRec (looksam)``, ``GRU4Rec+SAM``, ``GRU4Rec (ema 0.999)``.
    """
    name, with_sam, ours = config["model"], bool(config["sam_rho"]), config["model"] == "SAMRec"
    if ours and not with_sam:
        name = "SASRec"
    elif with_sam and not ours:
        name += "+SAM"
    marks = [config["loss_type"]] if ours and config["loss_type"] != "CE" else []
    if name.startswith("S3Rec") and config["pretraining"] == "recbole":
        marks.append("RecBole")
    if name.startswith("S3Rec") and with_sam and config["train_stage"] == "both":
        marks += [mark for stage, mark in SAM_STAGES.items() if config["sam_stage"] == stage]
    if with_sam and config["sam_variant"] not in (None, "sam"):
        marks.append(config["sam_variant"])
    if config["weight_average"]:
        marks.append(config["weight_average"])
    return f"{name} ({', '.join(marks)})" if marks else name


def rename_metrics(metrics: Mapping[str, float] | None) -> dict[str, float] | None:
    """Return RecBole's metrics under the field's names: ``hit@10`` becomes ``hr@10``."""
    if metrics is None:
        return None
    return {field_name(name): float(value) for name, value in metrics.items()}


def field_name(metric: str) -> str:
    """Return the field's name of a metric that RecBole or a user writes as ``Hit@10``: ``hr@10``."""
    return metric.lower().replace("hit@", "hr@")


def extract_settings(config: Any) -> dict[str, Any]:
    """Return the settings of a run without those of its folder, so that another run may use them."""
    drop = ("run_dir", "resume", "quiet_terminal", "checkpoint_dir", "known_data", "changed_data", "selects_epoch")
    return {key: value for key, value in serialize_config(config).items() if key not in drop}
