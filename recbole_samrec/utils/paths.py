"""Folders of this package; the only place that counts folders upward."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
"""Folder of the package, installed or in a checkout."""

CHECKOUT = PACKAGE.parent
"""Folder that contains the package: the root of a checkout, or ``site-packages``."""

PROPERTIES = next(path for path in (PACKAGE / "properties", CHECKOUT / "properties") if path.is_dir())
"""Our yaml files: inside an installed package, at the top of a checkout."""

MODEL_TABLE = next((path for path in (PACKAGE / "docs", CHECKOUT / "docs") if path.is_dir()), CHECKOUT) / "models.csv"
"""Table of what works with which model: inside an installed package, in the documentation of a checkout."""
