"""The page "add your own model" is correct: its files are extracted and run."""

import json
import re
from pathlib import Path

import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.utils import get_model

from recbole_samrec.cli.main import main
from recbole_samrec.config.build import configure
from recbole_samrec.config.yaml_files import read_yaml_files
from recbole_samrec.integration import registry
from recbole_samrec.utils.checkpoint_io import load
from tests.helpers.paths import ROOT
from tests.helpers.tiny import cyclic, write_events

PAGE = ROOT / "docs" / "how_to" / "own_model.md"


@pytest.fixture
def files(own_folder):
    """The model and the settings of the page, and a tiny data set."""
    for block in re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE.read_text(), re.S):
        Path(block[0]).write_text(block[1])
    write_events("dataset", "circle", cyclic(users=40, items=30))
    return ["--config_files=mean_rec.yaml", "--dataset=circle", "--epochs=2", "--show_progress=False"]


def test_commands_of_the_page(files, capsys, monkeypatch):
    run, source = ["run", "--model=mean_rec.py:MeanRec", *files], "--model=mean_rec.py:MeanRec"
    assert main([*run, "--run_dir=plain"]) == 0
    assert main([*run, "--run_dir=sam", "--sam_rho=0.1"]) == 0
    result = json.loads(Path("sam", "result.json").read_text())
    assert result["model"] == "MeanRec" and result["config"]["sam_rho"] == 0.1
    plain, sam = (load(f"{name}/last.pth")["state_dict"]["item_embedding.weight"] for name in ("plain", "sam"))
    assert plain.shape == sam.shape and not plain.equal(sam)
    assert main(["evaluate", "sam", source, "--mask_history"]) == 0
    assert "the same figures as in sam/result.json" in capsys.readouterr().out
    with monkeypatch.context() as patch:
        patch.setattr(registry, "_is_loaded", lambda name: False)  # as in another process, which has never heard of it
        for again in (["evaluate", "sam"], ["run", "--resume=sam"]):
            assert main(again) == 2
            assert "custom model; pass its location with --model=file.py:MeanRec" in capsys.readouterr().err
    assert main([*run, "--run_dir=wrong", "--mean_sizes=3"]) == 2
    assert "did you mean mean_size?" in capsys.readouterr().err


def test_python_of_the_page(files, monkeypatch):
    monkeypatch.syspath_prepend(".")
    (block,) = re.findall(r"```python\n(import recbole_samrec\n.*?)```", PAGE.read_text(), re.S)
    settings = {"epochs": 1, "sam_rho": 0.1, "load_col": {"inter": ["user_id", "item_id", "timestamp"]}}
    block = block.replace('"ml-100k"', '"circle"').replace('{"sam_rho": 0.1}', repr(settings))
    exec(block.replace("\nrun_recbole(", "\nresult = run_recbole("), shown := {})
    assert set(shown["result"]) >= {"best_valid_result", "test_result"}


def test_settings_of_the_class_need_no_file(files, capsys):
    (declared,) = re.findall(r"```python\nclass MeanRec.*?\n(    settings = .*?)\n```", PAGE.read_text(), re.S)
    source = Path("mean_rec.py")
    source.write_text(source.read_text().replace('    """Scores', f'{declared}\n    """Scores', 1))
    run = ["run", "--model=mean_rec.py:MeanRec", *files[1:]]
    assert main([*run, "--run_dir=declared", "--mean_size=8"]) == 0
    config = json.loads(Path("declared", "result.json").read_text())["config"]
    assert (config["mean_size"], config["mean_dropout"], config["loss_type"]) == (8, 0.2, "CE")
    assert load("declared/last.pth")["state_dict"]["item_embedding.weight"].shape[1] == 8
    assert main([*run, "--mean_size=small"]) == 2
    assert "mean_size=small: must be a whole number" in capsys.readouterr().err


def test_packed_training_of_the_page(files):
    (method,) = re.findall(r"```python\n(    def packed_states.*?)```", PAGE.read_text(), re.S)
    source = Path("mean_rec.py")
    source.write_text(f"{source.read_text()}\n{method}")
    run = ["run", "--model=mean_rec.py:MeanRec", *files, "--mean_dropout=0"]
    assert main([*run, "--run_dir=prefix"]) == main([*run, "--run_dir=packed", "--training=packed"]) == 0
    model = get_model("MeanRec")(configure(read_yaml_files(["packed/config.yaml"]), {}), Items())
    rows = torch.randint(1, 30, (4, 5))
    states = model.packed_states(rows, torch.tensor([3, 7, 14]))
    for state, (row, t) in zip(states, [(0, 3), (1, 2), (2, 4)], strict=True):
        prefix = rows[row : row + 1] * (torch.arange(5) <= t)
        batch = Interaction({"item_id_list": prefix, "item_length": torch.tensor([t + 1])})
        torch.testing.assert_close(state @ model.item_embedding.weight.T, model.full_sort_predict(batch)[0])


class Items:
    """A stand-in for a data set of 30 items."""

    def num(self, field: str) -> int:
        """Number of items, with the padding item."""
        return 31
