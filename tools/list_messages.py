"""Print every error and every remark of the package as a table in Markdown: ``python -m tools.list_messages``.

A message is found where it is raised, noted or logged; parts that are computed stand in braces, by their expression.
The page of troubleshooting shows the same messages by folder, and names the computed parts in words.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tools.folders import read_purposes
from tools.markdown import escape
from tools.markdown import make_table as make_markdown_table

PACKAGE = Path(__file__).resolve().parent.parent / "recbole_samrec"
REMARKS = {"note", "print_note", "warning", "warn"}
"""Functions and methods that show a remark."""
SECTIONS = {"error": "Errors", "remark": "Warnings and notes"}


class Message(NamedTuple):
    """A message.

    Args:
        kind: ``error`` or ``remark``.
        text: Its text; what is computed stands in braces.
        place: The file and line where it is made.
        markdown: Its text as Markdown, with a word in italics for what is computed.
    """

    kind: str
    text: str
    place: str
    markdown: str

    @property
    def folder(self) -> str:
        """Name of the folder of the package that contains the message; empty at the top."""
        return self.place.rpartition("/")[0].partition("/")[0]


def list_messages() -> list[Message]:
    """List all messages, by folder and line."""
    return [message for file in sorted(PACKAGE.rglob("*.py")) for message in _read(file)]


def _read(file: Path) -> Iterator[Message]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        kind = "error" if name.endswith("Error") else "remark" if name in REMARKS else ""
        texts = [argument for argument in node.args if " " in _describe(argument, ast.unparse)] if kind else []
        if texts:
            place = f"{file.relative_to(PACKAGE).as_posix()}:{node.lineno}"
            yield Message(kind, _describe(texts[0], ast.unparse), place, _emphasize(_describe(texts[0], _name)))


def _emphasize(text: str) -> str:
    """Return text as Markdown, with the words in braces in italics; a space separates two such words."""
    return re.sub(r"\\\{(.*?)\\\}", r"*\1*", escape(text.replace("}{", "} {")))


def _describe(node: ast.AST, describe_computed: Callable[[ast.expr], str]) -> str:
    """Return the text of a string, with computed parts in braces; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_describe(part, describe_computed) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return "{" + describe_computed(node.value) + "}"
    return ""


def make_table() -> str:
    """Return the table of all messages."""
    lines = ["| kind | message | place |", "| --- | --- | --- |"]
    lines += [f"| {one.kind} | {one.text.replace('|', chr(92) + '|')} | `{one.place}` |" for one in list_messages()]
    return "\n".join(lines)


def render_messages() -> str:
    """Return the sections of the page of troubleshooting: errors, then remarks, each by folder, without duplicates."""
    parts = []
    for kind, title in SECTIONS.items():
        parts.append(f"## {title}\n")
        chosen = sorted((one for one in list_messages() if one.kind == kind), key=lambda one: one.folder)
        for folder, found in itertools.groupby(chosen, key=lambda one: one.folder):
            purpose = read_purposes().get(folder, "the package and its Python")
            texts = {one.markdown for one in found if _has_words(one.markdown)}
            table = make_markdown_table(["message"], [[text] for text in sorted(texts, key=_sort_key)])
            parts.append(f"### {purpose[0].upper() + purpose[1:]}\n\n{table}")
    return "\n".join(parts)


def _has_words(text: str) -> bool:
    """Return True if a message has a word that is not computed."""
    return re.search(r"[A-Za-z]{3}", re.sub(r"\*[^*]*\*", "", text)) is not None


def _sort_key(text: str) -> str:
    """Return a message in lower case and without markup at its ends, for sorting."""
    return text.strip("*\\").lower()


def _name(node: ast.expr) -> str:
    """Return the most descriptive word of an expression: the last name in it, or an ellipsis."""
    if isinstance(node, ast.Name):
        return node.id.strip("_").replace("_", " ")
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_").replace("_", " ")
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return node.slice.value.replace("_", " ")
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        return _name(node.args[0])
    return "…"


if __name__ == "__main__":
    print(make_table())
