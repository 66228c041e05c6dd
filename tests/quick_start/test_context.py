"""The context of a run: its facts about the data before and after the split."""

import hashlib

import pytest

from recbole_samrec.config.build import configure
from recbole_samrec.quick_start.context import prepare_run
from tests.helpers.tiny import SMALL, random_events, write_events


def context_of(**settings):
    base = {**SMALL, "data_path": "dataset", "dataset": "tiny", "checkpoint_dir": "saved", **settings}
    return prepare_run(configure(base, {}), log=False)


@pytest.mark.parametrize("model", ["SAMRec", "SASRec", "BPR"])
def test_run_context__counts_the_events_before_the_split(own_folder, model):
    events = list(random_events())
    folder = write_events("dataset", "tiny", events)
    context = context_of(model=model)
    assert context.interactions == len(events) == context.events.of_users.sum() == context.events.of_items.sum()
    assert context.loaders == (context.train_data, context.valid_data, context.test_data)
    assert context.sha256 == hashlib.sha256((folder / "tiny.inter").read_bytes()).hexdigest()
    assert context.attributes_sha256 is None and context.is_first_process
