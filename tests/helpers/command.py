"""Our commands as a user types them, run in this process."""

import contextlib
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

from recbole_samrec.cli import main as cli

SMALL = ["--hidden_size=8", "--inner_size=8", "--MAX_ITEM_LIST_LENGTH=6", "--train_batch_size=256", "--epochs=2"]
"""Arguments under which a sequential model trains in a moment."""


@dataclass(frozen=True)
class Said:
    """The status and output of a command."""

    status: int
    out: str
    err: str


def main(*arguments: str) -> Said:
    """Run a command and capture its output."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main([str(argument) for argument in arguments])
    return Said(status, out.getvalue(), err.getvalue())


def succeed(*arguments: str) -> Said:
    """Run a command that must succeed."""
    said = main(*arguments)
    assert said.status == 0, said.err or said.out
    return said


def tree(folder: Path) -> dict[str, str]:
    """Every path under a folder, with a hash of each file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }
