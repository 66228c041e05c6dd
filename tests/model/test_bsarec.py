"""BSARec: its filter equals the Fourier transform, its shortcuts are exact, and its rows are those of the paper."""

import math

import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.utils import get_model

from recbole_samrec.config.build import configure
from recbole_samrec.experiments.entries import read_entries
from recbole_samrec.model.bsarec import FrequencyRescaler, align_right, build_lowest_waves, make_hidden_mask
from recbole_samrec.model.packed_forward import is_packable, require_packable
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.paths import ROOT
from tests.helpers.tiny import SMALL, build, make_config, random_events, write_events

DOUBLE = torch.float64
LENGTH = 8


@pytest.fixture
def make_model(tmp_path):
    """Make a model without dropout, with weights that are large enough for differences to show."""
    write_events(tmp_path, "tiny", random_events())

    def make(name="BSARec", **settings):
        from recbole.data import create_dataset

        off = dict.fromkeys(("hidden_dropout_prob", "attn_dropout_prob"), 0.0)
        settings = {"MAX_ITEM_LIST_LENGTH": LENGTH, "train_neg_sample_args": None, **off, **settings}
        config = make_config(name, tmp_path, **settings)
        torch.manual_seed(0)
        model = get_model(name)(config, create_dataset(config))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        return model.double()

    return make


