"""The report of ``data --check``: how RecBole reads a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_samrec.cli.setting_names import check_setting_names
from recbole_samrec.config.yaml_files import parse_settings, read_yaml_files

if TYPE_CHECKING:
    from recbole_samrec.data.validate.findings import Coverage, Findings


def report_dataset(name: str, settings: Sequence[str], config_files: Sequence[str] = ()) -> str:
    """Check a data set as a run does, and describe it.

    Args:
        name: Name of the data set.
        settings: Settings as ``--key=value``.
        config_files: Files with more settings, which ``settings`` override.

    Returns:
        Counts after each filter, other findings and notes, as lines of text.

    Raises:
        UserError: A setting is wrong, or the data set cannot be used with these settings.
    """
    given, base = parse_settings(settings) | {"dataset": name}, read_yaml_files(list(config_files))
    model = (base | given).get("model") or "SAMRec"
    if ":" not in str(model):
        check_setting_names(given, model, name, also=base)

    from recbole_samrec.config.build import check_data, configure
    from recbole_samrec.config.recbole_config import reads_graph
    from recbole_samrec.integration import registry

    if ":" in str(model):
        given["model"] = registry.model_from(str(model))
    notes: list[str] = []
    config = configure(base, given, notes.append, plans=True)
    summary = check_data(config, notes.append)
    if reads_graph(config):
        notes.append("the model also drops the events of items that .link does not connect; this is not counted here")
    lines = [
        f"{name}, as {config['model']} loads it",
        *_format_steps(summary.findings),
        "",
        *_format_rows([*_list_findings(summary.findings, name), *_list_unloaded(config, name)]),
        *(f"  note: {note}" for note in notes),
    ]
    return "\n".join(lines)


def _format_steps(found: Findings) -> Iterator[str]:
    width = max(len(step.name) for step in found.steps)
    yield f"  {'':{width}} {'users':>12} {'items':>12} {'events':>12}"
    for step in found.steps:
        yield f"  {step.name:{width}} {step.users:>12,} {step.items:>12,} {step.events:>12,}"


def _format_rows(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        yield f"  {name:{width}}  {text}"


def _list_findings(found: Findings, name: str) -> Iterator[tuple[str, str]]:
    from recbole_samrec.data.validate.findings import FEW, format_span

    yield "first and last time", format_span(*found.span) if found.span else "not loaded"
    if found.ties is not None:
        yield "equal times", f"{found.ties:.1%} of consecutive events of a user"
    if found.repeated is not None:
        what = "user, item, time" if found.has_times else "user and item"
        yield "repeated rows", f"{found.repeated:,} of {found.steps[0].events:,} (same {what})"
    yield f"users below {FEW} events", f"{found.few:,} of {found.steps[-1].users:,}"
    for one in found.coverage:
        yield from _list_coverage(one, name)
    if found.parts:
        yield "samples", f"{found.parts.train:,} training, {found.parts.valid:,} validation, {found.parts.test:,} test"


def _list_coverage(one: Coverage, name: str) -> Iterator[tuple[str, str]]:
    file = f"{name}.{one.suffix}"
    fate = "dropped" if one.dropped else "kept, without features"
    missing = f"{one.missing:,} of {one.ids:,}; their {one.events:,} events are {fate}" if one.missing else "none"
    if one.alike:
        alike = one.alike
        missing += f"; {alike.number:,} spelled differently ({alike.here!r}, {alike.there!r} in {file})"
    yield f"{one.suffix}s without a row in {file}", missing
    yield f"rows of {file} without events", f"{one.surplus:,}"


def _list_unloaded(config: Any, name: str) -> Iterator[tuple[str, str]]:
    """List the existing files of users and items that these settings do not load."""
    loaded = config["load_col"]
    for suffix in ("user", "item"):
        if loaded is not None and not loaded.get(suffix) and Path(config["data_path"], f"{name}.{suffix}").is_file():
            yield f"{name}.{suffix}", "not loaded; load_col names no column of it"
