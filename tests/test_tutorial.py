"""The tutorial runs, and its stored outputs are those of a run."""

import re

import pytest

from tests.helpers.paths import ROOT

nbformat = pytest.importorskip("nbformat")

TUTORIAL = ROOT / "docs" / "getting_started" / "tutorial.ipynb"
FACTS = """
assert len(split["train"]) == 98114 and len(split["validation"]) == len(split["test"]) == 943
assert [len(history.epochs) for history in (plain, sam)] == [3, 3]
assert sasrec.metrics.loc["test", "ndcg@10"] > 0.03 and samrec.metrics.loc["test", "ndcg@10"] > 0.03
assert comparison.complete and len(comparison.runs) == 6
assert set(report.measures["entry"]) == {"SASRec", "SAMRec"} and report.page.exists()
assert vectors.item_vectors.shape == (1682, 32) and vectors.user_vectors.shape == (943, 32)
assert list(vectors.item_ids[best]) == recommender.recommend(users=["1"], k=10)["item"].tolist()
"""
PLACE = re.compile(r"(?<![\w.<:/])/\w+/\w|[A-Z]:\\")
"""Beginning of an absolute path."""
DAY = re.compile(r"\b20\d{6}-\d{6}\b|\b20\d\d-\d\d-\d\d\b")


def read_tutorial():
    return nbformat.read(TUTORIAL, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def describe(outputs):
    """The kinds of some outputs, with the columns of tables."""
    return [(one.output_type, sorted(one.get("data", {})), list_columns(one)) for one in outputs]


def list_columns(output):
    """The names in the first line of a table."""
    head = output.get("data", {}).get("text/html", "").partition("</tr>")[0]
    return re.findall(r"<th[^>]*>(.*?)</th>", head)


def list_texts(cell):
    for output in cell.outputs:
        data = output.get("data", {})
        yield from (output.get("text", ""), data.get("text/plain", ""), data.get("text/html", ""))


def test_tutorial__is_stored_as_it_was_run():
    cells = code_cells(read_tutorial())
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    texts = [text for cell in cells for text in list_texts(cell)]
    assert not [text for text in texts if PLACE.search(text) or DAY.search(text) or "\r" in text]
    assert {one.output_type for cell in cells for one in cell.outputs} <= {"display_data", "execute_result"}


def test_tutorial__describes_its_pictures():
    cells = code_cells(read_tutorial())
    pictures = [cell for cell in cells if any("image/png" in one.get("data", {}) for one in cell.outputs)]
    assert len(pictures) == 3 and all(cell.metadata["alt"] for cell in pictures)


@pytest.mark.slow
@pytest.mark.ray
def test_tutorial__runs_and_gives_the_stored_outputs(own_folder):
    from tools.run_notebook import execute

    stored = read_tutorial()
    checked = read_tutorial()
    checked.cells.append(nbformat.v4.new_code_cell(FACTS))
    done = code_cells(execute(checked, own_folder))
    for cell, again in zip(code_cells(stored), done[:-1], strict=True):
        assert describe(again.outputs) == describe(cell.outputs), cell.source
