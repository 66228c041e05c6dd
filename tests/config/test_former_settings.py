"""Settings of an earlier RecBole raise errors that name their replacements, or are noted if harmless."""

import pytest

from recbole_samrec.config.build import report_unread
from recbole_samrec.config.former_settings import (
    HARMLESS,
    NEUTRAL,
    OF_MODELS,
    SUCCESSORS,
    WITHOUT_SUCCESSOR,
    check_former_settings,
)
from recbole_samrec.config.keys import list_keys_of_all_models
from recbole_samrec.config.recbole_keys import LOOKED_UP
from recbole_samrec.config.validate import check_keys
from recbole_samrec.config.yaml_files import read_yaml_files
from recbole_samrec.utils.errors import ConfigError


def refusal(**settings):
    with pytest.raises(ConfigError) as caught:
        check_former_settings(settings, "old.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "successor"),
    [
        (
            {"eval_setting": "TO_RS,pop100", "split_ratio": [0.6, 0.2, 0.2]},
            "eval_args: {'split': {'RS': [0.6, 0.2, 0.2]}, 'order': 'TO', 'mode': 'pop100'}",
        ),
        (
            {"eval_setting": "RO_LS, full", "leave_one_num": 2, "group_by_user": False},
            "eval_args: {'split': {'LS': 'valid_and_test'}, 'order': 'RO', 'group_by': 'none', 'mode': 'full'}",
        ),
        ({"leave_one_num": 1}, "eval_args: {'split': {'LS': 'test_only'}}"),
        ({"split_ratio": [8, 1, 1]}, "eval_args: {'split': {'RS': [8, 1, 1]}}"),
        ({"eval_neg_sample_args": {"distribution": "uniform", "sample_num": 100}}, "eval_args: {'mode': 'uni100'}"),
        ({"lowest_val": {"rating": 3}}, "val_interval: {'rating': '[3,inf)'}"),
        ({"highest_val": {"rating": 3}}, "val_interval: {'rating': '(-inf,3]'}"),
        ({"lowest_val": {"a": 1}, "highest_val": {"a": 4}}, "val_interval: {'a': '[1,4]'}"),
        ({"equal_val": {"rating": 5}}, "val_interval: {'rating': '[5,5]'}"),
        ({"not_equal_val": {"rating": 0}}, "val_interval: {'rating': '(-inf,0);(0,inf)'}"),
        ({"min_user_inter_num": 5}, 'user_inter_num_interval: "[5,inf)"'),
        ({"min_item_inter_num": 5, "max_item_inter_num": 9}, 'item_inter_num_interval: "[5,9]"'),
        ({"training_neg_sample_num": 4}, "train_neg_sample_args: {'distribution': 'uniform', 'sample_num': 4}"),
        ({"training_neg_sample_num": 0}, "train_neg_sample_args: ~"),
        ({"neg_sampling": {"popularity": 2}}, "train_neg_sample_args: {'distribution': 'popularity', 'sample_num': 2}"),
        ({"fields_in_same_space": [["a", "b"]]}, "alias_of_user_id or alias_of_item_id"),
        ({"config_file_list": ["a.yaml"]}, "config_files"),
        ({"gpu_ids": "0"}, "gpu_id"),
    ],
)
def test_check_former_settings__names_what_to_write(settings, successor):
    message = refusal(**settings)
    assert f"write {successor} in place of {', '.join(settings)}" in message and "\n" not in message


def test_check_former_settings__names_all_in_one_line():
    message = refusal(eval_setting="RO_RS,full", lowest_val={"rating": 3}, augmentation=False, epochs=3)
    assert message == (
        "old.yaml: settings of an earlier RecBole: write eval_args: {'split': {'RS': [0.8, 0.1, 0.1]}, 'order': 'RO', "
        "'mode': 'full'} in place of eval_setting; write val_interval: {'rating': '[3,inf)'} in place of lowest_val; "
        "leave augmentation out (every prefix of a sequence is a training sample)"
    )


@pytest.mark.parametrize("key", sorted({*SUCCESSORS, *WITHOUT_SUCCESSOR}))
def test_check_former_settings__passes_over_none_in_silence(key, tmp_path):
    notes = []
    check_former_settings({key: "something"}, "f", notes.append) if key in HARMLESS else refusal(**{key: "something"})
    assert len(notes) == (key in HARMLESS)
    notes.clear()
    check_former_settings({key: None}, "f", notes.append)  # as in the files that came with RecBole 0.x
    assert not notes or key in NEUTRAL
    with pytest.raises(ConfigError, match=f"unknown setting --{key}; (use |RecBole 1.2.1 has no such setting)"):
        check_keys([key], list_keys_of_all_models())


def test_check_former_settings__notes_what_holds_anyway(tmp_path):
    notes = []
    (tmp_path / "a.yaml").write_text("group_by_user: True\nmin_user_inter_num: 0\nfill_nan: True\nepochs: 3\n")
    assert read_yaml_files([str(tmp_path / "a.yaml")], notes.append)["epochs"] == 3
    assert [note.split(": ")[1].split()[0] for note in notes] == ["fill_nan", "group_by_user", "min_user_inter_num"]
    (tmp_path / "a.yaml").write_text("group_by_user: False\n")
    with pytest.raises(ConfigError, match="'group_by': 'none'"):
        read_yaml_files([str(tmp_path / "a.yaml")])


def test_former_settings__are_none_of_the_present_ones():
    assert not {*SUCCESSORS, *WITHOUT_SUCCESSOR, *OF_MODELS} & (list_keys_of_all_models() | LOOKED_UP)


def test_report_unread__names_what_only_earlier_models_read():
    notes = []
    report_unread(["xgb_cv_folds", "regs", "hidden_size"], {"hidden_size", "regs"}, notes.append)
    assert notes == ["xgb_cv_folds in the files has no effect: no model of RecBole 1.2.1 reads it"]
