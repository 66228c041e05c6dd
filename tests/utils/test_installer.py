"""The commands that install packages into the running environment."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from recbole_samrec.utils import installer
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.version import RECBOLE


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """An environment in a folder whose name needs quotes."""
    prefix = tmp_path / "my venvs" / "äpfel"
    (prefix / "bin").mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(sys, "executable", str(prefix / "bin" / "python"))
    monkeypatch.setattr(installer, "_read_installer", lambda: "pip")
    return prefix


def test_make_install_command__names_the_running_interpreter(environment):
    command = installer.make_install_command("--no-deps", "numpy>=2.0")
    assert command == f"'{environment}/bin/python' -m pip install --no-deps 'numpy>=2.0'"


def test_make_install_command__of_uv(environment):
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.9.1\n")
    assert installer.make_install_command("x") == f"uv pip install --python '{environment}/bin/python' x"
    assert installer.make_recbole_command().endswith(
        'override-dependencies = ["ray[tune]>=2.50"] under [tool.uv], then uv add recbole==1.2.1)'
    )


def test_make_install_command__of_an_application_of_pipx(environment, monkeypatch):
    monkeypatch.setattr(sys, "prefix", "/srv/pipx/venvs/recbole-samrec")
    command = installer.make_recbole_command()
    assert command == f"pipx runpip recbole-samrec install --no-deps --force-reinstall recbole=={RECBOLE}"


@pytest.mark.parametrize("found", ["1.2.0", "1.1.1", "0.1.2", None])
def test_describe_recbole__of_another_version(monkeypatch, found):
    def version(name):
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(installer.metadata, "version", version)
    problem = installer.describe_recbole()
    assert problem.startswith(f"RecBole {found or 'is not installed'}")
    assert f"--no-deps --force-reinstall recbole=={RECBOLE}" in problem and str(Path(sys.executable)) in problem


def test_describe_recbole__of_the_right_one():
    assert installer.describe_recbole() is None


@pytest.mark.parametrize(
    ("module", "extra"), [("ray", "tune"), ("ray.tune", "tune"), ("plotly", "report"), ("numpy", None), ("", None)]
)
def test_find_extra__names_the_smallest(module, extra):
    assert installer.find_extra(module) == extra


def test_require_extra__names_what_is_missing(environment, monkeypatch):
    gone = {"ray", "plotly"}
    monkeypatch.setattr(installer, "find_spec", lambda name: None if name in gone else sys)
    install = f"'{environment}/bin/python' -m pip install 'recbole-samrec[tune]'"
    with pytest.raises(ConfigError) as raised:
        installer.require_extra("tune", "compare")
    assert str(raised.value) == f"compare needs ray, plotly, missing in {sys.executable}; install with: {install}"
    gone.discard("plotly")
    installer.require_extra("report", "sharpness")
