"""Search spaces: reading, drawing and checks."""

import math
from pathlib import Path

import numpy as np
import pytest
from recbole.utils import get_model

from recbole_samrec.config.keys import collect_defaults, collect_types, list_known_keys
from recbole_samrec.config.parameters import Parameter
from recbole_samrec.config.validate import check_values
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.tune.spaces import Space, check_space, make_domain, make_space, read_default_space, read_space
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.paths import PROPERTIES

MODELS = sorted(file.stem for file in (PROPERTIES / "search").glob("*.yaml"))

RECBOLES = """\
learning_rate loguniform -8,0
# a comment
embedding_size choice [64, 96 , 128]

mlp_hidden_size choice ['[64, 64, 64]','[128,128]']
\tdropout_prob   uniform  0, 0.5   # another
reg_weight quniform 0,1,0.1
train_batch_size choice [2048]
mf_train choice [True,False]
hidden_act choice ['gelu', "relu"]
item_inter_num_interval choice ['[5,10]','[1,inf)']
"""


def written(folder: Path, text: str, name: str = "space.yaml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def drawn(parameter: Parameter, count: int = 500) -> list:
    draws = make_domain(parameter).sample(size=count, random_state=np.random.default_rng(0))
    return [parameter.plain(value) for value in draws]


def test_read_space__reads_our_format(tmp_path):
    space = read_space(
        written(
            tmp_path,
            "learning_rate: {loguniform: [3e-4, 0.003]}  # a comment\n"
            "sam_rho: {uniform: [0, 1]}\n"
            "hidden_dropout_prob: {quniform: [0, 0.5, 0.1]}\n"
            "attn_dropout_prob: {same_as: hidden_dropout_prob}\n"
            "n_layers: {int: [1, 4]}\n"
            "hidden_act: [gelu, relu]\n"
            "mlp_hidden_size: {choice: [[64, 64], [128]]}\n",
        )
    )
    assert space == Space(
        (
            Parameter("learning_rate", "loguniform", low=0.0003, high=0.003),
            Parameter("sam_rho", "uniform", low=0.0, high=1.0),
            Parameter("hidden_dropout_prob", "quniform", low=0, high=0.5, step=0.1),
            Parameter("n_layers", "int", low=1, high=4),
            Parameter("hidden_act", "choice", ("gelu", "relu")),
            Parameter("mlp_hidden_size", "choice", ([64, 64], [128])),
        ),
        {"attn_dropout_prob": "hidden_dropout_prob"},
    )
    assert [p.name for p in space.parameters if p.logarithmic] == ["learning_rate"]
    assert [p.numeric for p in space.parameters] == [True, True, True, True, False, False]
    assert [p.describe() for p in space.parameters] == [
        "0.0003 to 0.003, logarithmic",
        "0 to 1",
        "0 to 0.5 in steps of 0.1",
        "1 to 4, whole numbers",
        "one of gelu, relu",
        "one of [64, 64], [128]",
    ]


@pytest.mark.parametrize("name", ["hyper.test", "model.hyper", "params.yaml"])  # RecBole's own have such names
def test_read_space__reads_recboles_lines(tmp_path, name):
    space = read_space(written(tmp_path, RECBOLES, name))
    values = {p.name: p.values for p in space.parameters if p.kind == "choice"}
    assert values == {
        "embedding_size": (64, 96, 128),
        "mlp_hidden_size": ([64, 64, 64], [128, 128]),
        "train_batch_size": (2048,),
        "mf_train": (True, False),
        "hidden_act": ("gelu", "relu"),
        "item_inter_num_interval": ("[5,10]", "[1,inf)"),
    }
    ranges = {p.name: (p.kind, p.low, p.high, p.step) for p in space.parameters if p.kind != "choice"}
    assert ranges == {
        "learning_rate": ("loguniform", math.exp(-8), 1.0, None),
        "dropout_prob": ("uniform", 0.0, 0.5, None),
        "reg_weight": ("quniform", 0, 1, 0.1),
    }
    assert space.follow == {}


def test_read_space__draws_between_the_bounds_of_loguniform(tmp_path):
    (rate,) = read_space(written(tmp_path, "learning_rate loguniform -8,0\n", "a.test")).parameters
    values = drawn(rate)
    assert math.exp(-8) <= min(values) < math.exp(-7.5) and math.exp(-0.5) < max(values) <= 1
    assert abs(np.mean(np.log(values)) + 4) < 0.3  # the middle of -8 and 0
    (natural,) = make_space({"learning_rate": {"loguniform": [math.exp(-8), 1]}}, "here").parameters
    assert natural == rate


def test_parameter__draws_within_bounds_and_includes_them():
    space = make_space(
        {"a": {"int": [1, 4]}, "b": {"quniform": [0, 1, 0.1]}, "c": {"quniform": [16, 64, 16]}, "d": [1, "x", None]},
        "here",
    )
    whole, tenths, sixteens, choice = map(drawn, space.parameters)
    assert set(whole) == {1, 2, 3, 4} and {type(value) for value in whole} == {int}
    assert sorted(set(tenths)) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert set(sixteens) == {16, 32, 48, 64} and {type(value) for value in sixteens} == {int}
    assert set(choice) == {1, "x", None}


def test_space__grid_has_every_combination_in_order():
    space = make_space({"a": [1, 2], "b": ["x"], "c": [[1], [2]], "d": {"same_as": "a"}}, "here")
    rows = [(1, "x", [1]), (1, "x", [2]), (2, "x", [1]), (2, "x", [2])]
    assert space.grid() == [dict(zip("abc", row, strict=True)) for row in rows]
    with pytest.raises(ConfigError, match=r"rho is a range; write rho: \[0\.05, 1\] or choose --search=random"):
        make_space({"a": [1], "rho": {"loguniform": [0.05, 1]}}, "here").grid()


def test_space__completes_plain_settings_and_followers():
    space = make_space(
        {"drop": [0.1, 0.2], "too": {"same_as": "drop"}, "rho": {"uniform": [0, 1]}, "n": {"int": [1, 4]}, "l": [[1]]},
        "here",
    )
    given = {"drop": np.float64(0.2), "rho": np.float32(0.5), "n": np.int64(3), "l": (np.int64(1),)}
    settings = space.complete(given)
    assert settings == {"drop": 0.2, "rho": 0.5, "n": 3, "l": [1], "too": 0.2}
    assert [type(value) for value in (*settings.values(), *settings["l"])] == [float, float, int, list, float, int]
    assert list(space.domains()) == space.names == ["drop", "rho", "n", "l"]


def test_read_space__runs_nothing_in_a_file(tmp_path):
    planted = tmp_path / "planted"
    attack = f"__import__('os').mkdir({str(planted)!r})"
    for text, name in (
        (f"learning_rate choice [{attack}]\n", "a.test"),
        (f"learning_rate choice {attack}\n", "b.test"),
        (f"learning_rate choice ['{attack}'.upper()]\n", "c.test"),
        (f"learning_rate uniform {attack},1\n", "d.test"),
        (f"learning_rate: !!python/object/apply:os.mkdir [{planted}]\n", "e.yaml"),
    ):
        with pytest.raises(ConfigError):
            read_space(written(tmp_path, text, name))
    words = read_space(written(tmp_path, f'hidden_act choice ["{attack}"]\n', "f.test"))
    assert words.parameters[0].values == (attack,)
    assert not planted.exists()


@pytest.mark.parametrize(
    "line, words",
    [
        ("learning_rate: {loguniform: [0.1, 1]}", "names of YAML files end in .yaml"),
        ("learning_rate loguniform 0,-8", "1.0 is not below 0.000335"),
        ("hidden_act choice [gelu]", "give the choices as a list"),
        ("hidden_act choice []", "hidden_act: there is nothing to choose from"),
        ("hidden_act choice ['0.1',0.1]", "hidden_act: 0.1 is listed twice"),
        ("n_layers choice [1]", "n_layers is in the file twice"),
    ],
)
def test_read_space__names_file_and_line_of_an_error(tmp_path, line, words):
    file = written(tmp_path, f"# mine\nn_layers choice [1, 2]\n{line}\n", "hyper.test")
    with pytest.raises(ConfigError) as error:
        read_space(file)
    assert str(error.value).startswith(f"{file}, line 3: ") and words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "entry, words",
    [
        ("[]", "there is nothing to choose from"),
        ("{choice: []}", "there is nothing to choose from"),
        ("{choice: 3}", "there is nothing to choose from"),
        ("[1, 2, 1.0]", "1.0 is listed twice"),
        ("[[1], [1]]", "[1] is listed twice"),
        ("3", "give a list of values, or one of {uniform: [0, 1]}"),
        ("~", "give a list of values"),
        ("{}", "give a list of values"),
        ("{uniform: [0, 1], int: [1, 2]}", "give a list of values"),
        ("{unform: [0, 1]}", "unknown range unform; did you mean uniform"),
        ("{uniform: [0]}", "uniform takes 2 numbers, such as {uniform: [0, 1]}; not [0]"),
        ("{uniform: 1}", "uniform takes 2 numbers"),
        ("{uniform: [a, b]}", "uniform takes 2 numbers"),
        ("{uniform: [false, true]}", "uniform takes 2 numbers"),
        ("{uniform: [0, .inf]}", "uniform takes 2 numbers"),
        ("{uniform: [1, 1]}", "1 is not below 1"),
        ("{int: [4, 1]}", "4 is not below 1"),
        ("{int: [1, 2.5]}", "int takes whole numbers"),
        ("{loguniform: [0, 1]}", "the lower bound of loguniform must be above 0, not 0; write a bound such as 0.01"),
        ("{loguniform: [-8, 0]}", "the lower bound of loguniform must be above 0, not -8"),
        ("{quniform: [0, 1]}", "quniform takes 3 numbers"),
        ("{quniform: [0, 1, 2]}", "a step of 2 does not fit from 0 to 1"),
        ("{quniform: [0, 1, 0]}", "a step of 0 does not fit"),
        ("{quniform: [0.05, 0.5, 0.1]}", "0.05 is not a multiple of the step 0.1"),
        ("{same_as: n_layer}", "n_layer is not a parameter of this space; did you mean n_layers?"),
        ("{same_as: x}", "x is not a parameter of this space; there are: n_layers"),
    ],
)
def test_read_space__names_file_line_and_key_of_an_error(tmp_path, entry, words):
    file = written(tmp_path, f"# mine\nn_layers: [1, 2]\nx: {entry}\n")
    with pytest.raises(ConfigError) as error:
        read_space(file)
    assert str(error.value).startswith(f"{file}, line 3: x: ") and words in str(error.value)
    with pytest.raises(ConfigError, match=r"^here: x: "):
        make_space({"n_layers": [1, 2], **read_yaml(written(tmp_path, f"x: {entry}\n"))}, "here")


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "it contains no parameters; write lines such as learning_rate: {loguniform: [0.0003, 0.003]}"),
        ("# a comment\n", "it contains no parameters"),
        ("- 1\n", "it contains no parameters"),
        ("a: [1, 2\n", "not a yaml file"),
        ("a: [1]\nb: [2]\na: [3]\n", "line 3: a is in the file twice"),
        ("a: {same_as: b}\n", "add a line such as b: [0.1, 0.2]"),
    ],
)
def test_read_space__rejects_yaml_files_without_a_space(tmp_path, text, words):
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        read_space(file)
    assert str(error.value).startswith(str(file)) and words in str(error.value) and "\n" not in str(error.value)


