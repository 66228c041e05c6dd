"""Configuration of the documentation site: ``make docs`` builds it in ``build/docs/``.

The source folder is the top of the repository, so that links between ``docs/``, ``results/`` and the files at the top
work on the site as they do in the repository.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE)]

from recbole_samrec.version import __version__  # noqa: E402

project = "recbole_samrec"
author = copyright = "recbole_samrec contributors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "generated",
    "mathml",
    "navigation",
    "notebooks",
    "python_names",
    "tables",
]

# Published files; the rest of the repository is not scanned.
PUBLISHED = {"docs", "results", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md", "CHANGELOG.md"}
root_doc = "docs/index"
include_patterns = ["docs/**", "results/*.md", "results/*/*.md", *(name for name in PUBLISHED if name.endswith(".md"))]
exclude_patterns = [
    *sorted(path.name for path in ROOT.iterdir() if path.name not in PUBLISHED),
    "docs/_site",
    "results/records",
]
templates_path = ["templates"]

# Links and anchors are checked; -W turns missing ones into errors.
nitpicky = True
OTHERS = "argparse collections numpy np pandas pathlib pd plotly pydantic ray recbole rich torch".split()
nitpick_ignore_regex = [("py:.*", rf"({'|'.join(OTHERS)})\..*")]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 4

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"recbole_samrec {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "redirect.html"}
html_copy_source = False
html_show_sphinx = False
smartquotes = False  # "--key=value" has two hyphens
html_theme_options = {"navigation_with_keys": True}
html_math_renderer = "mathml"
copybutton_selector = "div:not(.output) > div.highlight pre"
copybutton_exclude = ".linenos, .gp, .go"
