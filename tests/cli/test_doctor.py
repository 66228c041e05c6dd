import argparse
import os
import subprocess
import sys

import pytest

from recbole_samrec.cli import doctor
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.installer import make_extra_command, make_install_command, make_recbole_command
from recbole_samrec.version import EXTRAS, REQUIRES
from tests.helpers.paths import ROOT


@pytest.fixture
def installed(monkeypatch):
    """Versions that the doctor finds; change them to break the installation."""
    oldest = REQUIRES | EXTRAS["report"] | EXTRAS["tune"] | {"recbole": "1.2.1"}
    versions = {name.split("[")[0]: version for name, version in oldest.items()}
    monkeypatch.setattr(doctor, "_find_version", versions.get)
    monkeypatch.setattr(doctor, "_import_quietly", sys.modules.get)
    return versions


def doctor_status(*words: str) -> int:
    """Run the command, print its report and return its exit status."""
    parser = argparse.ArgumentParser()
    doctor.add_arguments(parser)
    return doctor.main(*parser.parse_known_args(words))


def bad() -> dict[str, doctor.Finding]:
    return {one.name: one for one in doctor.check_versions() if one.bad}


def test_versions__oldest_are_enough(installed):
    assert not bad()


def test_versions__are_well_here():
    assert not bad()


@pytest.mark.parametrize(
    ("package", "version", "state", "remedy"),
    [
        ("recbole", None, "missing", make_recbole_command()),
        ("recbole", "1.2.0", "wrong", make_recbole_command()),
        ("numpy", "1.26.4", "too old", make_install_command("numpy>=2.0")),
        ("torch", "2.5.1+cu124", "too old", make_install_command("torch>=2.6")),
        ("rich", None, "missing", make_install_command("rich>=13.7")),
        ("ray", "2.6.3", "too old", make_install_command("ray[tune]>=2.50")),
    ],
)
def test_versions__names_what_is_wrong_with_its_remedy(installed, package, version, state, remedy):
    installed[package] = version
    found = bad()
    assert list(found) == [package]
    assert (found[package].state, found[package].remedy) == (state, remedy)


@pytest.mark.parametrize(
    ("package", "extra", "users"),
    [("ray", "tune", "compare and tune"), ("matplotlib", "report", "compare, tune and sharpness")],
)
def test_versions__do_not_require_extras(installed, package, extra, users):
    installed[package] = None
    (found,) = (one for one in doctor.check_versions() if one.state != "ok")
    assert (found.name, found.state) == (package, f"not here, needed by {users}")
    assert not found.bad and found.remedy == make_extra_command(extra)


def test_versions__finds_packages_that_cannot_be_imported(installed, monkeypatch):
    def fails(module):
        if module == "ray":
            raise AttributeError("module 'numpy' has no attribute 'bool8'\nmore")

    monkeypatch.setattr(doctor, "_import_quietly", fails)
    found = bad()
    assert list(found) == ["ray"]
    assert found["ray"].state == "broken"
    assert found["ray"].remedy == make_install_command("--force-reinstall", "--no-deps", "ray==2.50")
    assert found["ray"].found.endswith("no attribute 'bool8'")


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("2.13.0+cpu", (2, 13)), ("1.2.1", (1, 2, 1)), ("2.0", (2,)), ("3.0.0rc1", (3,)), ("", ())],
)
def test_release__is_the_numbers_of_a_version(version, numbers):
    assert doctor._parse_release(version) == numbers


def test_patches__lists_every_patch():
    from recbole_samrec import compat

    assert [one.name for one in doctor.list_patches()] == list(compat.PATCHES)


def test_data_sets__lists_found_and_missing(tmp_path):
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "ml-1m.inter").write_text("user_id:token\titem_id:token\n1\t2\n")
    found = {one.name: one for one in doctor.list_data_sets(str(tmp_path))}
    assert "ml-1m" in found["ml-1m"].found
    assert found["Amazon_Beauty"].state == "not here"
    assert "python -m recbole_samrec data Amazon_Beauty " in found["Amazon_Beauty"].remedy
    assert not any(one.bad for one in found.values())


def test_main__status_is_1_if_something_is_missing(installed, capsys):
    assert doctor_status() == 0
    assert capsys.readouterr().out.endswith("All is well.\n")
    installed["recbole"] = None
    assert doctor_status() == 1
    assert f"\n  {make_recbole_command()}\n" in capsys.readouterr().out


def test_show__is_plain_and_narrow_when_piped(installed, capsys):
    doctor_status()
    tables = capsys.readouterr().out.split("If you want more:")[0]
    assert tables.isascii()
    assert max(map(len, tables.splitlines())) <= 80


def test_show__works_without_rich(installed, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rich", None)
    installed["rich"] = None
    assert doctor_status() == 1
    assert make_install_command("rich>=13.7") in capsys.readouterr().out


def test_main__rejects_unknown_arguments():
    with pytest.raises(ConfigError, match="--nothing=1: unknown argument"):
        doctor_status("--nothing=1")


def test_patches__reports_why_they_cannot_be_applied(monkeypatch):
    def fails(module):
        raise RuntimeError("torch is half there\nmore")

    monkeypatch.setattr(doctor, "_import_quietly", fails)
    (one,) = doctor.list_patches()
    assert one.bad and one.found == "RecBole cannot be patched: torch is half there"


@pytest.mark.slow
@pytest.mark.parametrize("package", ["recbole", "ray", "torch"])
def test_doctor__works_although_a_package_is_missing(tmp_path, package):
    # A file in front of the package, which is what a missing module looks like.
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('not there', name={package!r})\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    run = subprocess.run(
        [sys.executable, "-m", "recbole_samrec", "doctor"],
        env=os.environ | {"PYTHONPATH": path, "COLUMNS": "80"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in run.stderr
    assert package in run.stdout
    assert run.returncode == 1
