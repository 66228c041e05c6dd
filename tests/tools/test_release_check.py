"""The checks before a release, with stand-ins for pip and the installed command."""

import sys
import zipfile
from pathlib import Path

import pytest

from recbole_samrec.version import __version__
from tests.helpers.paths import ROOT
from tools import release_check
from tools.release_check import ReleaseError, check_result, check_versions, find_program, install, run, try_quick_start


@pytest.fixture
def checkout(tmp_path):
    """Write the files that contain the version."""

    def write(citation=__version__, changelog=f"[{__version__}] - 2027-01-31"):
        (tmp_path / "CITATION.cff").write_text(f"title: x\nversion: {citation}\n")
        (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {changelog}\n\n### Added\n")
        return tmp_path

    return write


def test_check_versions__accepts_this_checkout():
    check_versions(ROOT)


def test_check_versions__accepts_a_tag_and_a_date(checkout):
    check_versions(checkout(), f"v{__version__}")


@pytest.mark.parametrize(
    ("places", "tag", "message"),
    [
        ({"citation": "9.9"}, "", "CITATION.cff has version 9.9, and version.py has"),
        ({"changelog": "[9.9] - 2027-01-31"}, "", "CHANGELOG.md has version 9.9"),
        ({"changelog": "[Unreleased]"}, "", "CHANGELOG.md has version None"),
        ({}, "v9.9", "the tag has version 9.9"),
        ({"changelog": f"[{__version__}] - Unreleased"}, f"v{__version__}", "has no date but 'Unreleased'"),
    ],
)
def test_check_versions__names_the_place_that_differs(checkout, places, tag, message):
    with pytest.raises(ReleaseError, match=message):
        check_versions(checkout(**places), tag)


def test_install__follows_the_order_of_the_readme(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(release_check, "run", lambda what, command, folder: commands.append([*map(str, command)]))
    python = install(Path("dist/x.whl"), tmp_path / "environment", "python3.11", "https://index")
    assert commands[0] == ["python3.11", "-m", "venv", str(tmp_path / "environment")]
    torch, wheel, recbole = (command[command.index("install") + 1 :] for command in commands[1:])
    assert {command[0] for command in commands[1:]} == {python}
    assert torch[-1].startswith("torch==") and "https://index" in torch
    assert wheel[-1] == "dist/x.whl" and "--constraint" in wheel  # and no extra
    assert recbole[-2:] == ["--no-deps", "recbole==1.2.1"]


def test_find_program__works_from_another_folder(tmp_path):
    Path("bin").mkdir()
    Path("bin/python").symlink_to(sys.executable)
    assert find_program("bin/python") == str(tmp_path / "bin" / "python")  # not what it points to
    with pytest.raises(ReleaseError, match="bin/nothing: there is no such program"):
        find_program("bin/nothing")


@pytest.mark.parametrize("metrics", [{}, {"ndcg@10": float("nan")}, {"ndcg@10": 1.5}])
def test_check_result__rejects_what_is_no_result(metrics):
    check_result({"test": {"ndcg@10": 0.05, "recall@10": 0.0}})
    with pytest.raises(ReleaseError, match="the quick start ended"):
        check_result({"test": metrics})


def test_run__reports_the_end_of_the_output(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/of/the/checkout")
    code = "import os; print(os.environ.get('PYTHONPATH'))"
    assert run("printing", [sys.executable, "-c", code], tmp_path) == "None\n"
    with pytest.raises(ReleaseError, match=r"(?s)failing failed with status 3:.*no luck"):
        run("failing", [sys.executable, "-c", "import sys; print('no luck'); sys.exit(3)"], tmp_path)


def test_try_quick_start__refuses_the_checkout(tmp_path):
    """The environment must have the wheel, not the files beside it."""
    made = tmp_path / "python"
    made.write_text(f"#!/bin/sh\necho {__version__} {ROOT}/recbole_samrec/__init__.py\n")
    made.chmod(0o755)
    with pytest.raises(ReleaseError, match="not the wheel"):
        try_quick_start(str(made), tmp_path)


def test_build__makes_the_wheel_from_the_source_distribution(tmp_path):
    sdist, wheel = release_check.build(ROOT, tmp_path / "dist")
    assert (sdist.name, wheel.name) == (
        f"recbole_samrec-{__version__}.tar.gz",
        f"recbole_samrec-{__version__}-py3-none-any.whl",
    )
    names = zipfile.ZipFile(wheel).namelist()
    assert "recbole_samrec/cli/main.py" in names and "recbole_samrec/properties/overall.yaml" in names
