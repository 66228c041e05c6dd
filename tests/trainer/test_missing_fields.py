"""Errors on missing columns of batches name the setting that provides them."""

import pytest

from recbole_samrec.trainer.missing_fields import describe_missing_field, report_missing_field
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.tiny import build, make_config, random_events, write_events


def trained(folder, model, **settings):
    write_events(folder, "tiny", random_events())
    loaders, _, trainer = build(make_config(model, folder, train_neg_sample_args=None, **settings))
    trainer.fit(loaders[0], saved=False, verbose=False)


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        ("BPR", {}, "BPR is trained on pairs .* leave out train_neg_sample_args=None$"),
        ("LightGCN", {}, "LightGCN is trained on pairs"),
        ("SASRec", {"loss_type": "BPR"}, "or set loss_type=CE"),
        ("NeuMF", {}, "NeuMF is trained on labels, and there are none: .*threshold"),
        ("FM", {}, "FM is trained on labels"),
    ],
)
def test_report_missing_field__names_negatives_and_labels(own_folder, model, settings, words):
    with pytest.raises(ConfigError, match=words):
        trained(own_folder, model, **settings)


@pytest.mark.parametrize("model", ["SASRec", "MultiVAE", "Pop"])
def test_report_missing_field__accepts_models_without_negatives(own_folder, model):
    trained(own_folder, model)


def test_report_missing_field__passes_other_errors(own_folder):
    write_events(own_folder, "tiny", random_events())
    config = make_config("BPR", own_folder)
    with pytest.raises(KeyError, match="other"), report_missing_field(config):
        raise KeyError("other")
    assert describe_missing_field(config, 3) is None
    assert "add it to load_col" in str(describe_missing_field(config, "timestamp_list"))
