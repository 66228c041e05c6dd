"""CL4SRec: the pairs that it contrasts, no leaks, and equality with SASRec without its second loss."""

import copy

import pytest
import torch

from recbole_samrec.cli.main import main
from recbole_samrec.layers.info_nce import info_nce
from recbole_samrec.model import packed_forward
from tests.helpers.contrastive import OFF, make
from tests.helpers.tiny import build, make_config, random_events, write_events

ONE_BATCH = {"train_batch_size": 10_000, "shuffle": False}
BOTH = ["CL4SRec", "DuoRec"]


@pytest.fixture
def data(tmp_path):
    write_events(tmp_path, "tiny", random_events())
    return tmp_path


@pytest.mark.parametrize("training", ["packed", "prefix"])
def test_cl4srec__contrasts_nothing_of_validation_and_test(training, tmp_path):
    """The contrasted sequences do not depend on the last two events of a user."""
    tables = []
    for name, last in (("one", 1), ("other", 7)):
        rows = []
        for user in range(20):
            items = [(user + step) % 12 for step in range(8)]
            items[-2:] = [(items[-2] + last) % 12, (items[-1] + 2 * last) % 12]
            rows += [(f"u{user}", f"i{item}", 100 * user + step) for step, item in enumerate(items)]
        rows = [(f"all{user}", f"i{item}", item) for user in range(2) for item in range(12)] + rows
        write_events(tmp_path, name, rows)
        _, network, _ = make(tmp_path, name=name, training=training, MAX_ITEM_LIST_LENGTH=20)
        tables.append(network.samples[torch.arange(len(network.samples))])
    (items, lengths), (others, other_lengths) = tables
    assert torch.equal(items, others) and torch.equal(lengths, other_lengths)
    assert lengths.tolist() == [10] * 2 + [6] * 20


def test_cl4srec__adds_info_nce_of_two_views_per_user(data):
    """With views that change nothing; the order of the drawn users does not matter."""
    same = {"crop_rate": 1.0, "mask_rate": 0.0, "reorder_rate": 0.0, "cl_batch_users": 1000}
    settings = {**OFF, **same, "cl_weight": 0.7, "cl_temperature": 0.5, "cl_similarity": "cosine"}
    _, network, _ = make(data, MAX_ITEM_LIST_LENGTH=20, **settings)
    states = packed_forward.compute_last_states(network, *network.samples[torch.arange(len(network.samples))])
    expected = 0.7 * info_nce(states, states, temperature=0.5, similarity="cosine")
    torch.testing.assert_close(network.auxiliary_loss(None), expected)


def test_cl4srec__contrasts_the_given_number_of_users(data, monkeypatch):
    _, network, _ = make(data, cl_batch_users=9)
    drawn, sequences, take = [], [], type(network.samples).take_packed

    def watched(self, which, length):
        drawn.append(which)
        return take(self, which, length)

    monkeypatch.setattr(type(network.samples), "take_packed", watched)
    monkeypatch.setattr(
        network, "encode_views", lambda *views: (sequences.append(views), torch.zeros(len(views[1]), 2))[1]
    )
    for _ in range(2):
        network.auxiliary_loss(None)
    assert all(len(users.unique()) == len(users) == 9 for users in drawn) and not torch.equal(*drawn)
    for items, lengths in sequences:
        assert torch.equal(items[:9], items[9:]) and torch.equal(lengths[:9], lengths[9:])


def test_cl4srec__masks_by_a_vector_that_is_never_scored(data):
    _, network, _ = make(data, **OFF)
    items, lengths = torch.tensor([[3, 5, 2, 0], [7, 1, 0, 0]]), torch.tensor([3, 2])
    network._rates = {"crop_rate": 1.0, "mask_rate": 1.0, "reorder_rate": 0.0}
    with torch.no_grad():
        network.mask_vector.copy_(network.item_embedding.weight[4])
    plain, masked = (
        packed_forward.compute_last_states(network, rows, lengths) for rows in (items, items.clamp(max=1) * 4)
    )
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        for row, state in enumerate(network.encode_views(items, lengths)):
            kinds = [torch.allclose(state, states[row]) for states in (plain, masked)]
            assert any(kinds)
            seen.add(kinds.index(True))
    assert seen == {0, 1}
    assert packed_forward.score_all_items(network, items, lengths).shape == (2, network.n_items)
    network.encode_views(items.repeat(20, 1), lengths.repeat(20)).sum().backward()
    assert network.mask_vector.grad.abs().max() > 0


