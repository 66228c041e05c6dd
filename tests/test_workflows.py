"""The workflows call existing targets, on the supported Pythons, with few permissions and pinned actions."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from recbole_samrec.version import NEWEST_PYTHON, PYTHON
from tests.helpers.paths import ROOT

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {path.stem: yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader) for path in FOLDER.glob("*.yml")}
JOBS = {f"{stem}: {name}": job for stem, flow in WORKFLOWS.items() for name, job in flow["jobs"].items()}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
RELEASING = "gh release create"
"""The one step that cannot run here."""

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="a source distribution has no workflows")


def steps(kind: str) -> list[str]:
    return [step[kind] for job in JOBS.values() for step in job["steps"] if kind in step]


def test_workflows__are_those_of_the_page():
    assert set(WORKFLOWS) == {"ci", "newest", "release"}


@pytest.mark.parametrize("command", steps("run"))
def test_steps__are_targets_that_run_here(command):
    if not command.startswith(RELEASING):
        program, target, *variables = shlex.split(command)
        assert program == "make" and target in TARGETS
        assert all(re.match(r"[A-Z_]+=", word) for word in variables)


def test_steps__cover_what_a_change_has_to_pass():
    made = {command.split()[1] for command in steps("run") if command.startswith("make ")}
    assert made >= {"lint", "test-all", "test-portable", "test-newest", "docs", "wheel", "release-check"}
    assert sum(command.startswith(RELEASING) for command in steps("run")) == 1


@pytest.mark.parametrize("action", steps("uses"))
def test_actions__have_a_full_version(action):
    assert re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", action)


@pytest.mark.parametrize("name", JOBS)
def test_jobs__end_and_need_what_exists(name):
    job, stem = JOBS[name], name.partition(":")[0]
    assert int(job["timeout-minutes"]) <= 120
    needs = job.get("needs", [])
    assert {needs} if isinstance(needs, str) else set(needs) <= set(WORKFLOWS[stem]["jobs"])
    used = set(re.findall(r"matrix\.(\w+)", str(job)))
    assert used == set(job.get("strategy", {}).get("matrix", {}))


@pytest.mark.parametrize("stem", WORKFLOWS)
def test_workflows__may_read_and_no_more(stem):
    flow = WORKFLOWS[stem]
    assert flow["permissions"] == {"contents": "read"} and flow["concurrency"]["group"]
    more = {name: job["permissions"] for name, job in flow["jobs"].items() if "permissions" in job}
    assert more == ({"publish": {"contents": "write"}} if stem == "release" else {})


def test_tests__run_on_every_python_of_the_package():
    versions = WORKFLOWS["ci"]["jobs"]["test"]["strategy"]["matrix"]["python"]
    newest = int(NEWEST_PYTHON.partition(".")[2])
    assert versions == [f"3.{minor}" for minor in range(int(PYTHON.partition(".")[2]), newest + 1)]


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [("runs-on:", "runs-in:", "runs-in"), ("make lint", "make lint ${{ github.head_ref }}", "template-injection")],
)
def test_linters__find_what_is_wrong(tmp_path, right, wrong, message):
    """Called like in ``make lint``; the second mistake would run code from the name of a branch."""
    pytest.importorskip("check_jsonschema")
    folder = tmp_path / ".github"
    shutil.copytree(ROOT / ".github", folder)
    path = folder / "workflows" / "ci.yml"
    schema = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    audit = [str(Path(sys.executable).parent / "zizmor"), "--offline", "--quiet", str(folder)]
    assert [subprocess.run(one, capture_output=True).returncode for one in (schema, audit)] == [0, 0]
    path.write_text(path.read_text().replace(right, wrong, 1))
    done = [subprocess.run(one, capture_output=True, text=True) for one in (schema, audit)]
    assert any(one.returncode and message in one.stdout + one.stderr for one in done)
