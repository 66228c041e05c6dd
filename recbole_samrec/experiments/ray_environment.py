"""Token and temporary folder for a local Ray, which a container or an unknown user may lack."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator

from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.home import set_variable

_TOKEN = secrets.token_hex(32)
LONGEST = 38
"""Length of the name of Ray's temporary folder: that of a socket has at most 107 bytes, of which a session takes 69."""


def choose_token() -> None:
    """Protect Ray with a token of this process; Ray would write one to the home directory.

    A container may not have a writable one. The token stays, since Ray remembers it in this process.
    """
    if {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}.isdisjoint(os.environ):
        os.environ["RAY_AUTH_TOKEN"] = _TOKEN


@contextlib.contextmanager
def use_temporary_folder() -> Iterator[None]:
    """Let Ray write its sessions where it can; it takes TMPDIR even if there is no such folder.

    Raises:
        ConfigError: There is no folder that it can use.
    """
    if "RAY_TMPDIR" in os.environ:
        yield
        return
    folders = [os.environ.get("TMPDIR", ""), tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"]
    usable = next((folder for folder in folders if folder and _is_usable(folder)), None)
    if usable is None:
        raise ConfigError(
            f"TMPDIR={tempfile.gettempdir()}: Ray cannot use it for its sockets; set TMPDIR to a folder that can be "
            f"written, with a name of at most {LONGEST} plain letters"
        )
    with set_variable("RAY_TMPDIR", usable):
        yield


def _is_usable(folder: str) -> bool:
    """Check that Ray can make its sessions in a folder, in ``ray/``, with sockets whose names are not too long."""
    sessions = os.path.join(folder, "ray")
    place = sessions if os.path.isdir(sessions) else folder
    plain = folder.isascii() and " " not in folder and len(folder) <= LONGEST
    return plain and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)
