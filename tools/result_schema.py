"""Write the JSON Schema of ``result.json`` into the package: ``python -m tools.result_schema``.

The page of the schema shows it as tables.
"""

from __future__ import annotations

import json
from typing import Any

import recbole_samrec  # noqa: F401  patches RecBole
from recbole_samrec.quick_start.record import SCHEMA_FILE, json_schema
from tools.markdown import code, escape, make_table


def main() -> None:
    """Write the file."""
    SCHEMA_FILE.write_text(json.dumps(json_schema(), indent=2) + "\n", encoding="utf-8")
    print(f"wrote {SCHEMA_FILE}")


def render_schema() -> str:
    """Return a table of the keys of the record, and one for each object in it."""
    schema = json_schema()
    parts = [_render_object(schema)]
    for name, one in sorted(schema["$defs"].items()):
        parts.append(f"## {name}\n\n{escape(one['description'])}\n\n{_render_object(one)}")
    return "\n".join(parts)


def _render_object(schema: dict[str, Any]) -> str:
    rows = [
        (code(key), _type(one), "always" if key in schema.get("required", ()) else "some runs", _describe(one))
        for key, one in schema["properties"].items()
    ]
    return make_table(("key", "type", "present", "meaning"), rows)


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return code(str(schema["const"]))
    kind = schema.get("type", "anything")
    return f"{kind} of {_type(schema['items'])}" if kind == "array" else kind


def _describe(schema: dict[str, Any]) -> str:
    return escape(schema.get("description", ""))


if __name__ == "__main__":
    main()
