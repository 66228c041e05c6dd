"""The commands for a user without name and home, with a read-only package, and with unusual characters in paths."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.tiny import random_events, write_events

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("setpriv") is None,
        reason="only root may become another user",
    ),
]
UNKNOWN = 54321
"""A user who is in no list of users; he may read everything here, but not write."""
BECOME = (
    f"setpriv --reuid={UNKNOWN} --regid={UNKNOWN} --clear-groups --inh-caps=+dac_read_search "
    "--ambient-caps=+dac_read_search"
).split()
SETTINGS = (
    "--n_layers=1 --hidden_size=16 --inner_size=32 --MAX_ITEM_LIST_LENGTH=8 --train_batch_size=64 --epochs=1".split()
)


@pytest.fixture
def place(tmp_path):
    """A folder with spaces and umlauts: the package, an interpreter, data, and a writable folder."""
    place = tmp_path / "mein schöner Ordner"
    shutil.copytree(ROOT / "recbole_samrec", place / "recbole_samrec")
    shutil.copytree(ROOT / "properties", place / "properties")
    (place / "umgebung für alle").symlink_to(sys.prefix, target_is_directory=True)
    write_events(place / "dätä sets", "tiny", random_events())
    (place / "out").mkdir(mode=0o777)
    (place / "out").chmod(0o777)
    return place


def carry_out(place, *arguments, **variables):
    """Run a command as the unknown user, and return its output."""
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "USER", "LOGNAME", "TMPDIR")}
    interpreter = place / "umgebung für alle" / Path(sys.executable).relative_to(sys.prefix)
    done = subprocess.run(
        [*BECOME, str(interpreter), "-m", "recbole_samrec", *arguments],
        cwd=place / "out",
        env={**kept, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr or done.stdout
    return done.stdout


def test_commands__of_an_unknown_user_in_an_odd_folder(place):
    data = ["--dataset=tiny", "--data_path=../dätä sets"]
    carry_out(place, "run", "--model=SAMRec", *data, *SETTINGS, "--run_dir=ein Läuf", TMPDIR="/nowhere/at all")
    carry_out(place, "recommend", "ein Läuf", "--users=all", "--out=für alle.parquet")
    carry_out(place, "export", "ein Läuf", "--out=die Vektören")
    assert "report: " in carry_out(place, "sharpness", "ein Läuf", "--quick", "--targets=16", "--out=wie scharf?")


@pytest.mark.ray
def test_ray__of_an_unknown_user_in_an_odd_folder(place):
    data = ["--dataset=tiny", "--data_path=../dätä sets", *SETTINGS]
    (place / "space.yaml").write_text("learning_rate: [0.001]\n")
    out = carry_out(
        place, "compare", "--models=SASRec", "--datasets=tiny", "--seeds=1,", *data[1:], "--out=ä b", TMPDIR="/nowhere"
    )
    assert "tables and plots: ä b/tiny*" in out
    read_only = str(place / "recbole_samrec")
    search = ["--model=SASRec", "--space=../space.yaml", "--search=grid", "--scheduler=none", "--out=eine Süche"]
    assert "Best of SASRec" in carry_out(place, "tune", *search, *data, TMPDIR=read_only)