def test_read_space__rejects_unreadable_files(tmp_path):
    with pytest.raises(ConfigError, match=r"--space=.*none\.yaml: No such file"):
        read_space(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        read_space(tmp_path / "binary.yaml")
    with pytest.raises(ConfigError, match="it contains no parameters"):
        read_space(written(tmp_path, "\n# nothing\n", "empty.test"))
    with pytest.raises(ConfigError, match="here: it contains no parameters"):
        make_space({}, "here")


KNOWN = {"learning_rate", "n_layers", "attn_dropout_prob", "hidden_dropout_prob", "loss_type", "seed"}


@pytest.mark.parametrize(
    "mapping, words",
    [
        ({"learning_rte": [0.1]}, "unknown setting learning_rte; did you mean learning_rate?"),
        ({"n_layers": [1], "n_layer": {"same_as": "n_layers"}}, "unknown setting n_layer; did you mean n_layers"),
        (
            {"loss_type": ["CE", "BPR"]},
            "loss_type is in the search space, but is set to CE by the entry or by the command line",
        ),
        ({"n_layers": [1], "loss_type": {"same_as": "n_layers"}}, "loss_type is in the search space"),
        ({"seed": [1, 2]}, "seed: it determines what is measured"),
        ({"n_layers": [1, 1.5]}, "n_layers=1.5: must be a whole number"),
        ({"n_layers": {"uniform": [1, 3]}}, "n_layers=1.0: must be a whole number"),
        ({"n_layers": {"int": [0, 3]}}, "n_layers=0: must be a whole number of at least 1"),
        ({"learning_rate": [0.1, "fast"]}, "learning_rate=fast: must be a number"),
        ({"hidden_dropout_prob": {"uniform": [0, 1]}}, "hidden_dropout_prob=1.0: must be a number in"),
        ({"learning_rate": [1.5], "attn_dropout_prob": {"same_as": "learning_rate"}}, "attn_dropout_prob=1.5: must"),
    ],
)
def test_check_space__rejects_what_does_not_fit_the_model(mapping, words):
    declared = collect_types("SAMRec")
    with pytest.raises(ConfigError, match=f"^mine: {words}"):
        check_space(make_space(mapping, "mine"), "mine", KNOWN, {"loss_type": "CE"}, declared)


def test_check_space__accepts_what_fits_the_model():
    space = make_space({"learning_rate": {"loguniform": [1e-4, 0.1]}, "n_layers": {"int": [1, 3]}}, "mine")
    check_space(space, "mine", KNOWN, {"loss_type": "CE"})


def test_read_default_space__has_one_for_each_compared_model():
    assert set(MODELS) == set(
        "SAMRec SASRec S3Rec CL4SRec BERT4Rec GRU4Rec BSARec DuoRec gSASRec SASRecOriginal eSASRec".split()
    )
    with pytest.raises(ConfigError, match=r"--model=Pop: it has no search space \(.*SAMRec.*--space=FILE"):
        read_default_space("Pop")


@pytest.mark.parametrize("name", MODELS)
def test_read_default_space__fits_the_model(name):
    space = read_default_space(name)
    for model in {name, "SAMRec" if name == "SASRec" else name}:  # the row SASRec is SAMRec without SAM
        known = list_known_keys(model, "ml-100k", get_model(model))
        declared = collect_types(model, "ml-100k")
        check_space(space, name, known, {"sam_rho": 0} if name == "SASRec" else {}, declared)
        trial = space.complete({p.name: make_domain(p).sample() for p in space.parameters})
        check_values(trial, declared)
        assert set(trial) == {*space.names, *space.follow}


def test_read_default_space__shares_ranges_of_transformers():
    first = read_default_space("SASRec")
    assert first.names == ["learning_rate", "hidden_dropout_prob"]
    for name in set(MODELS) - {"GRU4Rec"}:
        assert read_default_space(name).parameters[:2] == first.parameters
        assert read_default_space(name).follow["attn_dropout_prob"] == "hidden_dropout_prob"
    rate, dropout = read_default_space("GRU4Rec").parameters[:2]
    assert rate == first.parameters[0] and dropout.values == first.parameters[1].values
    assert read_default_space("SAMRec").names == [*first.names, "sam_rho"]


def test_read_default_space__contains_the_defaults():
    for name in MODELS:
        model = "SAMRec" if name == "SASRec" else name
        defaults = collect_defaults(model)
        for parameter in read_default_space(name).parameters:
            values = parameter.values or (parameter.low, parameter.high)
            assert min(values) <= defaults[parameter.name] <= max(values), (name, parameter.name)
