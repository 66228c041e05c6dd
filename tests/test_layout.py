"""The package and its tests are where the map of folders in CONTRIBUTING.md says."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

PACKAGE, TESTS = ROOT / "recbole_samrec", ROOT / "tests"
LONGEST_NAME = 60
FOLDERS = sorted({file.parent for file in TESTS.rglob("*.py")})

COVERED_BY = {
    "__init__.py": "test_import.py",
    "__main__.py": "cli/test_main.py",
    "cli/recommend.py": "quick_start/test_recommend.py",
    "cli/run.py": "cli/test_main.py",
    "compare/captions.py": "compare/test_tables.py",
    "experiments/trial_watcher.py": "tune/test_search_watcher.py",
    "integration/bootstrap.py": "test_import.py",
    "integration/import_hooks.py": "test_import.py",
    "sharpness/api.py": "cli/test_sharpness.py",
    "sharpness/captions.py": "sharpness/test_page.py",
    "tune/__init__.py": "tune/test_api.py",
}
"""Modules without a test file of their own, and the file that tests them all the same."""


def modules() -> list[str]:
    """The files of the package that contain code."""
    files = (file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.py") if ast.parse(file.read_text()).body[1:])
    return sorted(file.as_posix() for file in files)


def own_test(module: str) -> Path:
    """The test file at the mirrored place; the code of a package's ``__init__`` is tested under the folder's name."""
    path = Path(module)
    stem = path.parent.name if path.stem == "__init__" else path.stem
    return TESTS / path.parent / f"test_{stem}.py"


def long_names() -> list[tuple[str, str]]:
    """All tests with names that are too long: file and name."""
    return [test for folder in FOLDERS for test in named_tests(folder) if len(test[1]) > LONGEST_NAME]


def named_tests(folder: Path) -> list[tuple[str, str]]:
    """The tests of a folder: file and name."""
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in folder.glob("test_*.py")}
    names = (
        (file.relative_to(ROOT).as_posix(), node.name)
        for file, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )
    return sorted(names)


@pytest.mark.parametrize("module", modules())
def test_modules__have_a_test_file(module):
    covered = COVERED_BY.get(module)
    if covered is None:
        assert own_test(module).is_file(), f"{module} has no test file: write {own_test(module).relative_to(ROOT)}"
    else:
        assert (TESTS / covered).is_file(), f"{covered}, which is to cover {module}, is not there"
        assert not own_test(module).is_file(), f"{module} has a test file: remove it from COVERED_BY"


def test_covered_by__names_modules_that_exist():
    assert set(COVERED_BY) <= set(modules())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_tests__are_packages(folder):
    assert (folder / "__init__.py").is_file()


def test_tests__have_short_names():
    assert long_names() == []


def test_package__holds_four_files_at_its_top():
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files <= {"__init__.py", "__main__.py", "py.typed", "version.py"}


@pytest.mark.parametrize("top", ["recbole_samrec", "tests", "tools", "benchmarks"])
def test_folders__hold_no_two_things_of_one_name(top):
    for folder in [ROOT / top, *(path for path in (ROOT / top).rglob("*") if path.is_dir())]:
        things = [
            path for path in folder.iterdir() if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
        ]
        assert [name for name, count in Counter(path.stem for path in things).items() if count > 1] == [], folder
