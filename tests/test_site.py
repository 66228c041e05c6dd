"""The extensions of the documentation site; ``make docs`` uses them on all pages."""

import importlib
import json
from types import SimpleNamespace

import pytest

from tests.helpers.paths import ROOT

SITE = ROOT / "docs" / "_site"


@pytest.fixture
def load(monkeypatch):
    """A function that imports a module of the site."""
    monkeypatch.syspath_prepend(str(SITE))
    return importlib.import_module


def test_navigation__follows_the_tables_of_the_home_page(load):
    app = SimpleNamespace(config=SimpleNamespace(root_doc="docs/index"))
    links = ("how_to/a.md", "how_to/n.ipynb", "../TOP.md", "https://x.example/y.md")
    text = "# Home\n\n## How to\n\n" + "".join(f"| a | [A]({link}) |\n" for link in links)
    source = [text]
    load("navigation").add_trees(app, "docs/index", source)
    pages = "/docs/how_to/a\n/docs/how_to/n\n/TOP"
    assert source[0] == f"{text}\n```{{toctree}}\n:hidden:\n:caption: How to\n\n{pages}\n```\n"
    source = ["# Results\n"]
    load("navigation").add_trees(app, "results/README", source)
    assert source[0].endswith("```{toctree}\n:hidden:\n:glob:\n\n*\n*/*\n```\n")
    source = ["# Page\n"]
    load("navigation").add_trees(app, "docs/how_to/a", source)
    assert source == ["# Page\n"]


def test_whole_docstrings__keep_what_looks_like_a_type(load):
    pytest.importorskip("sphinx")
    whole = load("python_names").WholeDocstrings()
    lines = ["Lines of the table: one for each entry."]
    whole.remember(None, "property", "x", None, None, lines)
    lines[:] = ["one for each entry.", "", ":type: Lines of the table"]
    whole.restore(None, "property", "x", None, None, lines)
    assert lines == ["Lines of the table: one for each entry."]


@pytest.mark.parametrize(
    ("name", "exists"),
    [
        ("recbole_samrec.optim.sam.SAM", True),
        ("recbole_samrec.optim", True),
        ("recbole_samrec.optim.sam.SAM.step", True),
        ("recbole_samrec.optim.sam.SAMM", False),
        ("torch.Tensor", False),
    ],
)
def test_exists__knows_the_objects_of_the_package(name, exists, load):
    pytest.importorskip("sphinx")
    assert load("python_names")._exists(name) is exists


def test_mathml__draws_an_equation_without_a_script(load):
    nodes = pytest.importorskip("docutils.nodes")
    writer = SimpleNamespace(body=[])
    with pytest.raises(nodes.SkipNode):
        load("mathml").visit_inline(writer, nodes.math("", r"\rho \frac{g}{\|g\|}"))
    assert writer.body[0].startswith("<math") and "mfrac" in writer.body[0]


@pytest.fixture
def convert(load):
    """The function that converts a notebook with one cell of code and some outputs."""
    pytest.importorskip("myst_parser")

    def convert(*outputs, source="1 + 1", **metadata):
        code = {"cell_type": "code", "source": source, "metadata": metadata, "outputs": outputs}
        text = {"cell_type": "markdown", "source": ["# Title\n", "text"], "metadata": {}}
        return load("notebooks").convert_to_markdown(json.dumps({"cells": [text, code]}))

    return convert


def test_notebooks__become_text_code_and_outputs(convert):
    printed = {"output_type": "stream", "name": "stdout", "text": ["a\n", "b\n"]}
    value = {"output_type": "execute_result", "metadata": {}, "data": {"text/plain": "2"}}
    text = convert(printed, value)
    assert text.startswith("# Title\ntext\n\n```python\n1 + 1\n```\n\n")
    assert "```{code-block} text\n:class: output\n\na\nb\n```\n" in text
    assert text.endswith("```{code-block} text\n:class: output\n\n2\n```\n")
    assert "\n````python\n'```'\n````\n" in convert(source="'```'")


def test_notebooks__show_tables_and_pictures(convert):
    table = '<div>\n<style scoped>x</style>\n<table border="1" class="dataframe"></table>\n</div>'
    frame = {"text/plain": "a", "text/html": table}
    picture = {"text/plain": "<Figure>", "image/png": ["aGVs\n", "bG8=\n"]}
    size = {"image/png": {"width": 70, "height": 20}}
    outputs = [{"data": frame, "metadata": {}}, {"data": picture, "metadata": size}]
    text = convert(*({"output_type": "display_data", **one} for one in outputs), alt="Curves")
    assert '<div class="output table-wrapper">\n<div>\n<table class="docutils"></table>' in text
    expected = "```{image} data:image/png;base64,aGVsbG8=\n:class: output\n:alt: Curves\n:width: 70px\n```\n"
    assert text.endswith(expected)
