"""The table of supported features equals the outcome of trying them."""

import os
import time
from datetime import date

import pytest

from recbole_samrec.cli.model_table import COLUMNS, FEATURES, YES, read_models
from recbole_samrec.integration.registry import model_names
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.every_model import skip_without_package, write_everything
from tools import write_models

WEEK = 12
"""Number of days in which the slow test has tried every model."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_everything(folder)
    return folder


def written(model: str) -> dict[str, str]:
    return next(line for line in read_models() if line["model"] == model)


@pytest.mark.parametrize("model", ["SAMRec", "BERT4Rec", "LightGCN", "Pop", "FM", "CKE"])
def test_try_model__gives_the_line_of_the_table(model, data):
    assert write_models.try_model(model, data) == written(model)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(model_names()) // WEEK + 1))
def test_try_model__gives_todays_lines_of_the_table(number, data):
    names = model_names()[date.today().toordinal() % WEEK :: WEEK]
    if number < len(names):
        skip_without_package(names[number])
        if names[number] == "NCL":
            pytest.importorskip("faiss", reason="NCL clusters with it")
        assert write_models.try_apart(names[number], data) == written(names[number])


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("training=packed does not support BPR: it is none; use training=prefix", "it is none"),
        (
            "export: the scores of BPR are no product, of vectors; use recommend; or none",
            "its scores are no product, of vectors",
        ),
        ("--model=BPR: requires the package dgl; install it with: pip", "requires the package dgl"),
        ("BPR cannot be built with these settings: requires the package dgl; install it", "requires the package dgl"),
        ("BPR needs field x, which is not known (known: y, z); choose another", "it needs field x, which is not known"),
        ("--resume=/a/b.pth: BPR is not trained in epochs; start a new run", "it is not trained in epochs"),
        ("something else", "something else"),
    ],
)
def test_shorten__leaves_the_reason(message, reason):
    assert write_models.shorten(message, "BPR") == reason


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (lambda *_: os._exit(3), "unexpected end: the process died with status 3"),
        (lambda *_: time.sleep(60), "unexpected end: not done after 1 seconds"),
    ],
)
def test_try_apart__survives_the_process(happens, words, monkeypatch, data):
    monkeypatch.setattr(write_models, "LONGEST", 1)
    monkeypatch.setattr(write_models, "try_model", happens)
    assert write_models.try_apart("BPR", data) == {"model": "BPR", **dict.fromkeys(COLUMNS[1:], words)}


@pytest.mark.parametrize(
    ("message", "cell"),
    [
        ("--model=BPR: requires the package dgl; install it", "requires the package dgl"),
        ("unknown setting --x; did you mean y?", "unexpected refusal: unknown setting --x"),
    ],
)
def test_try_model__expects_that_models_can_be_trained(message, cell, monkeypatch, data):
    def refuse(*arguments, **settings):
        raise ConfigError(message)

    monkeypatch.setattr(write_models, "run", refuse)
    expected = {"model": "BPR", "kind": "general", **dict.fromkeys(FEATURES, cell)}
    assert write_models.try_model("BPR", data) == expected


def test_attempt__tells_reasons_from_defects():
    def fails(error):
        raise error

    assert write_models._attempt(lambda: None, "BPR") == YES
    assert write_models._attempt(lambda: fails(ConfigError("sam of BPR: no; stop")), "BPR") == "no"
    assert write_models._attempt(lambda: fails(KeyError("x")), "BPR") == "unexpected KeyError: 'x'"


def test_main__tries_the_named_models_and_keeps_others(monkeypatch, tmp_path):
    def fake(cell):
        return lambda model, data: {"model": model, **dict.fromkeys(COLUMNS[1:], cell)}

    file = tmp_path / "models.csv"
    monkeypatch.setattr(write_models, "try_apart", fake("first"))
    assert write_models.main(["--models=SASRec,BPR", f"--out={file}"]) == 0
    monkeypatch.setattr(write_models, "try_apart", fake("unexpected KeyError"))
    assert write_models.main(["--models=SASRec,Pop", f"--out={file}"]) == 1
    assert [(line["model"], line[FEATURES[0]]) for line in read_models(file)] == [
        ("BPR", "first"), ("Pop", "unexpected KeyError"), ("SASRec", "unexpected KeyError"),
    ]  # fmt: skip
    with pytest.raises(SystemExit):
        write_models.main(["--models=Nothing"])
