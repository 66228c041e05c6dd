"""Writes ``properties/*.yaml`` and ``docs/reference/settings.md`` from the schema of settings.

python -m tools.write_properties            # write
python -m tools.write_properties --check    # fail if a file is not up to date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from recbole_samrec.config.schema import (
    ABOUT_MODELS,
    COMMAND_DEFAULTS,
    DEFAULTS_OF_MODELS,
    MODEL_GROUPS,
    RENAMED,
    SHARED_GROUPS,
    WHY,
    Group,
    Setting,
    collect_model_settings,
    list_group_settings,
    list_model_groups,
)
from recbole_samrec.config.value_types import describe_type, list_base_types, list_choices
from tools.stale_files import write_stale

ROOT = Path(__file__).resolve().parents[1]
NOTICE = "# Written by `python -m tools.write_properties` from recbole_samrec/config/schema.py; change it there.\n"
WIDTH = 32
"""Column at which comments begin."""


def render_files() -> dict[Path, str]:
    """Map the files that this program writes to their content."""
    properties = ROOT / "properties"
    texts = {properties / "overall.yaml": render_overall_yaml(), properties / "command.yaml": render_command_yaml()}
    texts |= {properties / "model" / f"{model}.yaml": render_model_yaml(model) for model in ABOUT_MODELS}
    return texts | {ROOT / "docs" / "reference" / "settings.md": render_settings()}


# yaml -----------------------------------------------------------------------------------------------------------------


def render_overall_yaml() -> str:
    """Return the defaults of every model."""
    head = f"# Defaults of recbole_samrec for every model; they take precedence over RecBole's.\n{NOTICE}"
    parts = (f"# {group.heading}\n{_lines(list_group_settings(group))}" for group in SHARED_GROUPS)
    return "\n".join([head, *parts])


def render_command_yaml() -> str:
    """Return the defaults of our commands."""
    head = (
        f"# Defaults of our commands for models that are evaluated by ranking; your settings take precedence.\n{NOTICE}"
    )
    return head + "".join(f"{key}: {format_yaml(value)}\n" for key, value in COMMAND_DEFAULTS.items())


def render_model_yaml(model: str) -> str:
    """Return the defaults of one of our models."""
    parts = [f"# {model}: {ABOUT_MODELS[model]}\n{NOTICE}"]
    declared = collect_model_settings(model)
    for group in list_model_groups(model):
        lines = _lines(declared[one.key] for one in list_group_settings(group))
        parts.append(f"# {group.heading}\n{lines}")
    of_groups = {one.key for group in list_model_groups(model) for one in list_group_settings(group)}
    others = {key: value for key, value in DEFAULTS_OF_MODELS[model].items() if key not in of_groups}
    lines = "".join(
        _line(key, value, WHY.get((model, key)) or _comment(declared[key])) for key, value in others.items()
    )
    return "\n".join([*parts, f"# Other defaults\n{lines}"] if lines else parts)


def _lines(settings: Iterable[Setting]) -> str:
    return "".join(_line(one.key, one.default, _comment(one)) for one in settings)


def _line(key: str, value: Any, comment: str) -> str:
    return f"{f'{key}: {format_yaml(value)}  ':<{WIDTH}}# {comment}\n"


def _comment(one: Setting) -> str:
    names = "|".join(dict.fromkeys(kind.__name__ for kind in list_base_types(one.annotation) if kind is not tuple))
    values = (
        f" One of {', '.join(map(str, list_choices(one.annotation)))}." if len(list_choices(one.annotation)) > 1 else ""
    )
    return f"({names}) {one.about}{values}"


def format_yaml(value: Any) -> str:
    """Return a value as yaml writes it on a line."""
    if value is None or isinstance(value, bool):
        return "~" if value is None else str(value)
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).split("\n")[0]


# The page -------------------------------------------------------------------------------------------------------------

INTRODUCTION = """# Settings

This page lists the settings that this package adds. RecBole's own settings work as documented by RecBole. Pass a
setting on the command line as `--key=value`, in Python as a keyword argument, or in a yaml file with `--config_files`.
In the tables, `~` is YAML's empty value (None in Python). Invalid values and unknown names raise an error before any
data are read. [Differences from RecBole](../explanation/differences.md) describes the settings that change RecBole's
results.
"""

NOTES = """## Notes

- [SAM for any RecBole model](../how_to/sam.md) lists the models and optimizers that SAM works with.
- With hundreds of thousands of items, use a sampled loss and sparse updates ([Large
  catalogs](models.md#large-catalogs)).
- `clip_grad_norm`, a setting of RecBole, also accepts a number.
- The commands use {commands} by default for models that rank items.
- [Your model](../how_to/own_model.md#2-write-its-settings) explains the settings of your own model.
"""


def render_settings() -> str:
    """Return the page of all settings."""
    parts = [INTRODUCTION, "## Every model\n"]
    parts += [_section(group) for group in SHARED_GROUPS]
    parts.append("## Single models\n")
    parts += [_section(group) for group in MODEL_GROUPS]
    commands = " and ".join(f"`{key}: {format_yaml(value)}`" for key, value in COMMAND_DEFAULTS.items())
    parts.append(NOTES.format(commands=commands))
    renamed = "".join(f"| `{old}` | `{new}` |\n" for old, new in RENAMED.items())
    parts.append(
        "## Renamed settings\n\nFiles and checkpoints with earlier names are still read.\n\n"
        f"| earlier | now |\n| --- | --- |\n{renamed}"
    )
    return "\n".join(parts)


def _section(group: type[Group]) -> str:
    models = f" ({', '.join(group.models)})" if group.models else ""
    head = f"### {group.heading}{models}\n\n{group.__doc__}\n\n"
    head += "| setting | default | value | meaning |\n| --- | --- | --- | --- |\n"
    return head + "".join(_line_of_table(one) for one in list_group_settings(group))


def _line_of_table(one: Setting) -> str:
    about = f"{one.about} Used only with {_code(one.reads)}." if one.reads else one.about
    return f"| `{one.key}` | {_defaults(one)} | {_escape(describe_type(one.annotation))} | {_escape(about)} |\n"


def _defaults(one: Setting) -> str:
    """Return the default, and the defaults of models that have another one."""
    others: dict[str, list[str]] = {}
    for model, defaults in DEFAULTS_OF_MODELS.items():
        if model in (one.group.models or ABOUT_MODELS) and defaults.get(one.key, one.default) != one.default:
            others.setdefault(format_yaml(defaults[one.key]), []).append(model)
    return "; ".join(
        [f"`{format_yaml(one.default)}`", *(f"`{value}` for {', '.join(of)}" for value, of in others.items())]
    )


def _code(reads: str) -> str:
    return ", ".join(" and ".join(f"`{word}`" for word in part.split(" and ")) for part in reads.split(", "))


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("['*LayerNorm*']", "`['*LayerNorm*']`")


# ----------------------------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files, or with ``--check`` list those that are not up to date.

    Returns:
        1 if a file is not up to date, else 0.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, and fail if a file is not up to date")
    check = parser.parse_args(argv).check
    return write_stale(render_files(), ROOT, "python -m tools.write_properties", check)


if __name__ == "__main__":
    sys.exit(main())
