"""Write the JSON Schema of ``result.json`` into the package: ``python -m tools.result_schema``."""

from __future__ import annotations

import json

import recbole_samrec  # noqa: F401  patches RecBole
from recbole_samrec.quick_start.record import SCHEMA_FILE, json_schema


def main() -> None:
    """Write the file."""
    SCHEMA_FILE.write_text(json.dumps(json_schema(), indent=2) + "\n", encoding="utf-8")
    print(f"wrote {SCHEMA_FILE}")


if __name__ == "__main__":
    main()
