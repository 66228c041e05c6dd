"""The code on the documentation pages and in docstrings, and its execution on tiny data.

Every block runs. One that cannot has a comment on the line before it, which the site does not show::

    <!-- not run: needs a GPU -->
    <!-- run by: tests/integration/test_own_model.py -->
    <!-- run with: compare --seeds=2 --models=Pop,SASRec; tune --trials=2 -->

The last one adds arguments to commands of the block, for example to make them small. A block of ``text`` right after
commands of this package is their output: its lines have to be printed in this order, with any numbers.
"""

from __future__ import annotations

import inspect
import itertools
import json
import re
import shlex
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.command import main
from tests.helpers.paths import ROOT

FENCE = re.compile(
    r"(?:^<!-- (?P<kind>not run|run by|run with): (?P<note>[^\n]*?) -->\n)?"
    r"^(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
OUTPUT = re.compile(r"\n+(?:[^\n`#][^\n]*\n)*\n*```text\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
"""A block of output, with at most a paragraph before it."""
FILE = re.compile(r"# ([\w./-]+\.(?:py|yaml|csv))\n")
"""First line of a block that is a file."""
COMMANDS = ("python -m recbole_samrec ", "python run_recbole.py ", "recbole-samrec ")
ELSEWHERE = {
    "make": "sets up an environment of its own; the CI runs the targets",
    "pip": "installs packages",
    "uv": "installs packages",
    "pre-commit": "installs hooks",
    ".": "activates an environment",
    "python3": "makes an environment",
    "python": "a module of the repository, with a test of its own",
    "pytest": "runs the tests",
}
"""Programs that are not run here, and why."""
NAMES = {"ml-100k": "circle", "ml-1m": "ring", "Amazon_Beauty": "ring", "RUN": "runs/SAMRec-circle-shared"}
"""The tiny data sets and the run that stand in for those of the pages."""


@dataclass(frozen=True)
class Block:
    """A block of code.

    Args:
        page: File of the page.
        line: Number of its first line of code.
        language: Word after the fence; may be empty.
        code: Its text.
        kind: ``not run``, ``run by``, ``run with``, or empty.
        note: Reason, file of tests, or arguments.
        output: What the commands print, as the next block shows it; may be empty.
    """

    page: Path
    line: int
    language: str
    code: str
    kind: str = ""
    note: str = ""
    output: str = ""

    @property
    def place(self) -> str:
        """Page and line."""
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command line, without comments."""
        lines = self.code.replace("\\\n", " ").splitlines() if self.language == "bash" else []
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def read_blocks(page: Path) -> Iterator[Block]:
    """Read the blocks of a page, except directives of the site."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        if match["language"].startswith("{"):
            continue
        line = text.count("\n", 0, match.start("code")) + 1
        output = OUTPUT.match(text, match.end()) if match["language"] == "bash" else None
        marks = (match["kind"] or "", match["note"] or "")
        yield Block(page, line, match["language"], match["code"], *marks, output["code"] if output else "")


def read_example(documented: Any) -> Block:
    """Read the code after ``Example::`` in the docstring of a class or function; empty without an example."""
    lines = (inspect.getdoc(documented) or "").partition("\nExample::\n")[2].splitlines()
    code = itertools.takewhile(lambda line: not line or line.startswith(" "), lines)
    file, line = inspect.getsourcefile(documented), inspect.getsourcelines(documented)[1]
    return Block(Path(file), line, "python", textwrap.dedent("\n".join(code)).strip("\n"))


def uses_ray(block: Block) -> bool:
    """Return True if a block starts Ray, which takes long."""
    ours = [_find_arguments(words) for words in block.commands if not block.kind.startswith(("not", "run by"))]
    return any(words and words[0] == "tune" for words in ours)


def _find_arguments(words: list[str]) -> list[str] | None:
    """Return the arguments of a command of this package; None for another program."""
    line = " ".join(words) + " "
    for command in COMMANDS:
        if line.startswith(command):
            rest = words[len(command.split()) :]
            return ["run", *rest] if "run_recbole" in command else rest
    return None


def run_block(block: Block, names: dict) -> None:
    """Run a block in the working folder.

    Args:
        block: The block.
        names: Names that the Python blocks of the page share.
    """
    if block.kind in ("not run", "run by"):
        return
    if file := FILE.match(block.code):
        Path(file[1]).parent.mkdir(parents=True, exist_ok=True)
        Path(file[1]).write_text(block.code)
    if block.language == "bash":
        said = "".join(_run_command(block, words) for words in block.commands)
        if any(map(_find_arguments, block.commands)):
            _require_output(block, said)
    elif block.language == "python":
        exec(compile(_replace_names(block.code), block.place, "exec"), names)
    elif block.language in READERS:
        READERS[block.language](block.code)


def _run_command(block: Block, words: list[str]) -> str:
    """Run a command line, and return its output."""
    arguments = _find_arguments(words)
    if arguments is None:
        assert words[0] in ELSEWHERE, f"{block.place}: {words[0]} is not run; say why"
        if words[0] == "make":
            _require_targets(block, words[1:])
        return ""
    added = [shlex.split(part) for part in block.note.split(";")] if block.kind == "run with" else []
    extra = [word for command, *rest in added if command == arguments[0] for word in rest]
    chosen = any(word.startswith("--epochs") for word in words)
    small = ["--epochs=1"] if arguments[0] in ("run", "compare", "tune") and not chosen else []
    said = main(*map(_fill_in, arguments), *small, *extra)
    assert said.status == 0, f"{block.place}: {' '.join(words)}\n{said.err or said.out}"
    return said.out


def _require_output(block: Block, said: str) -> None:
    """Fail if a line of the output on the page is not printed, or not in its order; numbers may differ."""
    printed = iter([_drop_numbers(line) for line in said.splitlines()])
    for line in block.output.splitlines():
        assert _drop_numbers(line) in printed, f"{block.place}: the output has no line like {line!r}:\n{said}"


def _drop_numbers(line: str) -> str:
    return re.sub(r"[\da-f]{64}|\d[\d.,:]*|(?<=p)\d+", "0", " ".join(line.split()))


def _require_targets(block: Block, words: list[str]) -> None:
    """Fail if the Makefile lacks one of the targets."""
    targets = set(re.findall(r"^([\w-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wrong = [word for word in words if "=" not in word and word not in targets]
    assert not wrong, f"{block.place}: the Makefile has no target {wrong}"


def _fill_in(word: str) -> str:
    """Replace the names of data and runs; a name that ends in dots stands for a folder that begins with it."""
    word = _replace_names(word.strip("[]") if word.startswith("[--") else word)
    if not word.endswith("..."):
        return word
    option, equals, path = word.rpartition("=")
    found = sorted(Path().glob(f"{path.removesuffix('...')}*"), key=lambda one: one.stat().st_mtime)
    assert found, f"there is no folder {path}"
    return f"{option}{equals}{found[-1]}"


def _replace_names(text: str) -> str:
    for name, other in NAMES.items():
        text = re.sub(rf"(?<![\w./]){re.escape(name)}(?![\w.]*\.(?:zip|md|csv))(?!\w)", other, text)
    return re.sub(r"(?<=-)ml-100k(?=[-/])", NAMES["ml-100k"], text)


READERS = {"yaml": yaml.safe_load, "toml": tomllib.loads, "json": json.loads}
"""Functions that read blocks of other languages."""
