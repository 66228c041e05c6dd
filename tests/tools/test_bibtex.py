"""The entries of CITATION.cff as BibTeX."""

import re

import yaml

from tools.bibtex import CITATION, WIDTH, format_software, render_bibtex


def test_render_bibtex__has_the_papers_and_this_software():
    text, citation = render_bibtex(), yaml.safe_load(CITATION.read_text(encoding="utf-8"))
    assert re.findall(r"^@(\w+)\{(\w+),$", text, re.M) == [
        ("inproceedings", "lai2023"),
        ("inproceedings", "zhao2021"),
        ("software", "recbole_samrec"),
    ]
    assert text.count("{") == text.count("}")
    assert max(map(len, text.splitlines())) <= WIDTH
    unfolded = " ".join(text.split())
    for paper in (citation["preferred-citation"], citation["references"][0]):
        authors = [f"{author['family-names']}, {author['given-names']}" for author in paper["authors"]]
        assert f"author = {{{' and '.join(authors)}}}," in unfolded
        assert f"title = {{{{{paper['title']}}}}}," in unfolded and f"doi = {{{paper['doi']}}}," in unfolded


def test_format_software__has_year_and_address_once_released():
    citation = yaml.safe_load(CITATION.read_text(encoding="utf-8"))
    address = "https://example.org/name/some_repository"
    text = format_software({**citation, "date-released": "2026-12-01", "repository-code": address})
    assert "year = {2026}," in text and f"url = {{{address}}}," in text
    assert r"{{recbole\_samrec contributors}}" in text
