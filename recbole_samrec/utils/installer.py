"""The commands that install packages into the environment of the running interpreter.

This module does not import more than the standard library, since it is asked when packages are missing.
"""

from __future__ import annotations

import shlex
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.version import EXTRAS, NAME, RECBOLE, UV_OVERRIDES


def make_install_command(*words: str) -> str:
    """Make the command that installs packages: pip's, or that of pipx or uv where the environment is theirs.

    Args:
        words: Options and requirements, as for ``pip install``.
    """
    arguments = shlex.join(words)
    if find_installer() == "pipx":
        return f"pipx runpip {NAME} install {arguments}"
    if find_installer() == "uv":
        return f"uv pip install --python {shlex.quote(sys.executable)} {arguments}"
    return f"{shlex.quote(sys.executable)} -m pip install {arguments}"


def find_installer() -> str:
    """Find the installer of the running interpreter's environment: ``pip``, ``pipx`` or ``uv``."""
    prefix = Path(sys.prefix)
    if prefix.parent.name == "venvs" and "pipx" in str(prefix):
        return "pipx"
    try:
        made_by_uv = "uv = " in (prefix / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        made_by_uv = False
    return "uv" if made_by_uv or _read_installer() == "uv" else "pip"


def _read_installer() -> str:
    """Read the name of this package's installer from its metadata."""
    try:
        return (metadata.distribution(NAME).read_text("INSTALLER") or "").strip()
    except metadata.PackageNotFoundError:
        return ""


def find_extra(module: str) -> str | None:
    """Find the first extra that installs a module; None if no extra does.

    Args:
        module: Name of the module, with or without those below it: ``ray`` or ``ray.tune``.
    """
    top = module.partition(".")[0]
    return next((extra for extra in EXTRAS if top in _list_modules(extra)), None)


def require_extra(extra: str, user: str) -> None:
    """Check, without importing them, that the packages of an extra are installed.

    Args:
        extra: Name of the extra.
        user: Command or function that needs it, for the message.

    Raises:
        ConfigError: A package is missing; the message has the command that installs the extra.
    """
    missing = [name for name in _list_modules(extra) if find_spec(name) is None]
    if missing:
        install = make_extra_command(extra)
        raise ConfigError(f"{user} needs {', '.join(missing)}, missing in {sys.executable}; install with: {install}")


def make_extra_command(extra: str) -> str:
    """Make the command that installs the packages of an extra."""
    return make_install_command(f"{NAME}[{extra}]")


def _list_modules(extra: str) -> list[str]:
    """List the modules that an extra installs, which have the names of their distributions."""
    return [requirement.partition("[")[0] for requirement in EXTRAS[extra]]


def make_recbole_command() -> str:
    """Make the command that installs the required version of RecBole, without its outdated requirements."""
    command = make_install_command("--no-deps", "--force-reinstall", f"recbole=={RECBOLE}")
    if find_installer() != "uv":
        return command
    overrides = ", ".join(f'"{requirement}"' for requirement in UV_OVERRIDES)
    project = f"override-dependencies = [{overrides}] under [tool.uv], then uv add recbole=={RECBOLE}"
    return f"{command} (in a project of uv: {project})"


def describe_recbole() -> str | None:
    """Describe the problem with the installed RecBole, and the command that fixes it; None if there is none."""
    try:
        found = metadata.version("recbole")
    except metadata.PackageNotFoundError:
        found = None
    if found == RECBOLE:
        return None
    state = "RecBole is not installed" if found is None else f"RecBole {found} is installed"
    return f"{state}, and {NAME} needs {RECBOLE}: {make_recbole_command()}"
