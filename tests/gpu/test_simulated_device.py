"""The simulated device follows the rules of a device, so that the other tests of this folder are meaningful."""

import pytest
import torch

from tests.helpers.simulated_device import NAME


def run_mixed(device, name):
    """Run an operation on tensors of both the CPU and the device."""
    here, there = torch.ones(3, 3), torch.ones(3, 3, device=device.kind)
    index = torch.tensor([0, 1], device=device.kind)
    operations = {
        "sum": lambda: there + here,
        "product": lambda: here @ there,
        "index": lambda: here[index],
        "values": lambda: there.index_put_((index,), here[:2]),
        "generator": lambda: torch.rand(3, generator=torch.Generator(), device=device.kind),
        "numpy": there.numpy,
        "cat": lambda: torch.cat([here, there]),
        "in place": lambda: here.add_(there),
    }
    operations[name]()


@pytest.mark.parametrize("name", ["sum", "product", "index", "values", "generator", "numpy", "cat", "in place"])
def test_device__refuses_a_mix(device, name):
    with pytest.raises((RuntimeError, TypeError), match="device"):
        device.call(run_mixed, name)


def run_allowed(device):
    there = torch.ones(3, 3, device=device.kind)
    scaled = there * torch.tensor(2.0) + 1  # a scalar of the CPU
    rows = there[torch.tensor([0, 2])]  # an index on the CPU, which is copied
    return scaled.sum().item(), rows.shape, there.to("cpu").sum().item()


def test_device__takes_scalars_and_indices_of_the_cpu(device):
    assert device.call(run_allowed) == (27.0, (2, 3), 9.0)


def differentiate(device, where):
    weight = torch.arange(6.0).view(2, 3).to(where).requires_grad_()
    value = ((weight @ weight.T).softmax(-1).log() * weight[:, :2]).sum()
    (first,) = torch.autograd.grad(value, weight, create_graph=True)
    (second,) = torch.autograd.grad((first * first).sum(), weight)
    return [float(value.detach()), *first.detach().cpu().flatten().tolist(), *second.cpu().flatten().tolist()]


def test_device__differentiates_as_the_cpu_does(device):
    expected = device.call(differentiate, "cpu")
    assert device.call(differentiate, device.kind) == pytest.approx(expected, rel=1e-3, abs=0.05)


def draw(device):
    """Draw on the device and on the CPU, with the state of the device's generator restored in between."""
    torch.manual_seed(5)
    cpu = torch.rand(4)
    torch.manual_seed(5)
    state = device.generator_state()
    first = torch.rand(4, device=device.kind).cpu()
    torch.cuda.set_rng_state(state)
    again = torch.rand(4, device=device.kind).cpu()
    return torch.equal(torch.rand(4), cpu), torch.equal(first, again), torch.equal(first, cpu)


def test_device__has_a_generator_of_its_own(device):
    assert device.call(draw) == (True, True, False)


def count(device):
    with device.counting() as counter:
        there = torch.arange(4).to(device.kind)  # a copy
        positive = there[there > 1]  # a comparison, which is a launch, and a wait with one
        total = (positive.float() * 2).sum().item()  # three launches, and a wait
        torch.ones(3)  # nothing on the device
        view = there.view(2, 2).T[:1]  # no launch
        view.cpu()  # a wait, and a copy that is not one to the device
    return (
        total,
        sum(counter.waits.values()),
        sum(counter.copies.values()),
        {name: number for (_, name), number in counter.operations.items()},
    )


def test_counter__counts_waits_copies_and_launches(device):
    total, waits, copies, operations = device.call(count)
    assert (total, waits, copies) == (10.0, 3, 1)
    assert operations == {"_to_copy": 3, "gt": 1, "index": 1, "mul": 1, "sum": 1}


def count_half(device):
    with torch.autocast(device.kind, dtype=torch.bfloat16):
        product = torch.ones(2, 2, device=device.kind) @ torch.ones(2, 2, device=device.kind)
        return [product.dtype, product.softmax(-1).dtype, torch.cat([product, product.float()]).dtype]


def test_autocast__computes_in_half_precision_where_cuda_does(device):
    assert device.call(count_half) == [torch.bfloat16, torch.float32, torch.float32]


def name_device(device):
    return torch.ones(2, device=device.kind).device.type


def test_simulated_device__has_a_name_of_its_own(simulated):
    assert simulated.call(name_device) == NAME
