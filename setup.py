"""Packaging of recbole_samrec; the version and the requirements are kept in recbole_samrec/version.py."""

from pathlib import Path
from runpy import run_path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
# Run as a file: importing the package would import RecBole and torch.
VERSION = run_path(str(ROOT / "recbole_samrec" / "version.py"))
README = ROOT / "README.md"
DESCRIPTION = run_path(str(ROOT / "tools" / "long_description.py"))


def _next_minor(python: str) -> str:
    major, minor = python.split(".")
    return f"{major}.{int(minor) + 1}"


def _list_requirements(oldest: dict[str, str]) -> list[str]:
    return [f"{name}>={version}" for name, version in oldest.items()]


def _list_urls(repository: str) -> dict[str, str]:
    """Return the addresses that the metadata names; none while there is no public repository."""
    places = {
        "Homepage": "",
        "Source": "",
        "Issues": "/issues",
        "Changelog": "/blob/main/CHANGELOG.md",
        "Documentation": "/tree/main/docs",
    }
    return {name: f"{repository}{place}" for name, place in places.items()} if repository else {}


setup(
    name="recbole-samrec",
    version=VERSION["__version__"],
    description="RecBole on today's Python: sharpness-aware minimization, fast training and fair comparisons.",
    long_description=DESCRIPTION["make_long_description"](README.read_text(encoding="utf-8"), VERSION["REPOSITORY"]),
    long_description_content_type="text/markdown",
    license_expression="MIT",
    license_files=["LICENSE"],
    author="recbole_samrec contributors",
    project_urls=_list_urls(VERSION["REPOSITORY"]),
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Environment :: GPU :: NVIDIA CUDA",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Information Analysis",
        "Typing :: Typed",
    ],
    python_requires=f">={VERSION['PYTHON']},<{_next_minor(VERSION['NEWEST_PYTHON'])}",
    # The folders of settings and pages lie at the top of a checkout and inside the package in a wheel.
    packages=[*find_packages(include=["recbole_samrec*"]), "recbole_samrec.properties", "recbole_samrec.docs"],
    package_dir={"recbole_samrec.properties": "properties", "recbole_samrec.docs": "docs"},
    package_data={
        "recbole_samrec": ["py.typed"],
        "recbole_samrec.properties": ["**/*.yaml"],
        "recbole_samrec.docs": ["models.csv"],
        "recbole_samrec.compare": ["templates/*.jinja"],
        "recbole_samrec.quick_start": ["*.json"],
        "recbole_samrec.sharpness": ["templates/*.jinja"],
        "recbole_samrec.tune": ["templates/*.jinja"],
    },
    # RecBole is required and yet not listed: recbole 1.2.1 asks for ray<=2.6.3, which no longer imports, so that a
    # resolver would refuse or install a broken stack. Install it with `pip install --no-deps recbole==1.2.1`.
    install_requires=_list_requirements(VERSION["REQUIRES"]),
    extras_require={
        **{extra: _list_requirements(packages) for extra, packages in VERSION["EXTRAS"].items()},
        "dev": [
            "hypothesis>=6.100",
            "import-linter>=2.1",
            "ipykernel>=6.29",
            "mypy>=1.15",
            "nbclient>=0.10",
            "polars>=1.0",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ranx>=0.3.20",
            "ruff>=0.12",
        ],
    },
    entry_points={"console_scripts": ["recbole-samrec=recbole_samrec.cli.main:main"]},
    zip_safe=False,
)
