"""Operations on lists of tensors give the same bits as the operations on each tensor."""

import pytest
import torch

from recbole_samrec.optim import foreach

KINDS = [torch.float32, torch.float64, torch.float32, torch.bfloat16]
SHAPES = [(4, 3), (5,), (), (2, 0)]


def make(seed=0, kinds=KINDS):
    """Tensors of several shapes and dtypes, including an empty one and a scalar."""
    draw = torch.Generator().manual_seed(seed)
    pairs = zip(SHAPES, kinds, strict=True)
    return [torch.randn(shape, generator=draw, dtype=torch.float64).to(kind) for shape, kind in pairs]


def same(found, expected):
    """Compare dtypes, shapes and bits."""
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        assert one.contiguous().view(-1).tolist() == other.contiguous().view(-1).tolist()


def test_group_alike__goes_by_type_and_order():
    assert list(foreach.group_alike(make())) == [[0, 2], [1], [3]]
    assert list(foreach.group_alike(make(), make(kinds=[torch.float32] * 3 + [torch.float64]))) == [[0, 2], [1], [3]]
    assert list(foreach.group_alike([])) == []


def test_group_alike__keeps_devices_apart():
    there = torch.empty(2, device="meta")
    assert list(foreach.group_alike([torch.empty(2), there, torch.empty(1)])) == [[0, 2], [1]]


def test_functions__are_those_of_each_tensor():
    a, b = make(), make(1)
    same(foreach.add_all(a, b), [x + y for x, y in zip(a, b, strict=True)])
    same(foreach.subtract_all(a, b), [x - y for x, y in zip(a, b, strict=True)])
    same(foreach.multiply_all(a, b), [x * y for x, y in zip(a, b, strict=True)])
    same(foreach.interpolate_all(a, b, 0.3), [torch.lerp(x, y, 0.3) for x, y in zip(a, b, strict=True)])
    same(foreach.scale_all(a, 0.3), [0.3 * x for x in a])
    same(foreach.scale_all(a, torch.tensor(0.3)), [torch.tensor(0.3).to(x) * x for x in a])


def test_compute_norms__are_those_of_each_tensor():
    tensors = foreach.widen_all(make())
    same(foreach.compute_norms(tensors), [torch.linalg.vector_norm(t) for t in tensors])


def test_copy_all__copies_bits_and_converts():
    tensors = make()
    tensors[0][0, 0] = -0.0
    copies = foreach.copy_all(tensors)
    same(copies, tensors)
    assert str(copies[0][0, 0]) == "tensor(-0.)" and copies[0].data_ptr() != tensors[0].data_ptr()
    same(foreach.copy_all(tensors, [torch.float64] * 4), [t.double() for t in tensors])


def test_convert_all__leaves_what_has_its_type():
    tensors = make()
    wide = foreach.widen_all(tensors)
    assert [t.dtype for t in wide] == [torch.float32, torch.float64, torch.float32, torch.float32]
    assert wide[0] is tensors[0] and wide[1] is tensors[1]


def test_overwrite_and_add__write_into_parameters():
    parameters = [torch.nn.Parameter(t) for t in make()]
    before, terms = foreach.copy_all([p.detach() for p in parameters]), make(1, [torch.float32] * 4)
    foreach.add_to_all(parameters, terms)
    same([p.detach() for p in parameters], [p + t.to(p.dtype) for p, t in zip(before, terms, strict=True)])
    foreach.overwrite_all(parameters, before)
    same([p.detach() for p in parameters], before)


def test_add_to_all__takes_strided_tensors():
    target = torch.zeros(3, 4).T
    foreach.add_to_all([target], [torch.arange(12.0).view(4, 3)])
    assert target.tolist() == torch.arange(12.0).view(4, 3).tolist()


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_scale_or_clear_all__clears_even_inf_and_nan(bad):
    tensors = make()
    tensors[0][1, 1] = bad
    scaled = foreach.scale_or_clear_all(tensors, lambda flat: flat.mul_(0.3), torch.tensor(False))
    same(scaled, [torch.zeros_like(t) for t in tensors])
    tensors = make()
    scaled = foreach.scale_or_clear_all(tensors, lambda flat: flat.mul_(0.3), torch.tensor(True))
    same(scaled, [0.3 * t for t in tensors])
    same(tensors, make())


def test_compute_inner_products__sum_to_the_inner_product():
    a, b = make(), make(1)
    found = sum(product.double() for product in foreach.compute_inner_products(a, b))
    expected = sum((x.double() * y.double()).sum() for x, y in zip(a, b, strict=True))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    assert foreach.compute_inner_products([], []) == []


def test_compute_inner_products__is_one_for_a_group_on_a_gpu():
    there = [t.to("meta") for t in make()]
    assert [p.dtype for p in foreach.compute_inner_products(there, there)] == [
        torch.float32,
        torch.float64,
        torch.float32,
    ]
