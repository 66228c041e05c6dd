"""Pickled data are opened only if trusted, and used only if they match the run."""

import pickle
import warnings

import pytest
from recbole.data import create_dataset, data_preparation, utils

from recbole_samrec.utils.errors import CheckpointError, ConfigError
from tests.helpers.toy_data import SASREC, config, suspend, table, tokens

pytestmark = [
    pytest.mark.filterwarnings("ignore::pandas.errors.ChainedAssignmentError"),
    pytest.mark.filterwarnings("ignore:The given NumPy array is not writable"),
]
HEAD = "user_id:token item_id:token timestamp:float"
FILES = {"inter": table(HEAD, *(f"u{user}|i{k}|{k}" for user in range(3) for k in range(6)))}
OTHER = {"inter": table(HEAD, *(f"u{user}|j{k}|{k}" for user in range(3) for k in range(6)))}
TRUSTED = SASREC | {"trust_checkpoint": True}
DATASET, LOADERS = "toy-SequentialDataset.pth", "toy-for-SASRec-dataloader.pth"


class Bomb:
    """An object whose pickle creates a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def bomb(tmp_path):
    """Place a bomb under a name; ``exploded`` returns True once it has been read."""

    def plant(name):
        path = tmp_path / "saved" / name
        path.parent.mkdir(exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path.write_bytes(pickle.dumps(Bomb(tmp_path / "crater")))
        return path

    return plant


def exploded(tmp_path):
    return (tmp_path / "crater").exists()


# Trust: `open_only_trusted_caches`


def test_cached_dataset__untrusted_is_ignored(tmp_path, bomb, caplog):
    path = bomb(DATASET)
    dataset = create_dataset(config(tmp_path, FILES, **SASREC))
    assert not exploded(tmp_path) and dataset.item_num == 7
    (message,) = [record.getMessage() for record in caplog.records if "Ignored" in record.getMessage()]
    assert str(path) in message and "--trust_checkpoint=True" in message


def test_cached_loaders__untrusted_are_ignored(tmp_path, bomb, caplog):
    path = bomb(LOADERS)
    settings = config(tmp_path, FILES, **SASREC)
    train, _, _ = data_preparation(settings, create_dataset(settings))
    assert not exploded(tmp_path) and len(train.dataset) == 9
    (message,) = [record.getMessage() for record in caplog.records if "Ignored" in record.getMessage()]
    assert str(path) in message and "--trust_checkpoint=True" in message


def test_cached_dataset__untrusted_but_asked_for_is_an_error(tmp_path, bomb):
    path = bomb("mine.pth")
    settings = config(tmp_path, FILES, dataset_save_path=str(path), **SASREC)
    with pytest.raises(CheckpointError, match=r"dataset_save_path: .*mine.pth is a pickle.*--trust_checkpoint=True"):
        create_dataset(settings)
    assert not exploded(tmp_path)


def test_cached_loaders__untrusted_but_asked_for_are_an_error(tmp_path, bomb):
    path = bomb("mine.pth")
    settings = config(tmp_path, FILES, dataloaders_save_path=str(path), **SASREC)
    dataset = create_dataset(settings)
    with pytest.raises(CheckpointError, match=r"dataloaders_save_path: .*mine.pth is a pickle"):
        data_preparation(settings, dataset)
    assert not exploded(tmp_path)


def test_cache__without_description_stays_closed_even_if_trusted(tmp_path, bomb, caplog):
    path = bomb(DATASET)
    create_dataset(config(tmp_path, FILES, **TRUSTED))
    assert not exploded(tmp_path) and f"{path}.json is missing or damaged" in caplog.text


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": 5, "files": {}}', '{"settings": {}, "files": []}'])
def test_cache__with_damaged_description_is_not_used(tmp_path, bomb, caplog, content):
    path = bomb(DATASET)
    (tmp_path / "saved" / f"{DATASET}.json").write_text(content)
    create_dataset(config(tmp_path, FILES, **TRUSTED))
    assert not exploded(tmp_path) and f"Ignored {path}" in caplog.text


def test_cache__runs_code_without_the_patch(tmp_path, bomb):
    bomb(DATASET)
    settings = config(tmp_path, FILES, **SASREC)
    with suspend("open_only_trusted_caches"), pytest.raises(AttributeError):
        create_dataset(settings)
    assert exploded(tmp_path)


# Fit: `describe_saved_caches`


def save(tmp_path, **settings):
    """Save a data set and its loaders; return the loaders."""
    saving = config(tmp_path, FILES, save_dataset=True, save_dataloaders=True, **TRUSTED | settings)
    return data_preparation(saving, create_dataset(saving))


def test_cached_dataset__trusted_is_used(tmp_path, caplog):
    save(tmp_path)
    caplog.set_level("INFO")
    dataset = create_dataset(config(tmp_path, FILES, **TRUSTED))
    assert "Load filtered dataset from" in caplog.text
    assert tokens(dataset.build()[2], "item_id") == ["i5"] * 3


def test_cached_dataset__trusted_and_asked_for_is_used(tmp_path, caplog):
    save(tmp_path)
    caplog.set_level("INFO")
    create_dataset(config(tmp_path, FILES, dataset_save_path=str(tmp_path / "saved" / DATASET), **TRUSTED))
    assert "Load filtered dataset from" in caplog.text


@pytest.mark.parametrize(
    ("files", "settings", "reason"),
    [
        (OTHER, {}, "these files have changed since: toy.inter"),
        (FILES | {"item": table("item_id:token", "i1")}, {}, "these files have changed since: toy.item"),
        (FILES, {"exact_time_order": False}, "these settings have changed since: exact_time_order"),
        (FILES, {"numerical_features": ["timestamp"]}, "have changed since: numerical_features"),
    ],
)
def test_cached_dataset__is_made_again_when_it_no_longer_fits(tmp_path, caplog, files, settings, reason):
    save(tmp_path)
    dataset = create_dataset(config(tmp_path, files, **TRUSTED | settings))
    assert reason in caplog.text and f"Ignored {tmp_path / 'saved' / DATASET}" in caplog.text
    assert set(dataset.field2id_token["item_id"][1:]) <= {row.split("\t")[1] for row in files["inter"].split("\n")[:-1]}


def test_cached_dataset__fits_files_in_another_folder(tmp_path, caplog):
    save(tmp_path)
    elsewhere = config(tmp_path / "elsewhere", FILES, **TRUSTED | {"checkpoint_dir": str(tmp_path / "saved")})
    caplog.set_level("INFO")
    create_dataset(elsewhere)
    assert "Load filtered dataset from" in caplog.text


def test_cached_dataset__has_the_settings_of_the_run(tmp_path, caplog):
    save(tmp_path)
    settings = config(tmp_path, FILES, **TRUSTED, train_fraction=0.5)
    caplog.set_level("INFO")
    assert create_dataset(settings).config["train_fraction"] == 0.5
    with suspend("open_only_trusted_caches"):
        assert utils.create_dataset(settings).config["train_fraction"] == 1.0
    assert caplog.text.count("Load filtered dataset from") == 2


def test_cached_dataset__is_made_again_for_another_split(tmp_path, caplog):
    save(tmp_path)
    other = {"eval_args": {"split": {"RS": [4, 1, 1]}, "order": "TO", "group_by": "user", "mode": "full"}}
    create_dataset(config(tmp_path, FILES, **TRUSTED | other))
    assert "these settings have changed since: eval_args" in caplog.text


def test_cached_dataset__cannot_be_checked_without_the_patch(tmp_path, caplog):
    with suspend("describe_saved_caches"):
        save(tmp_path)
    create_dataset(config(tmp_path, FILES, **TRUSTED))
    assert "it cannot be checked" in caplog.text


def test_cached_loaders__are_made_again_when_they_no_longer_fit(tmp_path, caplog):
    save(tmp_path)
    settings = config(tmp_path, OTHER, **TRUSTED)
    _, _, test = data_preparation(settings, create_dataset(settings))
    assert f"Ignored {tmp_path / 'saved' / LOADERS}" in caplog.text
    assert tokens(test.dataset, "item_id") == ["j5"] * 3


def test_cached_loaders__are_not_used_with_a_split_by_time(tmp_path, caplog):
    """They know neither the counts of the split nor which of two trainings they are for."""
    split = {
        "topk": [1],
        "valid_metric": "MRR@1",
        "eval_args": {"split": {"GTS": {"cut": 4, "validation": "last_train_item", "unseen_items": "keep"}}},
    }
    train, _, _ = save(tmp_path, **split)
    caplog.set_level("INFO")
    settings = config(tmp_path, FILES, **TRUSTED | split)
    again, _, _ = data_preparation(settings, create_dataset(settings))
    assert "Load split dataloaders" not in caplog.text
    assert again.dataset.split_counts == train.dataset.split_counts
    named = config(tmp_path, FILES, **TRUSTED | split, dataloaders_save_path=str(tmp_path / "saved" / LOADERS))
    with pytest.raises(ConfigError, match=r"GTS cannot be used with dataloaders_save_path=.*split already; remove it"):
        data_preparation(named, create_dataset(named))


def test_cached_loaders__keep_their_generators_when_saved(tmp_path):
    train, _, _ = save(tmp_path)
    assert train.generator is not None and train.sampler.generator is train.generator
    with suspend("describe_saved_caches"):
        assert save(tmp_path / "again")[0].generator is None


# Batch size: `renew_batch_size`


def batch_sizes(tmp_path, **settings):
    """The sizes of the batches of loaders that come from a cache, and those of fresh ones."""
    saved = config(tmp_path, FILES, **TRUSTED | settings)
    train, valid, _ = data_preparation(saved, create_dataset(saved))
    return [len(batch) for batch in train], [len(batch[0]) for batch in valid]


def test_cached_loaders__take_the_new_batch_size(tmp_path, caplog):
    save(tmp_path, train_batch_size=4, eval_batch_size=3)
    caplog.set_level("INFO")
    assert batch_sizes(tmp_path, train_batch_size=5, eval_batch_size=2) == ([5, 4], [2, 1])
    assert "Load split dataloaders from" in caplog.text


def test_cached_loaders__keep_the_old_size_without_the_patch(tmp_path):
    save(tmp_path, train_batch_size=4, eval_batch_size=3)
    with suspend("renew_batch_size"):
        assert batch_sizes(tmp_path, train_batch_size=5, eval_batch_size=2) == ([4, 4, 1], [3])
