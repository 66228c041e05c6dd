"""The registry of mends: each can be taken out by itself, and is tested with and without."""

import re

import pytest

from recbole_samrec import compat
from tests.helpers.paths import ROOT

APPLIED = {one.name: one for one in compat.applied()}
ONLY_AT_IMPORT = {"lazy_ray"}  # Ray is imported with RecBole or not at all


def test_patches__change_no_attribute_twice():
    """Else taking one out, and putting it back, would take the other one out for good."""
    patched = [(id(owner), name) for one in APPLIED.values() for owner, name, _, _ in one.patcher.patches]
    twice = {name for owner, name in patched if patched.count((owner, name)) > 1}
    assert not twice


def test_patches__come_back_as_they_were_taken_out():
    """Also where the plug-in has put something around it, which must not be lost."""
    for name, one in APPLIED.items():
        before = [vars(owner)[attribute] for owner, attribute, *_ in one.patcher.patches]
        with compat.without(name):
            pass
        after = [vars(owner)[attribute] for owner, attribute, *_ in one.patcher.patches]
        assert all(now is then for now, then in zip(after, before, strict=True)), name


def test_patches__cannot_be_taken_out_if_not_needed(monkeypatch):
    monkeypatch.setitem(compat.MENDS, "idle", compat.Mend("idle", "", "", False, lambda patch: None))
    with pytest.raises(LookupError, match="'idle' was not needed"), compat.without("idle"):
        pass


@pytest.mark.parametrize("name", compat.MENDS)
def test_patches__are_described_and_taken_out_by_a_test(name):
    one = compat.MENDS[name]
    assert one.where and one.defect
    if name not in ONLY_AT_IMPORT:
        tests = ROOT.joinpath("tests").rglob("test_*.py")
        assert any(re.search(rf'without\("{name}"\)', file.read_text(encoding="utf-8")) for file in tests)
