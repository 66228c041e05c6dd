"""Models that read no sequences predict each target separately."""

from contextlib import suppress

import numpy as np
from recbole.data import create_dataset, data_preparation

from recbole_samrec.data.event_loader import EventLoader
from tests.helpers.temporal import tied_events
from tests.helpers.tiny import build, make_config, write_events

SPLIT = {"eval_args": {"split": {"GTS": {"quantile": 0.6, "target": "successive"}}}, "topk": [3]}


def test_event_loader__has_a_sample_for_each_target(own_folder):
    write_events(own_folder, "tiny", ((f"u{u}", f"i{i}", t) for u, i, t in tied_events(1).itertuples(index=False)))
    config = make_config("Pop", own_folder, valid_metric="NDCG@3", eval_batch_size=40, **SPLIT)
    test = data_preparation(config, create_dataset(config))[2]
    assert isinstance(test, EventLoader) and test._dataset.inter_num > 0
    batches = list(test)
    users = np.concatenate([interaction["user_id"] for interaction, *_ in batches])
    items = np.concatenate([targets for *_, targets in batches])
    assert users.tolist() == test._dataset.inter_feat["user_id"].tolist()
    assert items.tolist() == test._dataset.inter_feat["item_id"].tolist()
    assert all(hidden is None and samples.tolist() == list(range(len(one))) for one, hidden, samples, _ in batches)


def test_evaluate__ranks_the_candidates_only(own_folder):
    frame = tied_events(1)
    write_events(own_folder, "tiny", ((f"u{u}", f"i{i}", t) for u, i, t in frame.itertuples(index=False)))
    config = make_config("Pop", own_folder, valid_metric="NDCG@3", **SPLIT)
    (train, _, test), _, trainer = build(config)
    trainer.fit(train, saved=False)
    seen = []
    trainer.eval_collector.eval_batch_collect = lambda scores, *rest: seen.append(scores)
    held = test._dataset.held
    trainer.excluded_items = None
    trainer.tot_item_num = test._dataset.item_num
    with suppress(Exception):  # there is nothing to evaluate, as nothing was collected
        trainer.evaluate(test, load_best_model=False)
    finite = np.isfinite(np.concatenate(seen))
    assert (finite == held.candidates).all() and not held.candidates.all()
