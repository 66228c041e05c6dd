"""Attributes of items: several of them share one vocabulary, and a single one is read as before."""

import pytest
import torch
from recbole.data import create_dataset

from recbole_samrec.data.attributes import find_attribute_settings, name_joined
from recbole_samrec.model.s3rec_objectives import build_attribute_table
from recbole_samrec.utils.errors import DataError
from tests.helpers.tiny import build, cyclic, make_config, write_events
from tests.helpers.toy_data import table

HEAD = "item_id:token brand:token class:token_seq colour:token"
ROWS = ["i0|b|x y|red", "i1||y|red", "i2|a||blue", *(f"i{n}|a|z|blue" for n in range(3, 12))]


@pytest.fixture
def folder(own_folder):
    path = write_events(own_folder, "tiny", cyclic())
    (path / "tiny.item").write_text(table(HEAD, *ROWS))
    return own_folder


def configure(folder, attributes, **settings):
    settings = {"train_stage": "both", "pretraining": "users", "pretrain_epochs": 1, "epochs": 1} | settings
    return make_config("S3Rec", folder, item_attribute=attributes, checkpoint_dir=str(folder / "saved"), **settings)


def test_find_attribute_settings__loads_all(folder):
    settings = {"item_attribute": ["class", "brand", "class"], "load_col": {"item": ["item_id"]}}
    found = find_attribute_settings(settings, folder / "tiny")
    assert found["item_attribute"] == ["class", "brand"]
    assert found["load_col"]["item"] == ["item_id", "class", "brand"]
    assert find_attribute_settings({"item_attribute": ["brand"]}, folder / "tiny")["item_attribute"] == "brand"
    assert find_attribute_settings({"item_attribute": []}, folder / "tiny")["item_attribute"] == "class"


def test_find_attribute_settings__names_a_missing_column(folder):
    with pytest.raises(DataError, match=r"item_attribute=kind: .*no such token column"):
        find_attribute_settings({"item_attribute": ["class", "kind"]}, folder / "tiny")


def test_name_joined__keeps_a_single_name():
    assert name_joined("class") == name_joined(["class"]) == "class"
    assert name_joined(["class", "brand"]) == "class+brand"


def test_join_attributes__unites_the_vocabularies(folder):
    dataset = create_dataset(configure(folder, ["class", "brand"]))
    tokens = dataset.field2id_token["class+brand"]
    assert tokens.tolist() == ["[PAD]", "class:x", "class:y", "class:z", "brand:b", "brand:a"]
    items = dataset.field2id_token["item_id"]
    have = dict(zip(items, ([str(tokens[i]) for i in row] for row in dataset.item_feat["class+brand"]), strict=True))
    assert have["i0"] == ["class:x", "class:y", "brand:b"] and have["i1"] == ["class:y"] and have["i2"] == ["brand:a"]
    assert have["i5"] == ["class:z", "brand:a"] and have["[PAD]"] == []


def test_build_attribute_table__has_the_columns_of_both(folder):
    """The table of two attributes consists of both tables side by side."""
    tables = {}
    for attributes in (["class", "brand"], "class", "brand"):
        _, model, _ = build(configure(folder, attributes))
        tables[str(attributes)] = build_attribute_table(model)
        assert model.feature_embedding.num_embeddings == model.n_features == tables[str(attributes)].shape[1]
    both, first, second = tables.values()
    assert torch.equal(both, torch.cat([first, second], dim=1))


@pytest.mark.parametrize("pretraining", ["users", "recbole"])
def test_join_attributes__trains_in_both_stages(folder, pretraining):
    config = configure(folder, ["class", "brand", "colour"], pretraining=pretraining)
    loaders, model, trainer = build(config)
    before = model.feature_embedding.weight.detach().clone()
    trainer.fit(*loaders[:2], verbose=False, saved=False)
    assert not torch.equal(before, model.feature_embedding.weight)
    assert config["item_attribute"] == ["class", "brand", "colour"]
    assert model.n_features == 3 + 2 + 2


def test_join_attributes__leaves_a_single_attribute_alone(folder):
    """A list of one name gives the same weights as the name alone, bit for bit."""
    weights = []
    for attributes in ("class", ["class"]):
        loaders, model, trainer = build(configure(folder, attributes, pretrained_dir=f"weights{len(weights)}"))
        trainer.fit(*loaders[:2], verbose=False, saved=False)
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
