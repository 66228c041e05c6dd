"""Check a release: versions, files, and an installation and training from scratch; ``make release-check`` runs it.

1. ``version.py``, ``CITATION.cff``, ``CHANGELOG.md`` and the tag have one version.
2. The source distribution is built from the checkout, and the wheel from the source distribution, into ``dist/``.
3. ``twine check`` accepts both.
4. The wheel, torch and RecBole are installed into an empty environment, as the README says, without any extra.
5. There, outside of the checkout, ``doctor`` finds nothing missing, and SAMRec is trained on ml-100k for one epoch.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from recbole_samrec.version import RECBOLE, __version__

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
QUICK_START = ("run", "--model=SAMRec", "--dataset=ml-100k", "--epochs=1", "--run_dir=run")


class ReleaseError(Exception):
    """A reason why this checkout cannot be released."""


def main(argv: Sequence[str] | None = None) -> int:
    """Check a release.

    Args:
        argv: Words of the command line, without the program; None for those of this process.

    Returns:
        0 if it can be released, else 1.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--twine", default=sys.executable, help="Python that has twine (default: this one)")
    parser.add_argument("--tag", default="", help="tag of the release, such as v0.1.0 (default: none)")
    parser.add_argument("--torch_index", default="", help="index of the build of torch (default: pip's own)")
    parser.add_argument("--python", default=sys.executable, help="Python of the empty environment (default: this one)")
    arguments = parser.parse_args(argv)
    try:
        check_versions(ROOT, arguments.tag)
        sdist, wheel = build(ROOT, DIST)
        run("twine", [find_program(arguments.twine), "-m", "twine", "check", "--strict", sdist, wheel], DIST)
        with tempfile.TemporaryDirectory() as scratch:
            python = install(wheel, Path(scratch, "environment"), find_program(arguments.python), arguments.torch_index)
            folder = Path(scratch, "elsewhere")
            folder.mkdir()
            try_quick_start(python, folder)
    except ReleaseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{sdist.name} and {wheel.name} can be released.")
    return 0


def check_versions(root: Path, tag: str = "") -> None:
    """Check that the version is the same in all places.

    Args:
        root: Folder of the checkout.
        tag: Tag of the release; empty for none.

    Raises:
        ReleaseError: A place has another version.
    """
    citation = re.search(r"^version: (\S+)$", (root / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    heading = re.search(r"^## \[(\S+)\] - (\S+)$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    found = {"CITATION.cff": citation and citation[1], "CHANGELOG.md": heading and heading[1]}
    if tag:
        found["the tag"] = tag.removeprefix("v")
    for place, version in found.items():
        if version != __version__:
            raise ReleaseError(f"{place} has version {version}, and version.py has {__version__}; correct one of them")
    if tag and heading and not re.fullmatch(r"\d{4}-\d\d-\d\d", heading[2]):
        raise ReleaseError(f"CHANGELOG.md: {__version__} has no date but {heading[2]!r}; write the day of the release")


def build(root: Path, dist: Path) -> tuple[Path, Path]:
    """Build the source distribution, and from it the wheel.

    Args:
        root: Folder of the checkout.
        dist: Folder of the files, which is emptied first.

    Returns:
        The source distribution and the wheel.
    """
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, "checkout")
        left = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "dataset", "runs", "saved")
        shutil.copytree(root, copy, ignore=left)
        code = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
        run("building the source distribution", [sys.executable, "-c", code, dist], copy)
    (sdist,) = dist.glob("*.tar.gz")
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", dist, sdist]
    run("building the wheel", wheel, dist)
    return sdist, next(dist.glob("*.whl"))


def install(wheel: Path, environment: Path, python: str, torch_index: str = "") -> str:
    """Install a wheel into an empty environment, in the order of the README and with the locked versions.

    Args:
        wheel: The wheel.
        environment: Folder of the environment, which is made.
        python: Python that makes it.
        torch_index: Index of the build of torch; empty for pip's own.

    Returns:
        The Python of the environment.
    """
    run("making an environment", [python, "-m", "venv", environment], wheel.parent)
    its_python = str(environment / ("Scripts" if os.name == "nt" else "bin") / "python")
    pip = [its_python, "-m", "pip", "install", "--disable-pip-version-check"]
    lock = ROOT / "requirements.lock"
    torch = lock.read_text(encoding="utf-8").splitlines()[0]
    index = ["--extra-index-url", torch_index] if torch_index else []
    run("installing torch", [*pip, *index, "--constraint", lock, torch], wheel.parent)
    run("installing the wheel", [*pip, "--constraint", lock, wheel], wheel.parent)
    run("installing RecBole", [*pip, "--no-deps", f"recbole=={RECBOLE}"], wheel.parent)
    return its_python


def try_quick_start(python: str, folder: Path) -> None:
    """Train and recommend as a new user would.

    Args:
        python: Python of an environment that has the package.
        folder: Folder to work in, outside of the checkout.

    Raises:
        ReleaseError: A command fails, or the run has no sound result.
    """
    command = str(Path(python).parent / "recbole-samrec")
    code = "import recbole_samrec; print(recbole_samrec.__version__, recbole_samrec.__file__)"
    version, place = run("importing", [python, "-c", code], folder).split(maxsplit=1)
    if version != __version__ or Path(place.strip()).is_relative_to(ROOT / "recbole_samrec"):
        raise ReleaseError(f"the environment has version {version} from {place.strip()}, not the wheel")
    run("doctor", [command, "doctor"], folder)
    run("training", [command, *QUICK_START], folder)
    check_result(json.loads((folder / "run" / "result.json").read_text(encoding="utf-8")))
    run("recommending", [command, "recommend", "run", "--users=196"], folder)


def check_result(record: dict) -> None:
    """Check that a run has sound metrics.

    Args:
        record: Its ``result.json``.

    Raises:
        ReleaseError: The run has no metrics, or one of them is not in [0, 1].
    """
    metrics = record.get("test") or {}
    if not metrics or not all(math.isfinite(value) and 0 <= value <= 1 for value in metrics.values()):
        raise ReleaseError(f"the quick start ended with these test metrics: {metrics or 'none'}")


def find_program(name: str) -> str:
    """Return the absolute path of a program, which also works in another folder; links are kept.

    Raises:
        ReleaseError: There is no such program.
    """
    found = shutil.which(name)
    if found is None:
        raise ReleaseError(f"{name}: there is no such program")
    return os.path.abspath(found)


def run(what: str, command: Sequence[object], folder: Path) -> str:
    """Print a command and run it.

    Args:
        what: The step, for the message.
        command: Words of the command.
        folder: Folder to run it in.

    Returns:
        What it printed.

    Raises:
        ReleaseError: It failed; the message has the end of its output.
    """
    print(f"{what} ...", flush=True)
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run([str(word) for word in command], cwd=folder, env=own, capture_output=True, text=True)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise ReleaseError(f"{what} failed with status {done.returncode}:\n{said}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
