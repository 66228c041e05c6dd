"""``doctor --models`` prints the shipped table, without torch."""

import subprocess
import sys

from recbole_samrec.cli import model_table
from recbole_samrec.cli.model_table import (
    COLUMNS,
    FEATURES,
    YES,
    format_lines,
    number_reasons,
    print_models,
    read_models,
)
from recbole_samrec.integration.registry import model_names
from tests.helpers.command import succeed
from tests.helpers.paths import ROOT


def make_line(model: str, **cells: str) -> dict[str, str]:
    return {"model": model, "kind": "general", **dict.fromkeys(FEATURES, YES), **cells}


LINES = [make_line("A", sam="no gradients"), make_line("B", sam="counts", export="counts", gts="a kind")]


def test_read_models__has_a_line_for_every_model():
    lines = read_models()
    assert [line["model"] for line in lines] == model_names()
    for line in lines:
        assert tuple(line) == COLUMNS and all(line.values())
        assert not any(cell.startswith("unexpected") for cell in line.values()), line


def test_number_reasons__begins_with_the_most_frequent():
    assert number_reasons(LINES) == {"counts": 1, "no gradients": 2, "a kind": 3}


def test_format_lines__puts_numbers_for_reasons():
    first, second = format_lines(LINES, number_reasons(LINES))
    assert first == ("A", "general", "yes", "2", "yes", "yes", "yes", "yes", "yes")
    assert second == ("B", "general", "yes", "1", "yes", "yes", "3", "yes", "1")


def test_print_models__works_without_rich(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rich", None)
    print_models(LINES)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == list(COLUMNS) and lines[1].split()[:4] == ["A", "general", "yes", "2"]
    assert lines[-3:] == ["  1  counts", "  2  no gradients", "  3  a kind"]


def test_doctor__prints_the_table():
    said = succeed("doctor", "--models").out
    shown = [line.split()[0] for line in said.splitlines() if line.split()[1:2] == ["sequential"]]
    assert shown == [line["model"] for line in read_models() if line["kind"] == "sequential"]
    assert "it is not a sequential model" in said


def test_doctor__prints_the_table_without_torch():
    code = "import sys; from recbole_samrec.cli.main import main; main(['doctor', '--models'])\n"
    code += "print(sorted({'torch', 'recbole', 'pandas'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_model_table__is_part_of_the_documentation():
    assert model_table.MODEL_TABLE.samefile(ROOT / "docs" / "models.csv")
