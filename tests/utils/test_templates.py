"""Templates escape HTML, keep text as it is, and reject names without a value."""

import jinja2
import pytest

from recbole_samrec.utils.templates import load_template


@pytest.fixture
def template(tmp_path):
    """Write a template and load it."""

    def load(text, **options):
        (tmp_path / "page").write_text(text)
        return load_template(tmp_path / "page", **options)

    return load


def test_load_template__escapes_values_in_html(template):
    assert template("<b>{{ name }}</b>").render(name="<i>&") == "<b>&lt;i&gt;&amp;</b>"


def test_load_template__leaves_values_in_text(template):
    assert template("{{<< name >>}}\n", html=False).render(name="<i>&") == "{{<i>&}}\n"


def test_load_template__removes_lines_of_blocks(template):
    text = "  <% for x in xs %>\n<< x >>\n  <% endfor %>\nend\n<# a remark #>\n"
    assert template(text, html=False).render(xs=[1, 2]) == "1\n2\nend\n"


def test_load_template__applies_filters_and_escapes_them(template):
    assert template("{{ 2 | half }}", half=lambda value: f"<{value / 2}>").render() == "&lt;1.0&gt;"


def test_load_template__refuses_a_name_without_value(template):
    for text in ("{{ nothing }}", "{% if nothing %}{% endif %}"):
        with pytest.raises(jinja2.UndefinedError, match="nothing"):
            template(text).render()
