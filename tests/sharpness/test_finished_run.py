"""A finished run is read, and missing parts are reported."""

import pytest
from torch import nn

from recbole_samrec.sharpness.finished_run import name_run, read_finished_record, require_finite
from recbole_samrec.utils.errors import CheckpointError
from tests.helpers.records import write_record


def test_name_run__has_label_and_seed():
    assert name_run("GRU4Rec+SAM", 7) == "GRU4Rec+SAM, seed 7"


def test_read_finished_record__returns_the_record(tmp_path):
    write_record(tmp_path / "result.json", seed=3)
    assert read_finished_record(tmp_path).seed == 3


def test_read_finished_record__tells_what_is_missing(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere: there is no such run; the runs are in runs/$"):
        read_finished_record(tmp_path / "nowhere")
    with pytest.raises(
        CheckpointError, match=r"it holds no result\.json, so it is no finished run; finish it by --res"
    ):
        read_finished_record(tmp_path)
    write_record(tmp_path / "result.json", test={})
    with pytest.raises(CheckpointError, match=r"result\.json: it has no metrics of a test set, which a report needs"):
        read_finished_record(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"result\.json: it is damaged \(.*\); train the run again$"):
        read_finished_record(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_require_finite__names_the_first_such_tensor(tmp_path, value):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    require_finite(model, tmp_path)
    nn.init.constant_(model[1].bias, value)
    with pytest.raises(CheckpointError, match=r": 1\.bias is not finite; train the run again"):
        require_finite(model, tmp_path)
