"""Mixed precision follows the settings and the device."""

import logging

import pytest
import torch

from recbole_samrec.trainer.precision import choose_precision, parse_dtype
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.tiny import build, cyclic, make_config, write_events

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
PLAIN = {"enable_amp": False, "amp_dtype": None, "enable_scaler": False, "fp16_scaler": True}
AMP = {**PLAIN, "enable_amp": True}


def test_parse_dtype__of_both_spellings():
    assert parse_dtype(None) is None
    assert parse_dtype("bf16") is parse_dtype("bfloat16") is torch.bfloat16
    assert parse_dtype("fp16") is parse_dtype("float16") is torch.float16
    with pytest.raises(ConfigError, match=r"^amp_dtype=float8: choose bfloat16 or float16$"):
        parse_dtype("float8")


@pytest.mark.parametrize(
    ("settings", "device", "native", "dtype", "scaled"),
    [
        (PLAIN, CUDA, False, None, False),
        (AMP, CUDA, True, torch.bfloat16, False),
        (AMP, CUDA, False, torch.float16, True),
        ({**AMP, "fp16_scaler": False}, CUDA, False, torch.float16, False),
        ({**AMP, "fp16_scaler": False, "enable_scaler": True}, CUDA, False, torch.float16, True),
        ({**AMP, "amp_dtype": "fp16"}, CUDA, True, torch.float16, True),
        ({**AMP, "amp_dtype": "bf16"}, CUDA, False, torch.bfloat16, False),
        ({**AMP, "enable_scaler": True}, CUDA, True, torch.bfloat16, True),
        (AMP, CPU, False, torch.bfloat16, False),
        ({**AMP, "amp_dtype": "fp16"}, CPU, False, torch.float16, True),
    ],
)
def test_choose_precision__scales_half_precision(settings, device, native, dtype, scaled, monkeypatch):
    def is_bf16_supported(including_emulation=True):
        return native or including_emulation  # torch emulates it on any GPU

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    found = choose_precision(settings, device)
    assert (found.dtype, found.is_scaled) == (dtype, scaled)
    assert found.is_risky == (dtype == torch.float16 and not scaled)


def test_trainer__warns_of_unscaled_half_precision(tmp_path, caplog):
    write_events(tmp_path, "tiny", cyclic(users=10, items=10))
    given = {"enable_amp": True, "amp_dtype": "float16", "epochs": 1}
    with caplog.at_level(logging.INFO):
        _, _, trainer = build(make_config("SAMRec", tmp_path, **given))
        assert trainer.scaler.is_enabled() and trainer.sam_step.scaler.is_enabled()
        assert ("root", logging.INFO, "mixed precision: float16, scaled gradients") in caplog.record_tuples
        caplog.clear()
        _, _, trainer = build(make_config("SAMRec", tmp_path, **given, fp16_scaler=False))
    assert not trainer.scaler.is_enabled()
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING and "fp16" in record.message)
    assert warning.message.startswith("fp16_scaler=False: gradients below 6e-8 become zero")
