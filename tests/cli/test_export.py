"""The command export writes files that other programs read without this package."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from recbole_samrec.utils import checkpoint_io
from tests.helpers.command import main, succeed
from tests.helpers.tiny import cyclic, write_events


def test_export__writes_what_recommend_finds(own_folder, monkeypatch):
    events = [(f"{user}, jr", item, time) for user, item, time in cyclic(users=40, items=15, length=7)]
    write_events("dataset", "tiny", events)
    small = ["--hidden_size=8", "--inner_size=8", "--MAX_ITEM_LIST_LENGTH=5", "--epochs=2", "--topk=[10]"]
    succeed("run", "--model=SASRec", "--dataset=tiny", "--run_dir=run", *small)
    said = succeed("export", "run", "--out=out")
    assert said.out.strip() == "15 items and 40 users, 8 numbers each, in out"
    succeed("recommend", "run", "--users=all", "--k=4", "--out=recs.csv")
    recs = pd.read_csv("recs.csv")
    read = {name: np.load(f"out/{name}.npy") for name in ("item_ids", "item_vectors", "user_ids", "user_vectors")}
    best = np.argsort(-(read["user_vectors"] @ read["item_vectors"].T), axis=1)[:, :4]
    assert recs["user"].to_numpy().reshape(-1, 4)[:, 0].tolist() == read["user_ids"].tolist()
    assert (read["item_ids"][best] == recs["item"].to_numpy().reshape(-1, 4)).all()
    items = pd.read_parquet("out/items.parquet")
    assert items["item"].tolist() == read["item_ids"].tolist()
    assert (np.stack(items["vector"]) == read["item_vectors"]).all()
    weights, stored = load_file("out/model.safetensors"), checkpoint_io.load(Path("run/best.pth"))["state_dict"]
    assert set(weights) == set(stored)
    assert all((weights[name] == tensor.numpy()).all() for name, tensor in stored.items())
    described = json.loads(Path("out/config.json").read_text())
    assert (described["model"], described["score"], described["dimensions"]) == ("SASRec", "dot product", 8)
    assert described["settings"]["hidden_size"] == 8

    said = main("export", "run", "--out=out")
    assert said.status == 2 and "it already contains an export; add --overwrite" in said.err
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "pyarrow" else find(name))
    Path("out/users.parquet").unlink()
    said = succeed("export", "run", "--out=out", "--overwrite")
    assert "note: no Parquet files: export: Parquet needs pyarrow" in said.out
    assert not Path("out/users.parquet").exists()
    Path("out/mine.txt").touch()
    said = main("export", "run", "--out=out", "--overwrite")
    assert said.status == 2 and "it contains other files; choose a new folder" in said.err
