"""The extensions of the documentation site; ``make docs`` uses them on all pages."""

import importlib
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
    text = (
        "# Home\n\n## How to\n\n| a | [A](how_to/a.md) |\n| b | [B](../TOP.md) |\n| x | [X](https://x.example/y.md) |\n"
    )
    source = [text]
    load("navigation").add_trees(app, "docs/index", source)
    assert source[0] == f"{text}\n```{{toctree}}\n:hidden:\n:caption: How to\n\n/docs/how_to/a\n/TOP\n```\n"
    source = ["# Results\n"]
    load("navigation").add_trees(app, "results/README", source)
    assert source[0].endswith("```{toctree}\n:hidden:\n:glob:\n\n*\n```\n")
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
