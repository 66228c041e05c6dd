"""The version and the oldest packages are the same in all places."""

import re
import tomllib

from recbole_samrec.version import EXTRAS, NEWEST_PYTHON, PYTHON, PYTHONS, REPOSITORY, UV_OVERRIDES, __version__
from tests.helpers.paths import ROOT


def test_version__agrees_with_citation_and_changelog():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^version: (\S+)$", citation, re.MULTILINE)[1] == __version__
    assert re.search(r"^## \[([\d.]+)\]", changelog, re.MULTILINE)[1] == __version__


def test_python__is_the_same_in_the_makefile_and_for_mypy():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    oldest, newest = (tuple(map(int, python.split("."))) for python in (PYTHON, NEWEST_PYTHON))
    assert f"{oldest} <= sys.version_info[:2] <= {newest}" in makefile
    assert f"Python {PYTHON} to {NEWEST_PYTHON};" in makefile and f"Python {PYTHON} to {NEWEST_PYTHON}" in PYTHONS
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["mypy"]["python_version"] == PYTHON


def test_requires__asks_for_the_ray_that_uv_is_told():
    assert (f"ray[tune]>={EXTRAS['tune']['ray[tune]']}",) == UV_OVERRIDES


def test_changelog__has_the_form_of_keep_a_changelog():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    assert releases and all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - (Unreleased|\d{4}-\d\d-\d\d)", one) for one in releases)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", changelog, re.MULTILINE)) <= kinds


def test_repository__is_named_alike_or_nowhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^repository-code: (\S+)$", citation, re.MULTILINE) == [REPOSITORY] * bool(REPOSITORY)
    assert not REPOSITORY or re.fullmatch(r"https://[\w./-]+[\w-]", REPOSITORY)
