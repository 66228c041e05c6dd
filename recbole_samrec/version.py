"""The version of this package, its address, the supported Python versions, and the oldest supported packages."""

__version__ = "0.1.0"

NAME = "recbole-samrec"

# Address of the public repository, without a trailing slash; empty while there is none. The URLs in the metadata
# follow from it.
REPOSITORY = ""

# The oldest and the newest Python.
PYTHON = "3.11"
NEWEST_PYTHON = "3.14"
PYTHONS = f"{NAME} {__version__} runs on Python {PYTHON} to {NEWEST_PYTHON}"

# Exactly this version: the patches in `compat` depend on its source.
RECBOLE = "1.2.1"

# RecBole requires a Ray that can no longer be imported; uv ignores that by an override, pip by --no-deps.
UV_OVERRIDES = ("ray[tune]>=2.50",)

# Distribution -> oldest version. This package imports the first block; only RecBole imports the second one, whose own
# list cannot be used. requirements.lock contains the tested versions, including those of the extras.
REQUIRES = {
    "torch": "2.6",
    "numpy": "2.0",
    "pandas": "2.2.2",
    "scipy": "1.13",
    "pydantic": "2.7",
    "annotated-types": "0.6",
    "pyyaml": "6.0",
    "safetensors": "0.4",
    "rich": "13.7",
    "jinja2": "3.1",
    "tensorboard": "2.18",
    "tqdm": "4.66",
    "psutil": "5.9",
    "filelock": "3.13",
    "typing_extensions": "4.12",
    "scikit-learn": "1.5",
    "pyarrow": "17.0",
    # RecBole's
    "colorlog": "4.7.2",
    "colorama": "0.4.4",
    "tabulate": "0.9",
    "texttable": "1.7",
}

# Extra -> distribution -> oldest version. Training, evaluation and recommendation need none of these.
_REPORT = {"matplotlib": "3.9", "plotly": "5.20"}
EXTRAS = {
    "report": _REPORT,  # pages with figures: sharpness
    "tune": {"ray[tune]": "2.50", **_REPORT},  # processes side by side, and pages with figures: compare, tune
}
