"""Batches on a device have the fields that are read, with the values of the loader."""

import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_samrec.data.device_batches import DeviceBatch, DeviceBatches, copy_together

CPU, META = torch.device("cpu"), torch.device("meta")


class Loader(list):
    shuffle = True


def batch(start=0):
    """A batch of three samples with fields of two types."""
    items = torch.arange(start, start + 6).view(3, 2)
    return Interaction({"items": items, "user": torch.tensor([7, 8, 9]), "rating": torch.tensor([1.0, 2, 3])})


@pytest.fixture
def copies(monkeypatch):
    """The numbers of elements that were copied to a device, in order."""
    made, to = [], torch.Tensor.to

    def counted(tensor, device, **options):
        made.append(tensor.numel())
        return to(tensor, device, **options)

    monkeypatch.setattr(torch.Tensor, "to", counted)
    return made


def test_device_batches__copy_what_earlier_batches_read(copies):
    read = set()
    loader = DeviceBatches(Loader([batch(), batch(6), batch(12)]), CPU, read)
    assert len(loader) == 3 and loader.shuffle
    first, second, third = loader
    assert copies == [] and read == set() and len(first) == 3 and first.columns == ["items", "user", "rating"]
    assert first["items"].tolist() == [[0, 1], [2, 3], [4, 5]] and first["user"].tolist() == [7, 8, 9]
    assert first["items"] is first["items"] and copies == [6, 3] and read == {"items", "user"}
    assert second["rating"].tolist() == [1, 2, 3] and copies == [6, 3, 3]
    (last,) = DeviceBatches(Loader([batch(12)]), CPU, read)
    assert copies == [6, 3, 3, 9, 3]  # one copy for each type
    assert last["items"].tolist() == [[12, 13], [14, 15], [16, 17]] and third.to(CPU) is third


def test_device_batches__prepare_on_the_cpu_and_pass_others_on():
    def double(batch):
        return Interaction({"items": batch["items"] * 2})

    there = Interaction({"items": torch.zeros(2, device=META)})
    one, other = DeviceBatches(Loader([batch(), there]), CPU, set(), double)
    assert one["items"].tolist() == [[0, 2], [4, 6], [8, 10]] and other is there


@pytest.mark.parametrize(
    "reads",
    [
        lambda one: one[1:],
        lambda one: Interaction(one.interaction),
        lambda one: one.repeat(1),
    ],
)
def test_device_batch__moves_all_fields_where_all_are_read(reads):
    read = set()
    result = reads(DeviceBatch(batch(), META, read))
    assert all(values.is_meta for values in result.interaction.values())
    assert read == {"items", "user", "rating"}


def test_device_batch__takes_new_fields_and_lacks_unknown_ones():
    one = DeviceBatch(batch(), META, set())
    one["more"] = torch.zeros(3, device=META)
    assert one["more"].is_meta and "more" in one and one.interaction.get("none") is None
    assert one.interaction.get("user").is_meta and dict(one.interaction.items())["rating"].is_meta
    with pytest.raises(KeyError):
        one["none"]


def test_copy_together__keeps_values_shapes_and_types():
    fields = {"a": torch.arange(6).view(2, 3).T, "b": torch.tensor(5), "c": torch.rand(2, 0), "d": torch.rand(3)}
    copies = copy_together(fields, CPU)
    assert set(copies) == set(fields) and copy_together({}, CPU) == {}
    for name, values in fields.items():
        assert torch.equal(copies[name], values) and copies[name].dtype == values.dtype
