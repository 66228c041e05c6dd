"""Generated atomic files give exactly the data that they contain, or a one-line error."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from recbole.data import create_dataset

from recbole_samrec.config.build import check_data, configure
from recbole_samrec.quick_start.context import read_data
from tests.helpers.command import main
from tests.helpers.fuzz_atomic import Case, cases
from tests.helpers.fuzz_levels import Refused, levels, outcome, try_examples, write_bytes
from tests.helpers.fuzz_truth import Sample, Truth

BASE = {
    "dataset": "toy", "data_path": "data", "checkpoint_dir": "saved", "topk": [1], "metrics": ["NDCG"],
    "valid_metric": "NDCG@1", "use_gpu": False, "show_progress": False, "state": "ERROR",
}  # fmt: skip


def read(settings: dict[str, Any]) -> tuple[Any, Any, list[tuple[str, str]]]:
    """Summary, context and events of the data set, read like a run reads it."""
    config = configure({}, BASE | {key: one for key, one in settings.items() if one is not None}, lambda line: None)
    if "load_col" in settings:
        config["load_col"] = settings["load_col"]
    events: list[tuple[str, str]] = []

    def read_events(config: Any) -> Any:
        dataset = create_dataset(config)
        names = [dataset.id2token(f, dataset.inter_feat[f].to_numpy()) for f in (dataset.uid_field, dataset.iid_field)]
        events.extend(zip(*map(list, names), strict=True))
        return dataset

    summary = check_data(config, lambda line: None)
    return summary, read_data(config, read=read_events), events


def samples(part: Any, sequential: bool) -> list[Sample]:
    """Samples of a part of the data."""
    frame = part._dataset.inter_feat
    users = part._dataset.id2token("user_id", frame["user_id"].numpy())
    items = part._dataset.id2token("item_id", frame["item_id"].numpy())
    if not sequential:
        return [Sample(str(user), (), str(item)) for user, item in zip(users, items, strict=True)]
    names = part._dataset.field2id_token["item_id"]
    lists, lengths = frame["item_id_list"].numpy(), frame["item_length"].numpy()
    histories = (tuple(names[row[:length]]) for row, length in zip(lists, lengths, strict=True))
    return [Sample(*map(tuple_or_text, one)) for one in zip(users, histories, items, strict=True)]


def tuple_or_text(value: Any) -> Any:
    return tuple(map(str, value)) if isinstance(value, tuple) else str(value)


def check_case(case: Case) -> None:
    write_bytes(case.files, Path("data", "toy"))
    found = outcome(lambda: read(case.settings))
    if isinstance(found, Refused):
        assert case.may_refuse or case.truth is None, found.message
        return
    assert case.truth is not None, f"read, but {case.about}"
    compare(case, case.truth, *found)


def compare(case: Case, truth: Truth, summary: Any, context: Any, events: list[tuple[str, str]]) -> None:
    assert (summary.users, summary.items, summary.interactions) == (
        truth.read_users, truth.read_items, truth.read_events,
    )  # fmt: skip
    assert Counter(events) == Counter(truth.events)
    assert context.interactions == summary.findings.steps[-1].events == len(truth.events)
    data = context.dataset
    assert (data.user_num - 1, data.item_num - 1) == (len(truth.users), len(truth.items))
    with_events = len({user for user, _ in truth.events}), len({item for _, item in truth.events})
    assert (summary.findings.steps[-1].users, summary.findings.steps[-1].items) == with_events
    sequential = case.settings["model"] != "BPR"
    numbers = tuple(map(len, truth.parts))
    if summary.findings.parts is not None:
        assert tuple(summary.findings.parts) == numbers
    packed = case.settings["model"] == "SAMRec"
    for number, part in enumerate(context.loaders):
        if packed and number == 0:
            continue
        found = samples(part, sequential)
        if case.settings["eval_args"]["order"] == "TO":
            assert Counter(found) == Counter(truth.parts[number])
        elif "TS" not in case.settings["eval_args"]["split"]:
            assert len(found) == numbers[number]


@levels(quick=10, thorough=150)
def test_read_data__gives_the_rows_of_the_files(level):
    try_examples(level, cases(), check_case)


@levels(quick=8, thorough=100)
def test_read_data__reads_whatever_is_written_well(level):
    try_examples(level, cases(clean=True), check_case)


def check_training(case: Case) -> None:
    write_bytes(case.files, Path("data", "toy"))
    small = {"epochs": 1, "embedding_size": 4} | (
        {"hidden_size": 4, "inner_size": 4, "n_heads": 1} if case.settings["model"] != "BPR" else {}
    )
    given = BASE | {key: one for key, one in case.settings.items() if one is not None and key != "load_col"} | small
    columns = {"inter": ["user_id", "item_id", "timestamp", "rating"]}
    columns |= {"item": ["item_id", "item_number"]} if "toy.item" in case.files else {}
    columns |= {"user": ["user_id"]} if "toy.user" in case.files else {}
    named = [f"--{key}={value}" for key, value in (given | {"load_col": columns}).items()]
    said = main("run", *named, "--run_dir=run")
    assert said.status in (0, 2), said.err
    if said.status == 2:
        assert case.truth is None, said.err
        assert said.err.count("\n") == 1


@levels(quick=0, thorough=8, share=0.01)
def test_run__trains_on_whatever_is_written_well(level):
    try_examples(level, cases(clean=True), check_training)
