"""Settings are read from yaml files and arguments, with numbers as numbers, and nothing in them is executed."""

import pytest

from recbole_samrec.config.recbole_keys import find_recbole_folder
from recbole_samrec.config.yaml_files import parse_settings, read_yaml, read_yaml_files
from recbole_samrec.utils.errors import ConfigError


@pytest.fixture
def file(tmp_path):
    """Write a yaml file and return its path."""

    def write(text, name="my.yaml"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    "text, value",
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("-2.5e+2", -250.0),
        (".5", 0.5),
        ("1_000.5", 1000.5),
        ("-.inf", float("-inf")),
        ("7", 7),
        ("1e", "1e"),
        ("1.2.3", "1.2.3"),
        ("e5", "e5"),
        ("null", None),
        ("!!python/tuple [1, 2]", (1, 2)),
    ],
)
def test_read_yaml__reads_numbers_of_all_forms(file, text, value):
    found = read_yaml(file(f"key: {text}\n"))
    assert found == {"key": value} and type(found["key"]) is type(value)


def test_read_yaml__keeps_texts_as_written(file):
    assert read_yaml(file("data_path: 2024-10-11\nUSER_ID_FIELD: 010\n")) == {
        "data_path": "2024-10-11",
        "USER_ID_FIELD": "010",
    }


def test_read_yaml__of_an_empty_file_has_no_settings(file):
    assert read_yaml(file("")) == read_yaml(file("# nothing yet\n")) == {}


@pytest.mark.parametrize(
    "text, words",
    [
        ("- a\n- b\n", r"my\.yaml: contains no settings; write lines such as learning_rate: 0\.001$"),
        ("just words", r"my\.yaml: contains no settings"),
        ("a: [1\nb: 2\n", r"my\.yaml: not a yaml file: [^\n]+$"),
        ("a: !!python/object/apply:os.getcwd []\n", r"my\.yaml: not a yaml file: could not determine a constructor"),
        (b"a: \xff\n", r"my\.yaml: not a yaml file: 'utf-8' codec"),
    ],
)
def test_read_yaml__names_the_file_that_is_wrong(file, text, words):
    with pytest.raises(ConfigError, match=words):
        read_yaml(file(text))


def test_read_yaml__asks_for_a_file_that_can_be_read(tmp_path):
    for path in (find_recbole_folder() / "nowhere.yaml", tmp_path):
        with pytest.raises(ConfigError, match=rf"^--config_files={path}: .*; name a yaml file that can be read$"):
            read_yaml(path)


def test_read_yaml_files__lets_later_files_win(file):
    files = [file("seed: 1\nepochs: 5\n", "a.yaml"), file("seed: 2\n", "b.yaml")]
    assert read_yaml_files(list(map(str, files))) == {"seed": 2, "epochs": 5}


def test_read_yaml_files__upgrades_names_of_earlier_revisions(file):
    assert read_yaml_files([str(file("sam_leave_out: ['*norm*']\n"))]) == {"sam_exclude": ["*norm*"]}


def test_parse_settings__reads_values():
    rest = ["--learning_rate=1e-3", "--topk=[5, 10]", "--data_path=a=b", "--load_col=None", "--seed=1", "--seed=1"]
    assert parse_settings(rest) == {
        "learning_rate": 0.001,
        "topk": [5, 10],
        "data_path": "a=b",
        "load_col": None,
        "seed": 1,
    }


@pytest.mark.parametrize("argument", ["seed=1", "--seed", "-seed=1", "--a-b=1", "--=1", "seed"])
def test_parse_settings__asks_for_key_and_value(argument):
    with pytest.raises(ConfigError, match=f"^{argument}: give settings as --key=value, such as"):
        parse_settings([argument])


def test_parse_settings__refuses_two_values_of_one_key():
    with pytest.raises(ConfigError, match=r"^--seed is given twice, as 1 and 2$"):
        parse_settings(["--seed=1", "--epochs=3", "--seed=2"])
