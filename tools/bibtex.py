"""The entries of ``CITATION.cff`` as BibTeX."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

CITATION = Path(__file__).resolve().parents[1] / "CITATION.cff"
WIDTH = 100
"""Columns of a line."""
VERBATIM = ("doi", "url")
"""Fields in which an underscore is one."""


def render_bibtex() -> str:
    """Return the paper, RecBole and this software as a block of BibTeX."""
    citation = yaml.safe_load(CITATION.read_text(encoding="utf-8"))
    papers = (citation["preferred-citation"], citation["references"][0])
    entries = "\n\n".join([*map(format_paper, papers), format_software(citation)])
    return f"```bibtex\n{entries}\n```"


def format_paper(paper: Mapping[str, Any]) -> str:
    """Return a conference paper as an entry, named by its first author and year."""
    fields = {
        "author": _join_authors(paper),
        "title": f"{{{paper['title']}}}",
        "booktitle": paper["collection-title"],
        "pages": f"{paper['start']}--{paper['end']}" if "start" in paper else "",
        "year": paper["year"],
        "doi": paper["doi"],
    }
    return _format_entry("inproceedings", f"{paper['authors'][0]['family-names'].lower()}{paper['year']}", fields)


def format_software(citation: Mapping[str, Any]) -> str:
    """Return this software as an entry; it has a year once it is released, and an address once it is public."""
    fields = {
        "author": f"{{{citation['authors'][0]['name']}}}",
        "title": f"{{{citation['title']}}}",
        "version": citation["version"],
        "year": str(citation.get("date-released", ""))[:4],
        "url": citation.get("repository-code", ""),
    }
    return _format_entry("software", "recbole_samrec", fields)


def _join_authors(paper: Mapping[str, Any]) -> str:
    return " and ".join(f"{author['family-names']}, {author['given-names']}" for author in paper["authors"])


def _format_entry(kind: str, key: str, fields: Mapping[str, Any]) -> str:
    """Return an entry without its empty fields."""
    texts = {name: str(value) if name in VERBATIM else str(value).replace("_", r"\_") for name, value in fields.items()}
    lines = [
        textwrap.fill(f"  {name} = {{{value}}},", WIDTH, subsequent_indent="    ", break_on_hyphens=False)
        for name, value in texts.items()
        if value
    ]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])
