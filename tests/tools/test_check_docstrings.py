"""The required sections of docstrings."""

import textwrap

import pytest

from tools.check_docstrings import check_package, list_documented

EXPORTS = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from package.module import thing
"""
PAGE = """
.. autofunction:: package.module.shown

.. automodule:: package.other
   :members: first, second
"""
COMPLETE = """
def thing(a) -> int:
    \"\"\"Return a number.

    Args:
        a: A number.

    Returns:
        The number.

    Raises:
        ValueError: It is wrong.

    Example:
        thing(1)
    \"\"\"
    raise ValueError
"""


@pytest.fixture
def findings(tmp_path):
    """Write a package whose module has some code, and return the findings."""

    def find(code: str) -> list[str]:
        package = tmp_path / "package"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text(EXPORTS)
        (package / "module.py").write_text(textwrap.dedent(code))
        (tmp_path / "api.md").write_text(PAGE)
        return [finding.partition(": ")[2] for finding in check_package(package, tmp_path)]

    return find


@pytest.mark.parametrize(
    ("section", "last"), [("Args", "Returns"), ("Returns", "Raises"), ("Raises", "Example"), ("Example", None)]
)
def test_check_package__names_each_missing_section(findings, section, last):
    assert findings(COMPLETE) == []
    start = COMPLETE.index(f"    {section}:")
    end = COMPLETE.index(f"    {last}:") if last else COMPLETE.rindex('    """')
    assert findings(COMPLETE[:start] + COMPLETE[end:]) == [f"thing: no {section}"]


def test_check_package__needs_no_example_of_documented_names(findings):
    shown = COMPLETE.replace("def thing", "def shown")
    assert findings(shown[: shown.index("    Example:")] + shown[shown.rindex('    """') :]) == []
    assert findings('def shown(a) -> int:\n    """Do it."""') == ["shown: no Args, Returns"]


def test_list_documented__reads_the_directives_of_a_page(tmp_path):
    (tmp_path / "api.md").write_text(PAGE + "\n.. automodule:: package.whole\n")
    names = {
        ("package.module", "shown"),
        ("package.other", "first"),
        ("package.other", "second"),
        ("package.whole", "*"),
    }
    assert set(list_documented(tmp_path)) == names


def test_check_package__asks_only_for_what_applies(findings):
    assert findings('def thing():\n    """Do it.\n\n    Example:\n        thing()\n    """') == []


@pytest.mark.parametrize(("parameters", "missing"), [("a, b, c, d", []), ("a, b, *, c, d, e", ["other: no Args"])])
def test_check_package__allows_few_arguments_elsewhere(findings, parameters, missing):
    assert findings(f'def other({parameters}):\n    """Do it."""') == missing
    assert findings(f'def other({parameters}):\n    """Do it; see :func:`x` for the arguments."""') == []
    assert findings(f"def _private({parameters}):\n    pass") == []


def test_check_package__looks_at_methods_of_exported_classes(findings):
    code = """
        class thing:
            \"\"\"A class.

            Example:
                thing()
            \"\"\"

            def method(self, a, b):
                \"\"\"Do it.\"\"\"

            def small(self, a):
                \"\"\"Do it.\"\"\"
        """
    assert findings(code) == ["thing.method: no Args"]
