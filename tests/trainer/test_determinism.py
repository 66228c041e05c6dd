"""Deterministic algorithms are used if requested, and an error is raised if there are none."""

import pytest
import torch

from recbole_samrec.trainer import determinism
from recbole_samrec.trainer.determinism import use_deterministic_algorithms
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.tiny import build, cyclic, make_config, write_events

WANTED = {"deterministic": True, "model": "SAMRec"}


@pytest.mark.parametrize("before", [False, True])
def test_deterministic__is_limited_to_its_block(before):
    torch.use_deterministic_algorithms(before, warn_only=before)
    try:
        with use_deterministic_algorithms(WANTED):
            assert torch.are_deterministic_algorithms_enabled()
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.are_deterministic_algorithms_enabled() is before
        assert torch.is_deterministic_algorithms_warn_only_enabled() is before
    finally:
        torch.use_deterministic_algorithms(False)


def test_deterministic__refuses_operations_without_algorithm():
    def put():
        torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))

    with use_deterministic_algorithms({"deterministic": False}):
        put()
    words = r"^deterministic=True: SAMRec cannot be trained: put_ has no deterministic algorithm on this device; leave"
    with pytest.raises(ConfigError, match=words), use_deterministic_algorithms(WANTED):
        put()
    words = r"set CUBLAS_WORKSPACE_CONFIG=:4096:8 before Python starts"
    with pytest.raises(ConfigError, match=words), use_deterministic_algorithms(WANTED):
        raise RuntimeError(f"Deterministic behavior was enabled ... set {determinism.CUBLAS}=:4096:8")
    with pytest.raises(RuntimeError, match="another"), use_deterministic_algorithms(WANTED):
        raise RuntimeError("another error")


def test_trainer__trains_and_ranks_by_deterministic_algorithms(tmp_path):
    write_events(tmp_path, "tiny", cyclic(users=10, items=10))
    (train, valid, _), model, trainer = build(make_config("SAMRec", tmp_path, epochs=1, deterministic=True))
    seen, forward = [], model.forward
    model.forward = lambda *given: seen.append(torch.are_deterministic_algorithms_enabled()) or forward(*given)
    before = trainer.training_loss
    trainer.training_loss = lambda: _watched(before(), seen)
    trainer.fit(train, valid, verbose=False, saved=False)
    assert len(seen) > 2 and all(seen)
    assert not torch.are_deterministic_algorithms_enabled()


def _watched(loss, seen):
    def watch(batch):
        seen.append(torch.are_deterministic_algorithms_enabled())
        return loss(batch)

    return watch
