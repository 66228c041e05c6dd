"""RecBole's lines of search spaces are read like RecBole reads them, and errors contain file and line."""

import math

import pytest

from recbole_samrec.tune.recbole_space import Line, has_lines, read_lines
from recbole_samrec.utils.errors import ConfigError


def read(text):
    return list(read_lines(text, "hyper.test"))


@pytest.mark.parametrize(
    "text, found",
    [
        ("# a comment\n\nlearning_rate choice [1]\n", True),
        ("  learning_rate [1, 2]", True),
        ("learning_rate: {choice: [1]}", False),
        ("learning_rate : {choice: [1]}", False),
        ("a:\n  choice: [1]", False),
        ("", False),
    ],
)
def test_has_lines__tells_them_from_yaml(text, found):
    assert has_lines(text) is found


def test_read_lines__reads_choices_and_numbers_with_their_places():
    text = "# mine\nn_layers choice [1, 2]\n\n  dropout  uniform 0,0.5 # more\nreg quniform 0,1,0.1\n"
    assert read(text) == [
        Line("hyper.test, line 2", "n_layers", "choice", [1, 2]),
        Line("hyper.test, line 4", "dropout", "uniform", [0, 0.5]),
        Line("hyper.test, line 5", "reg", "quniform", [0, 1, 0.1]),
    ]


def test_read_lines__reads_values_in_texts_but_no_intervals():
    (sizes,) = read("mlp_hidden_size choice ['[64,64]','[128]']")
    (interval,) = read("item_inter_num_interval choice ['[5,10]','[1,inf)']")
    assert sizes.values == [[64, 64], [128]] and interval.values == ["[5,10]", "[1,inf)"]


def test_read_lines__takes_natural_logarithms_as_bounds():
    (rate,) = read("learning_rate loguniform -8,0")
    assert rate.values == [math.exp(-8), 1.0]


def test_read_lines__takes_a_list_without_a_type_as_a_choice():
    assert read("reg ['[0.1]', 2]") == [Line("hyper.test, line 1", "reg", "choice", [[0.1], 2])]


@pytest.mark.parametrize(
    "line, words",
    [
        ("learning_rate", "write name, type and values, such as learning_rate loguniform -8,0"),
        ("learning_rate choice", "write name, type and values"),
        ("rate loguniforn -8,0", "rate: RecBole's lines have no type loguniforn; did you mean loguniform or"),
        ("rate loguniform -8", "rate: loguniform takes 2 numbers with commas between them, such as -8,0"),
        ("rate loguniform 0,9999", "rate: the bounds of loguniform are natural logarithms, and e^9999 is out of range"),
        ("rate loguniform -9999,0", "rate: the bounds of loguniform are natural logarithms, and e^-9999 is out"),
        ("rate uniform True,2", "rate: uniform takes 2 numbers with commas between them, such as 0,1"),
        ("rate quniform 0,1", "rate: quniform takes 3 numbers with commas between them, such as 0,1,0.1"),
        ("act choice gelu", "act: give the choices as a list, such as [0.01,0.001] or ['gelu','relu']"),
    ],
)
def test_read_lines__tells_what_is_wrong(line, words):
    with pytest.raises(ConfigError) as caught:
        read(f"# mine\n{line}\n")
    assert str(caught.value).startswith(f"hyper.test, line 2: {words}")
