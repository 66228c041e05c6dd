"""The trainer's settings are read, and models without gradients raise errors."""

import numpy as np
import pytest
import torch
from recbole.utils import ModelType
from torch import nn

from recbole_samrec.trainer.callbacks import Callback
from recbole_samrec.trainer.trainer import clip_arguments, require_gradients
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.tiny import build, make_config, random_events, write_events, write_kinds


@pytest.mark.parametrize(
    "value, arguments",
    [
        (None, None),
        (False, None),
        (5, {"max_norm": 5.0}),
        (0.5, {"max_norm": 0.5}),
        ({"max_norm": 2, "norm_type": 1}, {"max_norm": 2, "norm_type": 1}),
    ],
)
def test_clip_arguments__of_numbers_and_dictionaries(value, arguments):
    assert clip_arguments(value) == arguments


@pytest.mark.parametrize("value", [0, -1, True, "5", float("nan"), {}, {"max_norm": 0}, {"max_norm": "a"}, [5]])
def test_clip_arguments__refuse_other_values(value):
    with pytest.raises(ConfigError, match=r"^clip_grad_norm=.*: give the largest norm as a number above 0, or"):
        clip_arguments(value)


@pytest.mark.parametrize(
    "name, kind, layer, reason",
    [
        ("Random", ModelType.GENERAL, nn.Linear, "it has nothing to learn"),
        ("Pop", ModelType.TRADITIONAL, nn.Linear, "it is computed from counts, not trained by gradients"),
        ("NCEPLRec", ModelType.GENERAL, nn.Linear, "it is computed from counts, not trained by gradients"),
        ("Trees", ModelType.DECISIONTREE, nn.Linear, "it grows trees and is not trained by gradients"),
        ("Frozen", ModelType.GENERAL, nn.Identity, "it has no trainable parameters"),
    ],
)
def test_require_gradients__names_model_and_reason(name, kind, layer, reason):
    model = type(name, (nn.Module,), {"type": kind})()
    model.layer = layer(1, 1)
    with pytest.raises(ConfigError, match=f"^sam_rho cannot be used with {name}: {reason}; leave sam_rho out$"):
        require_gradients(model)


def test_require_gradients__names_the_setting():
    with pytest.raises(ConfigError, match=r"^weight_average cannot be used with .* leave weight_average out$"):
        require_gradients(nn.Identity(), "weight_average")


def test_require_gradients__accepts_a_model_with_weights():
    require_gradients(nn.Linear(1, 1))


# Averages of weights --------------------------------------------------------------------------------------------------


class WeightPath(Callback):
    """Stores the trained weights after each step, and at the end of each epoch, in double precision."""

    def __init__(self):
        self.steps, self.ends, self.scores = [], [], []

    def on_train_batch_end(self, trainer, epoch, step):
        if step > 1:  # the optimizer moves afterwards, so these are the weights after the step before
            self.steps.append(self._copy(trainer))

    def on_train_epoch_end(self, trainer, epoch, loss, seconds):
        self.steps.append(self._copy(trainer))
        self.ends.append((len(self.steps), self._copy(trainer)))

    def on_validation_end(self, trainer, epoch, score, result, best):
        self.scores.append(score)

    @staticmethod
    def _copy(trainer):
        return {name: p.detach().double().numpy().copy() for name, p in trainer.model.named_parameters()}


def average_by_hand(path, epoch, wanted):
    """The average of the weights after an epoch, computed with numpy."""
    kind, number = wanted.split()
    if kind == "last":
        weights = [end for _, end in path.ends[: epoch + 1]][-int(number) :]
        shares = np.full(len(weights), 1 / len(weights))
    else:
        weights = path.steps[: path.ends[epoch][0]]
        shares = float(number) ** np.arange(len(weights) - 1, -1, -1.0)
        shares /= shares.sum()
    return {name: sum(share * one[name] for share, one in zip(shares, weights, strict=True)) for name in weights[0]}


