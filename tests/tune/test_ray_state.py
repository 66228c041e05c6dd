"""Ray Tune's state of a search, copied and restored."""

import pickle

import pytest

from recbole_samrec.tune.ray_state import COPY, copy_state, repair_state

STATE, OTHER, TUNER = "experiment_state-1.json", "basic-variant-state-1.json", "tuner.pkl"


@pytest.fixture
def state(tmp_path):
    """A folder with a state of two files, a marker and the folder of a trial."""
    write_state(tmp_path, 1)
    (tmp_path / ".marker").touch()
    (tmp_path / "000").mkdir()
    return tmp_path


def write_state(folder, number):
    (folder / STATE).write_text(f'{{"number": {number}, "trials": []}}')
    (folder / OTHER).write_bytes(pickle.dumps(number))
    (folder / TUNER).write_bytes(pickle.dumps({}))


def read_state(folder):
    return (folder / STATE).read_text()[11], pickle.loads((folder / OTHER).read_bytes())


@pytest.mark.parametrize("damaged", [STATE, OTHER, TUNER])
@pytest.mark.parametrize("share", [0, 0.5])
def test_repair_state__puts_the_copy_in_place_of_halves(state, damaged, share):
    copy_state(state)
    write_state(state, 2)
    content = (state / damaged).read_bytes()
    (state / damaged).write_bytes(content[: int(share * len(content))])
    (state / "experiment_state-2.json").write_text("{")
    copy_state(state)  # does not replace the whole one
    assert repair_state(state) and read_state(state) == ("1", 1)
    assert sorted(path.name for path in state.iterdir()) == [".marker", "000", OTHER, COPY, STATE, TUNER]


def test_repair_state__leaves_a_whole_state(state):
    copy_state(state)
    write_state(state, 2)
    assert repair_state(state) and read_state(state) == ("2", 2)


@pytest.mark.parametrize("missing", [STATE, TUNER])
def test_repair_state__without_a_copy(state, missing):
    (state / missing).unlink()
    copy_state(state)
    assert not repair_state(state) and not repair_state(state / "nowhere")
