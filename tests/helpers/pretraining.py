"""Data and settings for the tests of S3Rec's pre-training."""

from tests.helpers.tiny import build, make_config, random_events, write_events

OFF = {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0}
STAGES = {"pretrain_epochs": 3, "pretrain_batch_size": 8, "epochs": 3, "n_layers": 1}


def write_items_with_kinds(folder):
    """Write a data set whose items have one or two kinds, the last one none; item i99 occurs in no event."""
    folder = write_events(folder, "tiny", random_events())
    kinds = [f"i{i}\tk{i % 4} k{i % 3}\tThe Item" for i in (*range(19), 99)]
    lines = ["item_id:token\tkind:token_seq\ttitle:token_seq", *kinds, "i19\t\tThe Item"]
    (folder / "tiny.item").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder.parent


def stage_of(data, **settings):
    """The loader, model and trainer for pre-training."""
    return build(
        make_config("S3Rec", data, train_stage="pretrain", **{**STAGES, "checkpoint_dir": "saved", **settings})
    )