@pytest.mark.parametrize("model", BOTH)
def test_contrastive__has_sasrecs_next_item_loss(model, data):
    results = {}
    for name, training in ((model, "packed"), (model, "prefix"), ("SAMRec", "packed")):
        settings = {**OFF, **ONE_BATCH, "training": training, "MAX_ITEM_LIST_LENGTH": 20}
        train_data, network, trainer = make(data, name, **settings)
        (batch,) = list(train_data)
        losses = trainer.training_loss()(batch)
        if name == model:
            losses, second = losses
            assert second.item() > 0
        losses.backward()
        grads = {key: p.grad for key, p in network.named_parameters() if key != "mask_vector"}
        results[name, training] = {"loss": losses.detach(), **grads}
    ours, prefix, sasrec = results.values()
    for key, value in sasrec.items():
        torch.testing.assert_close(ours[key], value, rtol=0, atol=0)
        torch.testing.assert_close(prefix[key], value)


@pytest.mark.parametrize("model", BOTH)
@pytest.mark.parametrize("training", ["packed", "prefix"])
def test_contrastive__trains_as_sasrec_without_weight(model, training, data):
    trained = []
    for name, settings in (("SAMRec", {"sam_rho": 0}), (model, {"cl_weight": 0.0}), (model, {})):
        loaders, network, trainer = build(make_config(name, data, training=training, **settings))
        trainer.fit(loaders[0], verbose=False, saved=False)
        trained.append({key: value for key, value in network.state_dict().items() if key != "mask_vector"})
    sasrec, without, contrasted = trained
    assert sasrec.keys() == without.keys() == contrasted.keys()
    assert all(torch.equal(sasrec[key], without[key]) for key in sasrec)
    assert not all(torch.equal(sasrec[key], contrasted[key]) for key in sasrec)


@pytest.mark.parametrize("model", BOTH)
@pytest.mark.parametrize("training", ["packed", "prefix"])
def test_contrastive__shows_both_passes_of_sam_the_same_views(model, training, data):
    """At a radius that moves no weight, both losses of the second pass equal those of the first, bit for bit."""
    loaders, _, trainer = build(make_config(model, data, training=training, sam_rho=1e-30))
    loss_func, seen = trainer.training_loss(), []

    def loss_of(batch):
        losses = loss_func(batch)
        seen.append([loss.item() for loss in losses])
        return losses

    trainer._train_epoch(loaders[0], 0, loss_of)
    assert len(seen) == 2 * len(loaders[0])
    assert seen[::2] == seen[1::2]
    assert len({second for _, second in seen}) == len(loaders[0])


@pytest.mark.parametrize("model", BOTH)
def test_cl4srec__saves_no_sequences(model, data):
    _, network, trainer = make(data, model)
    before = set(trainer.state(0)), set(network.state_dict())
    network.float().auxiliary_loss(None)
    assert (set(trainer.state(0)), set(network.state_dict())) == before
    assert len(copy.deepcopy(network).samples) == len(network.samples)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("cl_batch_users=1", "at least 2"),
        ("crop_rate=1.5", "must be a number in [0, 1]"),
        ("cl_temperature=0", "above 0"),
        ("cl_similarity=cos", "must be one of dot, cosine"),
    ],
)
def test_cl4srec__checks_its_settings(setting, words, data, capsys):
    assert main(["run", "--model=CL4SRec", "--dataset=tiny", f"--data_path={data}", f"--{setting}"]) == 2
    assert words in capsys.readouterr().err
