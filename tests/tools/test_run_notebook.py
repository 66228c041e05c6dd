import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

from nbclient.exceptions import CellExecutionError  # noqa: E402

from tools.run_notebook import execute, main  # noqa: E402


def make_notebook(*sources):
    cells = [nbformat.v4.new_code_cell(source, metadata={"alt": "x"}) for source in sources]
    return nbformat.v4.new_notebook(cells=cells, metadata={"widgets": {}})


def test_main__stores_outputs_alone(own_folder):
    notebook = make_notebook("from pathlib import Path", "Path('made').touch()\nlen(list(Path().iterdir()))")
    nbformat.write(notebook, "some.ipynb")
    main(["some.ipynb"])
    done = nbformat.read("some.ipynb", as_version=4)
    assert [cell.execution_count for cell in done.cells] == [1, 2]
    assert done.cells[1].outputs[0].data == {"text/plain": "1"} and not (own_folder / "made").exists()
    assert [dict(cell.metadata) for cell in done.cells] == [{"alt": "x"}] * 2
    assert set(done.metadata) == {"kernelspec", "language_info"}


def test_execute__fails_where_a_cell_does(own_folder):
    notebook = make_notebook("1 / 0")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(notebook, own_folder)
    assert not notebook.cells[0].outputs