def rows(lengths, seed=0):
    """Left-aligned rows of random items, and their lengths."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.as_tensor(lengths)
    items = torch.randint(1, 20, (len(lengths), LENGTH), generator=draw)
    return items * (torch.arange(LENGTH) < lengths[:, None]), lengths


def low_frequencies(x, cutoff):
    """The direct transform of rows ``[B, L, d]``, its lowest frequencies and their mirror images, and the inverse."""
    length = x.size(1)
    k, t = torch.arange(length)[:, None], torch.arange(length)[None]
    transform = torch.exp((k * t).to(torch.complex128) * (-2j * math.pi / length))
    spectrum = torch.einsum("kt,btd->bkd", transform, x.to(torch.complex128))
    frequency = torch.minimum(k, length - k)
    spectrum = spectrum * (frequency < cutoff // 2 + 1)
    back = torch.einsum("tk,bkd->btd", transform.conj().T, spectrum) / length
    torch.testing.assert_close(back.imag, torch.zeros_like(back.imag))
    return back.real


def test_right_aligned__moves_padding_to_the_front():
    items = torch.tensor([[5, 6, 7], [8, 0, 0]])
    assert align_right(items, torch.tensor([3, 1]), 4).tolist() == [[0, 5, 6, 7], [0, 0, 0, 8]]
    assert align_right(items, torch.tensor([2, 1]), 3).tolist() == [[0, 5, 6], [0, 0, 8]]


def test_hidden_from__hides_later_items_and_padding_from_items():
    hidden = make_hidden_mask(torch.tensor([[True, True, False, False]]))
    assert (~hidden)[0, 0].int().tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 0], [0, 0, 1, 1]]


@pytest.mark.parametrize("length", [1, 7, 8, 50])
@pytest.mark.parametrize("cutoff", [1, 3, 5, 9, 100])
def test_lowest_waves__span_the_lowest_frequencies(length, cutoff):
    waves = build_lowest_waves(length, cutoff // 2 + 1, DOUBLE)
    x = torch.randn(2, length, 3, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    torch.testing.assert_close(waves @ waves.T, torch.eye(len(waves), dtype=DOUBLE))
    torch.testing.assert_close(waves.T @ (waves @ x), low_frequencies(x, cutoff))


@pytest.mark.parametrize("cutoff", [1, 5, 9])
def test_frequency_rescaler__is_its_formula(cutoff):
    torch.manual_seed(0)
    rescaler = FrequencyRescaler(LENGTH, 4, cutoff, 0.0, 1e-12).double()
    x = torch.randn(3, LENGTH, 4, dtype=DOUBLE)
    low = low_frequencies(x, cutoff)
    total = x + low + rescaler.sqrt_beta.square() * (x - low)
    centred = total - total.mean(-1, keepdim=True)
    expected = centred / centred.square().mean(-1, keepdim=True).sqrt()
    torch.testing.assert_close(rescaler(x), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(rescaler.rescale_last(x), rescaler(x)[:, -1])


def every_position(model, items, lengths):
    """The paper's computation with RecBole's modules and a Fourier transform, at every position of every layer."""
    turned = align_right(items, lengths, LENGTH)
    x = model.LayerNorm(model.item_embedding(turned) + model.position_embedding.weight)
    mask = model.get_attention_mask(turned)  # -10000 where a position may not look
    for layer, rescaler in zip(model.trm_encoder.layer, model.rescalers, strict=True):
        low = torch.fft.rfft(x, dim=1)
        low[:, 5 // 2 + 1 :] = 0
        low = torch.fft.irfft(low, n=LENGTH, dim=1)
        rescaled = rescaler.LayerNorm(low + rescaler.sqrt_beta**2 * (x - low) + x)
        x = layer.feed_forward(0.7 * rescaled + 0.3 * layer.multi_head_attention(x, mask))
    return x[:, -1]


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("training", [True, False])
def test_frequency_rescaler__gives_the_last_position_alone(layers, training, make_model):
    model = make_model(n_layers=layers).train(training)
    for rescaler in model.rescalers:
        rescaler.waves = build_lowest_waves(LENGTH, 3, DOUBLE)
    items, lengths = rows(range(1, LENGTH + 1))
    states, expected = model.forward(items, lengths), every_position(model, items, lengths)
    torch.testing.assert_close(states, expected)
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad(states.pow(3).sum(), parameters.values())
    wanted = torch.autograd.grad(expected.pow(3).sum(), parameters.values())
    for name, gradient, other in zip(parameters, gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, other, atol=1e-9, rtol=1e-6, msg=name)


def test_bsarec__is_sasrec_on_full_rows_without_rescaler(make_model):
    model, sasrec = make_model(filter_share=0.0), make_model("SASRec")
    shared = {name: value for name, value in model.state_dict().items() if not name.startswith("rescalers")}
    sasrec.load_state_dict(shared)
    items, lengths = rows([LENGTH] * 4)
    torch.testing.assert_close(model.forward(items, lengths), sasrec.forward(items, lengths))


def test_bsarec__attends_to_no_padding_but_rescales_it(make_model):
    items, lengths = rows([3, 5])
    for share, same in ((0.0, True), (0.7, False)):
        model = make_model(filter_share=share, n_layers=1)
        before = model.forward(items, lengths)
        with torch.no_grad():
            model.item_embedding.weight[0] += torch.randn(16, dtype=DOUBLE)
            model.position_embedding.weight[:3] += 1.0
        assert torch.allclose(before, model.forward(items, lengths)) == same


def test_bsarec__ignores_columns_of_padding(make_model):
    model = make_model()
    items, lengths = rows([3, 1, 4])
    torch.testing.assert_close(model.forward(items[:, :4], lengths), model.forward(items, lengths))


def test_bsarec__has_the_defined_loss_and_scores(make_model):
    model = make_model()
    items, lengths = rows([2, 8, 5])
    targets = torch.tensor([4, 1, 9])
    batch = Interaction({"item_id_list": items, "item_length": lengths, "item_id": targets})
    scores = model.forward(items, lengths) @ model.item_embedding.weight.T
    expected = -scores.log_softmax(1)[torch.arange(3), targets].mean()
    torch.testing.assert_close(model.calculate_loss(batch), expected)
    torch.testing.assert_close(model.full_sort_predict(batch), scores)
    torch.testing.assert_close(model.predict(batch), scores[torch.arange(3), targets])


def test_bsarec__is_close_under_autocast(make_model):
    model = make_model().float()
    items, lengths = rows([2, 8, 5])
    with torch.autocast("cpu", torch.bfloat16):
        states = model.forward(items, lengths)
    torch.testing.assert_close(states.float(), model.forward(items, lengths), atol=0.1, rtol=0.1)


def test_bsarec__is_not_packed():
    assert not is_packable(get_model("BSARec"))
    with pytest.raises(ConfigError, match="packed does not support BSARec: its Fourier filter spans"):
        require_packable(get_model("BSARec"))


def test_bsarec__accepts_the_published_settings(tmp_path):
    """One head, dropout 0.5, learning rate 5e-4, batches of 256 and the masked history reach model and trainer."""
    (entry,) = read_entries(["BSARec (published settings)"], [ROOT / "benchmarks" / "entries" / "bsarec.yaml"])
    write_events(tmp_path, "tiny", random_events())
    settings = {**SMALL, **entry.settings(), "data_path": str(tmp_path), "dataset": "tiny", "state": "ERROR"}
    config = configure({**settings, "topk": [5, 10], "show_progress": False}, {})
    (train_data, *_), model, trainer = build(config)
    attention = model.trm_encoder.layer[0].multi_head_attention
    assert (attention.num_attention_heads, attention.attn_dropout.p, model.dropout.p) == (1, 0.5, 0.5)
    assert model.filter_share == 0.7 and len(model.rescalers) == 2 and model.hidden_size == 64
    assert (trainer.optimizer.param_groups[0]["lr"], train_data.step, config["mask_history"]) == (0.0005, 256, True)
    assert (config["epochs"], config["stopping_step"], config["loss_type"], config["sam_rho"]) == (200, 10, "CE", 0)
