"""The script for several processes on the page sam_in_pytorch.md trains as one process does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recbole_samrec.optim.sam import SAM
from tests.helpers.paths import ROOT

PAGE = ROOT / "docs" / "how_to" / "sam_in_pytorch.md"


def train_alone():
    """Train on the whole batches of the script in this process."""
    torch.manual_seed(0)
    inputs, targets = torch.randn(64, 10), torch.randn(64, 1)
    model = torch.nn.Linear(10, 1)
    sam = SAM(torch.optim.AdamW(model.parameters(), lr=0.01), rho=0.05)
    for x, y in zip(inputs.split(16), targets.split(16), strict=True):

        def closure(x=x, y=y):
            sam.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x), y)
            loss.backward()
            return loss

        sam.step(closure)
    return model.state_dict()


@pytest.mark.slow
def test_train_ddp__equals_a_single_process(own_folder):
    (script,) = re.findall(r"```python\n(# train_ddp\.py\n.*?)```", PAGE.read_text(), re.S)
    (command,) = re.findall(r"^torchrun (.*)$", PAGE.read_text(), re.M)
    Path("train_ddp.py").write_text(script)
    subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", *command.split()], check=True)
    torch.testing.assert_close(torch.load("weights.pt"), train_alone())