@pytest.mark.parametrize("wanted", ["ema 0.9", "last 3"])
@pytest.mark.parametrize(("model", "rho"), [("SAMRec", 0.0), ("SAMRec", 0.2), ("GRU4Rec", 0.1), ("BPR", 0.0)])
def test_trainer__validates_and_tests_the_averaged_weights(tmp_path, monkeypatch, model, rho, wanted):
    monkeypatch.chdir(tmp_path)
    write_events(tmp_path, "tiny", random_events())
    settings = {"epochs": 5, "learning_rate": 0.02, "sam_rho": rho, "weight_average": wanted, "metrics": ["NDCG"]}
    settings |= {"valid_metric": "NDCG@10", "metric_decimal_place": 12}
    loaders, _, trainer = build(make_config(model, tmp_path, **settings))
    path = WeightPath()
    trainer.callbacks.add(path)
    trainer.fit(*loaders[:2])
    tested = trainer.test(loaders[2])
    saved = checkpoint_io.load(trainer.saved_model_file)
    assert trainer.best_epoch == int(np.argmax(path.scores)) == saved["epoch"]
    _, other, evaluator = build(make_config(model, tmp_path, **settings | {"weight_average": None}))
    for epoch, score in enumerate(path.scores):
        expected = average_by_hand(path, epoch, wanted)
        with torch.no_grad():
            for name, parameter in other.named_parameters():
                parameter.copy_(torch.from_numpy(expected[name]))
        assert evaluator.evaluate(loaders[1], load_best_model=False)["ndcg@10"] == pytest.approx(score)
        if epoch == trainer.best_epoch:
            assert evaluator.evaluate(loaders[2], load_best_model=False) == pytest.approx(tested)
            for name, weight in expected.items():
                np.testing.assert_allclose(saved["state_dict"][name].numpy(), weight, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("wanted", ["ema 0.9", "last 2"])
def test_trainer__trains_on_from_its_own_weights(tmp_path, monkeypatch, wanted):
    """Averages do not affect the training."""
    monkeypatch.chdir(tmp_path)
    write_events(tmp_path, "tiny", random_events())
    ends = []
    for average in (wanted, None):
        loaders, _, trainer = build(make_config("SAMRec", tmp_path, weight_average=average, epochs=3))
        path = WeightPath()
        trainer.callbacks.add(path)
        trainer.fit(*loaders[:2])
        ends.append(path.steps)
    assert all(np.array_equal(one[name], other[name]) for one, other in zip(*ends, strict=True) for name in one)


def test_trainer__saves_modules_with_averaged_weights(tmp_path, monkeypatch):
    """RecBole stores some modules a second time beside the weights."""
    monkeypatch.chdir(tmp_path)
    write_kinds(write_events(tmp_path, "tiny", random_events()), items=20)
    columns = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "kind"]}
    settings = {"load_col": columns, "selected_features": ["kind"], "weight_average": "ema 0.9"}
    loaders, _, trainer = build(make_config("SASRecF", tmp_path, **settings))
    trainer.fit(*loaders[:2])
    tested = trainer.evaluate(loaders[2])
    weights = checkpoint_io.load(trainer.saved_model_file)["state_dict"]
    assert all(torch.equal(value, weights[name]) for name, value in trainer.model.state_dict().items())
    assert trainer.evaluate(loaders[2], load_best_model=False) == tested


@pytest.mark.parametrize(
    ("model", "more", "message"),
    [
        ("Pop", {}, "weight_average cannot be used with Pop: it is computed from counts"),
        (
            "S3Rec",
            {"train_stage": "pretrain", "item_attribute": "kind"},
            "weight_average: pre-training is not averaged",
        ),
    ],
)
def test_trainer__refuses_averages_of_nothing(tmp_path, model, more, message):
    write_kinds(write_events(tmp_path, "tiny", random_events()), items=20)
    columns = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "kind"]}
    with pytest.raises(ConfigError, match=message):
        build(make_config(model, tmp_path, weight_average="ema 0.9", load_col=columns, **more))


@pytest.mark.parametrize(
    ("settings", "passes"),
    [
        ({"model": "SAMRec", "sam_rho": 0.0}, 3),
        ({"model": "SAMRec", "sam_rho": 0.1}, 6),
        ({"model": "SAMRec", "sam_rho": 0.1, "sam_variant": "random"}, 6),
        ({"model": "SAMRec", "sam_rho": 0.1, "sam_variant": "msam"}, 3),
        ({"model": "SAMRec", "sam_rho": 0.1, "sam_start": 1}, 5),
        ({"model": "GRU4Rec", "sam_rho": 0.1}, 6),
        ({"model": "SASRec", "sam_rho": 0.0, "enable_amp": True, "amp_dtype": "bfloat16"}, 3),
        ({"model": "RecVAE", "sam_rho": 0.0}, 3 * (3 + 1)),  # three parts for the encoder, one for the decoder
    ],
)
def test_trainer__counts_gradient_passes(tmp_path, monkeypatch, settings, passes):
    monkeypatch.chdir(tmp_path)
    write_events(tmp_path, "tiny", random_events())
    loaders, _, trainer = build(make_config(folder=tmp_path, epochs=3, train_batch_size=50, **settings))
    trainer.fit(*loaders[:2], saved=False)
    assert trainer.sam_step.passes.total == passes


def test_trainer__counts_the_passes_of_looksam(tmp_path):
    """One second gradient every three steps, counted with the samples of its batch."""
    write_events(tmp_path, "tiny", random_events())
    config = make_config("SASRec", tmp_path, sam_rho=0.1, sam_variant="looksam", looksam_k=3, train_batch_size=50)
    loaders, _, trainer = build(config)
    sizes = [len(batch) for batch in loaders[0]]
    assert len(set(sizes)) == 2 and len(sizes) % 3
    trainer.fit(loaders[0], saved=False)
    second = sum(size for epoch in range(2) for i, size in enumerate(sizes) if (epoch * len(sizes) + i) % 3 == 0)
    assert trainer.sam_step.passes.total == pytest.approx(2 + second / sum(sizes))
