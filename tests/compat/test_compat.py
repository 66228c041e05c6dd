"""The registry of patches: each can be suspended, and is tested with and without."""

import pytest

from recbole_samrec import compat
from tests.helpers.paths import ROOT

APPLIED = {one.name: one for one in compat.list_applied()}
ONLY_AT_IMPORT = {"import_ray_lazily"}  # Ray is imported with RecBole or not at all


def test_patches__change_no_attribute_twice():
    """Otherwise suspending and restoring one would remove the other for good."""
    patched = [(id(owner), name) for one in APPLIED.values() for owner, name, _, _ in one.patcher.changes]
    twice = {name for owner, name in patched if patched.count((owner, name)) > 1}
    assert not twice


def test_patches__come_back_as_they_were_suspended():
    """This includes functions that the plug-in has wrapped after patching."""
    for name, one in APPLIED.items():
        before = [vars(owner)[attribute] for owner, attribute, *_ in one.patcher.changes]
        with compat.suspend(name):
            pass
        after = [vars(owner)[attribute] for owner, attribute, *_ in one.patcher.changes]
        assert all(now is then for now, then in zip(after, before, strict=True)), name


def test_patches__cannot_be_suspended_if_not_needed(monkeypatch):
    monkeypatch.setitem(compat.PATCHES, "idle", compat.Patch("idle", "", "", False, lambda patch: None))
    with pytest.raises(LookupError, match="'idle' was not needed"), compat.suspend("idle"):
        pass


@pytest.mark.parametrize("name", compat.PATCHES)
def test_patches__are_described_and_suspended_by_a_test(name):
    one = compat.PATCHES[name]
    assert one.where and one.defect
    if name not in ONLY_AT_IMPORT:
        texts = [file.read_text(encoding="utf-8") for file in ROOT.joinpath("tests").rglob("test_*.py")]
        assert any("suspend(" in text and f'"{name}"' in text for text in texts)
