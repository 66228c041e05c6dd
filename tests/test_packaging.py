import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from recbole_samrec.version import EXTRAS, REPOSITORY, REQUIRES, __version__
from tests.helpers.paths import ROOT

# Written so that this file passes its own test.
MACHINE = re.compile(r"p[y]pi|file:[/]{3}|(?<![\w.~-])/(root|work|opt|home)/")


def requirements(name: str) -> list[Requirement]:
    lines = (ROOT / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def tracked() -> list[str]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in run.stdout.split("\0") if name]


def built(tmp_path_factory, *command: str) -> Path:
    """The file that a build of a clean copy of the checkout creates."""
    pytest.importorskip("setuptools", reason="nothing to build with")
    copy = tmp_path_factory.mktemp("copy") / "a checkout"
    ignore = shutil.ignore_patterns(".*", "__pycache__", "*.inter", "runs", "saved", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=ignore)
    out = tmp_path_factory.mktemp("out")
    run = subprocess.run([sys.executable, *command, str(out)], cwd=copy, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    (file,) = out.iterdir()
    return file


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    return zipfile.ZipFile(built(tmp_path_factory, "-m", "pip", "wheel", *options, ".", "--wheel-dir"))


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    return message_from_bytes(wheel.read(f"recbole_samrec-{__version__}.dist-info/METADATA"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> set[str]:
    code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    file = built(tmp_path_factory, "-c", code)
    folder = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(file, folder)
    (top,) = folder.iterdir()
    return {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}


def settings() -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / "properties").rglob("*.yaml")}


def modules() -> set[str]:
    files = [
        path for kind in ("*.py", "*.jinja", "*.json", "py.typed") for path in (ROOT / "recbole_samrec").rglob(kind)
    ]
    return {path.relative_to(ROOT).as_posix() for path in files}


def test_wheel__holds_modules_and_settings_and_no_more(wheel):
    files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert files == modules() | {f"recbole_samrec/{name}" for name in (*settings(), "docs/models.csv")}


def test_wheel__says_what_it_is(wheel):
    info = f"recbole_samrec-{__version__}.dist-info"
    entry_points = wheel.read(f"{info}/entry_points.txt").decode().splitlines()
    assert "recbole-samrec = recbole_samrec.cli.main:main" in entry_points
    assert f"{info}/licenses/LICENSE" in wheel.namelist()
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert "Name: recbole-samrec\n" in metadata
    assert "Requires-Python: >=3.11,<3.15\n" in metadata
    assert not re.search("^Requires-Dist: recbole", metadata, re.MULTILINE)
    assert "License-Expression: MIT\n" in metadata


def test_wheel__asks_for_ray_and_plotly_in_extras_alone(metadata):
    asked = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    plain = {one.name for one in asked if one.marker is None}
    assert plain == {Requirement(name).name for name in REQUIRES}
    for extra, packages in EXTRAS.items():
        chosen = {one.name for one in asked if one.marker and one.marker.evaluate({"extra": extra})}
        assert chosen == {Requirement(name).name for name in packages}


def test_wheel__is_classified_and_names_the_repository(metadata):
    topics = {name.partition(" :: ")[0] for name in metadata.get_all("Classifier")}
    assert topics >= {"Development Status", "Intended Audience", "Operating System", "Programming Language", "Topic"}
    assert not any(name.startswith("License") for name in metadata.get_all("Classifier"))  # the expression says it
    urls = metadata.get_all("Project-URL") or []
    assert [url.partition(", ")[2].startswith(REPOSITORY) for url in urls] == [True] * (5 if REPOSITORY else 0)


def test_sdist__holds_what_it_takes_to_build_and_test(sdist):
    tests = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py")}
    locks = {f"requirements{kind}.lock" for kind in ("", "-dev", "-docs", "-release")}
    kinds = ("md", "ipynb", "csv", "py", "svg")
    docs = {path.relative_to(ROOT).as_posix() for kind in kinds for path in (ROOT / "docs").rglob(f"*.{kind}")}
    house = {"setup.py", "pyproject.toml", "Makefile", "LICENSE", *locks}
    pages = {"CITATION.cff", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md"}
    assert modules() | settings() | tests | docs | house | pages | {"run_recbole.py"} <= sdist
    assert not any(name.startswith("dataset/") for name in sdist)


def test_locks__begin_with_torch_and_pin_everything():
    lock = requirements("requirements.lock")
    assert lock[0].name == "torch"
    for one in [*lock, *requirements("requirements-dev.lock"), *requirements("requirements-docs.lock")]:
        assert [part.operator for part in one.specifier] == ["=="], one
    assert "recbole" not in {one.name for one in lock}


def test_locks__do_not_pin_a_package_twice():
    names = [
        canonicalize_name(one.name)
        for lock in ("requirements.lock", "requirements-dev.lock", "requirements-docs.lock")
        for one in requirements(lock)
    ]
    assert len(names) == len(set(names))


def test_locks__satisfy_what_setup_asks_for():
    pins = {canonicalize_name(one.name): next(iter(one.specifier)).version for one in requirements("requirements.lock")}
    for name, oldest in (REQUIRES | EXTRAS["report"] | EXTRAS["tune"]).items():
        wanted = Requirement(f"{name}>={oldest}")
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), wanted


def test_files__name_no_registry_and_no_place_on_a_machine():
    found = []
    for name in tracked():
        text = (ROOT / name).read_bytes().decode("utf-8", errors="ignore") if (ROOT / name).is_file() else ""
        found += [f"{name}: {match[0]}" for match in MACHINE.finditer(text)]
    assert not found
