"""Numerical columns change a model's computation, or a message reports that the model does not read them."""

import random

import pytest
import torch
from recbole.data import create_dataset

from recbole_samrec.data.features import describe_unread_floats
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.tiny import build, make_config
from tests.helpers.toy_data import suspend, table

HEADS = {
    "item": "item_id:token brand:token tags:token_seq price:float age:float vec:float_seq vec2:float_seq",
    "user": "user_id:token sex:token income:float uvec:float_seq",
}
LOADED = {suffix: [cell.partition(":")[0] for cell in head.split()] for suffix, head in HEADS.items()}
LOADED["inter"] = ["user_id", "item_id", "rating", "timestamp"]


def write_numbers(folder, seed):
    """Write a data set in which only the numbers depend on the seed."""
    path = folder / "tiny"
    path.mkdir(parents=True)
    draw, numbers = random.Random(0), random.Random(seed)

    def value():
        return f"{numbers.random():.3f}"

    def vector():
        return f"{value()} {value()}"

    events = [f"u{u}|i{i}|{draw.randint(1, 5)}|{t}" for u in range(12) for t, i in enumerate(draw.sample(range(9), 6))]
    items = [f"i{i}|b{i % 3}|x{i % 2} y|{value()}|{value()}|{vector()}|{vector()}" for i in range(9)]
    users = [f"u{u}|{'fm'[u % 2]}|{value()}|{vector()}" for u in range(12)]
    (path / "tiny.inter").write_text(table("user_id:token item_id:token rating:float timestamp:float", *events))
    (path / "tiny.item").write_text(table(HEADS["item"], *items))
    (path / "tiny.user").write_text(table(HEADS["user"], *users))


def configure(folder, model, **settings):
    context = {"threshold": {"rating": 3}} if model in ("FM", "FwFM", "DSSM", "WideDeep", "FFM") else {}
    return make_config(model, folder, load_col=LOADED, **context, **settings)


def losses(folder, model, **settings):
    """The losses of the first batch with two sets of numbers."""
    values = []
    for seed in (1, 2):
        if not (folder / str(seed)).exists():
            write_numbers(folder / str(seed), seed)
        loaders, model_, _ = build(configure(folder / str(seed), model, **settings))
        model_.eval()
        values.append(float(model_.calculate_loss(next(iter(loaders[0])))))
    return values


ITEMS = ["price", "age", "vec", "vec2"]


@pytest.mark.parametrize("model", ["SASRecF", "GRU4RecF", "FDSA"])
@pytest.mark.parametrize("selected", [["price"], ["brand", "price", "age"], ["vec"], ["brand", "tags", *ITEMS]])
def test_numbers__are_read_where_they_are_selected(own_folder, model, selected):
    numerical = [name for name in selected if name in ITEMS]
    one, other = losses(own_folder, model, selected_features=selected, numerical_features=numerical)
    assert one != other


@pytest.mark.parametrize("model", ["FM", "FwFM", "DSSM", "WideDeep", "FFM", "DIN", "DIEN"])
def test_numbers__are_read_where_they_are_named(own_folder, model):
    one, other = losses(own_folder, model, numerical_features=[*ITEMS, "income", "uvec"])
    assert one != other
    one, other = losses(own_folder, model)
    assert one == other


@pytest.mark.parametrize("method", [{"method": "ED", "bucket": 3}, {"method": "LD"}])
def test_numbers__may_be_put_into_buckets(own_folder, method):
    settings = {"numerical_features": ["price", "vec"], "selected_features": ["price", "vec"], "normalize_all": True}
    losses(own_folder, "SASRecF", discretization={"price": method, "vec": method}, **settings)


@pytest.mark.parametrize(
    ("patch", "model", "selected"),
    [
        ("stack_numerical_features", "GRU4RecF", ["price", "age"]),
        ("count_features_of_sasrecf", "SASRecF", ["vec"]),
        ("number_sequences_in_fwfm", "FwFM", ["vec"]),
        ("give_numbers_to_their_tower", "DSSM", ["price"]),
    ],
)
def test_numbers__fail_without_the_patches(own_folder, patch, model, selected):
    features = {"selected_features": selected} if model.endswith("F") else {}
    with suspend(patch), pytest.raises((RuntimeError, KeyError)):
        losses(own_folder, model, numerical_features=selected, **features)


def test_give_numbers_to_their_tower__moves_no_item_to_users(own_folder):
    """Other numbers of items do not change the input of the users' tower."""
    write_numbers(own_folder, 1)
    loaders, model, _ = build(configure(own_folder, "DSSM", numerical_features=["price", "vec", "income", "uvec"]))
    batch = next(iter(loaders[0]))
    before = model.double_tower_embed_input_fields(batch)
    for name in ("price", "vec"):
        batch[name] = batch[name] * torch.tensor([2.0, 1.0])  # the value, not the number of its embedding
    after = model.double_tower_embed_input_fields(batch)
    assert before[1].equal(after[1]) and not before[3].equal(after[3])
    assert before[1].shape[1] == before[3].shape[1] == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"selected_features": ["brand", "price"]}, r"price contains numbers.*--numerical_features=\"\['price'\]\""),
        ({"selected_features": ["income"]}, "income is not among those that load_col loads"),
        ({"selected_features": ["colour"]}, "colour is not among"),
        ({"selected_features": []}, "name columns of the .item file"),
        ({"selected_features": ["brand"], "numerical_features": ["brand"]}, "brand is a token column"),
        ({"selected_features": ["brand"], "numerical_features": ["cost"]}, "cost is not loaded"),
    ],
)
def test_check_features__names_the_setting(own_folder, settings, words):
    write_numbers(own_folder, 1)
    with pytest.raises(ConfigError, match=words):
        create_dataset(configure(own_folder, "SASRecF", **settings))


def test_check_numbers__is_needed(own_folder):
    write_numbers(own_folder, 1)
    with suspend("check_numerical_features"), pytest.raises(ValueError, match="zero-dimensional"):
        create_dataset(configure(own_folder, "BPR", numerical_features=["brand"]))


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        ("SASRec", {}, "does not read the numbers in income, uvec, price, age, vec, vec2; no setting"),
        ("BPR", {}, "no setting makes it read them"),
        (
            "FM",
            {"numerical_features": ["price"]},
            "in income, uvec, age, vec, vec2; --numerical_features=\"['price', 'inc",
        ),
        ("FM", {"numerical_features": [*ITEMS, "income", "uvec"]}, None),
        ("DIN", {"numerical_features": [*ITEMS, "income", "uvec"]}, "in rating, income, uvec; no setting"),
        ("DIEN", {"numerical_features": [*ITEMS, "income", "uvec"]}, "in rating"),
        (
            "FDSA",
            {"numerical_features": ["price"], "selected_features": ["price"]},
            "in income, uvec, age, vec, vec2; ",
        ),
    ],
)
def test_describe_unread_floats__names_the_columns(own_folder, model, settings, words):
    write_numbers(own_folder, 1)
    config = configure(own_folder, model, **settings)
    line = describe_unread_floats(config, create_dataset(config))
    assert line is None if words is None else words in str(line)
