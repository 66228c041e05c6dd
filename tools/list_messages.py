"""Print every error and every remark of the package as a table in Markdown: ``python -m tools.list_messages``.

A message is found where it is raised, noted or logged; parts that are computed stand in braces, by their expression.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parent.parent / "recbole_samrec"
REMARKS = {"note", "print_note", "warning", "warn"}
"""Functions and methods that show a remark."""


class Message(NamedTuple):
    """A message: its kind (``error`` or ``remark``), its text, and the file and line where it is made."""

    kind: str
    text: str
    place: str


def list_messages() -> list[Message]:
    """List all messages, by folder and line."""
    return [message for file in sorted(PACKAGE.rglob("*.py")) for message in _read(file)]


def _read(file: Path) -> Iterator[Message]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        kind = "error" if name.endswith("Error") else "remark" if name in REMARKS else ""
        texts = [_describe(argument) for argument in node.args] if kind else []
        text = next((text for text in texts if " " in text), "")
        if text:
            yield Message(kind, text, f"{file.relative_to(PACKAGE).as_posix()}:{node.lineno}")


def _describe(node: ast.AST) -> str:
    """Return the text of a string, with what is computed in braces; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_describe(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return "{" + ast.unparse(node.value) + "}"
    return ""


def make_table() -> str:
    """Return the table of all messages."""
    lines = ["| kind | message | place |", "| --- | --- | --- |"]
    lines += [f"| {one.kind} | {one.text.replace('|', chr(92) + '|')} | `{one.place}` |" for one in list_messages()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(make_table())
