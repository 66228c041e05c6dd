"""Execute a notebook and store its outputs: ``python -m tools.run_notebook docs/getting_started/tutorial.ipynb``.

It is executed in an empty folder, so that its outputs name nothing of this computer, and written only if no cell fails.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

SECONDS = 3600
"""Time after which a cell has failed."""
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Return a copy of a notebook with the outputs of its cells.

    Args:
        notebook: The notebook.
        folder: Folder in which its code runs.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell raised an error.
    """
    done = nbformat.from_dict(notebook)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(done, timeout=SECONDS, kernel_name="python3", resources=resources, record_timing=False)
    with tempfile.TemporaryDirectory() as settings:  # in place of the user's own, which may run code at start
        client.execute(env={**os.environ, "IPYTHONDIR": settings})
    done.metadata = nbformat.from_dict(METADATA)
    return done


def main(argv: Sequence[str] | None = None) -> None:
    """Execute the notebooks that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(":")[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    for path in parser.parse_args(argv).notebooks:
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(execute(nbformat.read(path, as_version=4), Path(folder)), path)


if __name__ == "__main__":
    main()
