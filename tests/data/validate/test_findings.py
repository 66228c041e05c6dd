"""The counts of the check equal those of the data set that RecBole loads, filter by filter."""

import numpy as np
import pytest
from recbole.data.dataset import Dataset

from recbole_samrec.data.validate.check import check_atomic_files
from tests.helpers.toy_data import config

HEAD = "user_id:token\titem_id:token\trating:float\tshop:token\ttimestamp:float"
NAMES = {0: "NA", 3: "03", 5: '"quoted"'}


def write_lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """Random events with empty ids, repeated rows and pairs, and files of users and items that cover only some."""
    random = np.random.default_rng(0)
    rows = [
        (NAMES.get(u, f"u{u}"), f"i{random.integers(25)}", random.integers(1, 6)) for u in random.integers(30, size=400)
    ]
    lines = [f"{u}\t{i}\t{r}\ts{random.integers(3)}\t{random.integers(50)}" for u, i, r in rows]
    lines += [*lines[:20], "\ti1\t3\ts1\t5", "u1\t\t3\ts1\t5", "u1\ti1\t\ts1\t5"]
    users = [f"{NAMES.get(u, f'u{u}')}\t{20 + u}" for u in range(4, 34)] + ["u9\t99", "\t7"]
    items = [f"i{i}\tk{i % 4}" for i in range(3, 28)]
    return {
        "inter": write_lines(HEAD, *lines),
        "user": write_lines("user_id:token\tage:float", *users),
        "item": write_lines("item_id:token\tkind:token", *items),
    }


class CountingDataset(Dataset):
    """RecBole's data set, which counts users, items and events after each filter."""

    def _data_filtering(self):
        self.counts = []
        filters = [
            self._filter_nan_user_or_item,
            self._remove_duplication,
            self._filter_by_field_value,
            self._filter_inter_by_user_or_item,
            self._filter_by_inter_num,
        ]
        for one in filters:
            one()
            events = self.inter_feat
            self.counts.append((events["user_id"].nunique(), events["item_id"].nunique(), len(events)))
        self._reset_index()


ALL = {"inter": "*", "user": "*", "item": "*"}


@pytest.mark.parametrize(
    "settings",
    [
        {"load_col": {"inter": ["user_id", "item_id"]}},
        {"load_col": ALL},
        {"load_col": ALL, "filter_inter_by_user_or_item": False},
        {"load_col": ALL, "keep_na_tokens": False},
        {"load_col": {"inter": "*", "item": ["item_id"]}, "rm_dup_inter": "last"},
        {"load_col": {"inter": "*"}, "rm_dup_inter": "first", "user_inter_num_interval": "[8,inf)"},
        {"load_col": ALL, "user_inter_num_interval": "[6,14]", "item_inter_num_interval": "(5,inf)"},
        {"load_col": {"inter": "*"}, "item_inter_num_interval": "[0,9];[14,inf)"},
        {"load_col": ALL, "val_interval": {"rating": "[3,inf)", "shop": ["s0", "s1"]}},
        {"load_col": ALL, "val_interval": {"age": "(30,inf)", "kind": ["k1", "k2"]}, "rm_dup_inter": "first"},
        {"load_col": ALL, "val_interval": {"user_id": ["NA", "u6", "u7", "u8"]}, "item_inter_num_interval": "[2,inf)"},
    ],
    ids=str,
)
def test_collect_findings__equal_what_recbole_loads(tmp_path, files, settings):
    loading = config(tmp_path, files, **settings)
    loaded = CountingDataset(loading)
    fields = loading.final_config_dict
    path = tmp_path / loading["dataset"]
    found = check_atomic_files(path, path.name, needs_time=False, fields=fields, sequential=False).findings
    steps = {step.name.partition("=")[0].partition(" of ")[0]: step for step in found.steps}
    names = ["rows without", "rm_dup_inter", "val_interval", "rows in", ("user_inter", "item_inter")]
    now = None
    for name, counts in zip(names, loaded.counts, strict=True):
        now = next((step for key, step in steps.items() if key.startswith(name)), now)
        assert now is None or (now.users, now.items, now.events) == counts, name
    last = found.steps[-1]
    surplus = {one.suffix: one.surplus for one in found.coverage}
    assert (last.users, last.items, last.events) == loaded.counts[-1]
    assert loaded.user_num - 1 == last.users + surplus.get("user", 0)
    assert loaded.item_num - 1 == last.items + surplus.get("item", 0)
