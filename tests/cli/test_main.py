"""The commands as separate processes, and the parsing of their arguments."""

import importlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recbole_samrec.cli import main as cli
from recbole_samrec.config.yaml_files import parse_settings
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.command import SMALL, main, succeed
from tests.helpers.paths import ROOT
from tests.helpers.tiny import cyclic, write_events

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color"}
ENVIRONMENT["PYTHONPATH"] = str(ROOT)


@pytest.fixture
def data(own_folder):
    """A data set of 30 items in the working folder."""
    write_events("dataset", "tiny", cyclic(users=60, items=30))
    return own_folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_run__stopped_on_a_terminal_resumes_as_printed(data):
    arguments = ["--dataset=tiny", *SMALL[:-1], "--epochs=500", "--stopping_step=500", "--run_dir=runs/a run"]
    screen, process = on_a_terminal([str(ROOT / "run_recbole.py"), *arguments])
    wait_for(Path("runs/a run/last.pth"), process)
    os.killpg(process.pid, signal.SIGINT)
    shown = read_all(screen)
    assert process.wait(60) == 130, shown
    assert set(os.listdir(data)) == {"dataset", "runs"}

    lines = [line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)) if line.strip()]
    assert lines.pop(0).startswith("note: full ranking includes")
    assert lines[0] == "SAMRec on tiny"
    drawn = [line for line in lines if line.startswith("epoch ")]
    assert drawn and all(len(line) <= 80 for line in drawn)
    assert re.fullmatch(r"epoch \d+/500 \S+ loss \S+  NDCG@10 \S+  best \S+  \S+ left", drawn[-1])
    assert "KeyboardInterrupt" not in shown and len(set(lines) - set(drawn)) == 2, lines

    command = shlex.split(re.fullmatch(r"stopped; resume with: python (.*)", lines[-1])[1])
    assert command == ["run_recbole.py", "--resume=runs/a run"]
    last = int(drawn[-1].split()[1].split("/")[0])
    done = process_of([str(ROOT / command[0]), *command[1:], f"--epochs={last + 2}"])
    assert done.returncode == 0, done.stderr
    assert f"epoch {last + 2}/{last + 2} " in done.stdout and f"epoch {last - 1}/" not in done.stdout
    assert json.loads(Path("runs/a run/result.json").read_text())["epochs_run"] == last + 2

    again = process_of(["-m", "recbole_samrec", "evaluate", "runs/a run", "--mask_history"])
    assert again.returncode == 0, again.stderr
    assert "the same figures as in runs/a run/result.json" in again.stdout and "valid, masked K = 5" in again.stdout
    assert "Traceback" not in again.stderr and "Warning" not in again.stderr


def on_a_terminal(arguments):
    """Start Python in a terminal of 80 columns; its output can be read from the first value."""
    import pty  # there is none on Windows

    screen, inner = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=inner, stderr=inner, env=ENVIRONMENT, start_new_session=True
    )
    os.close(inner)
    return screen, process


def read_all(screen):
    shown = b""
    while True:
        try:
            part = os.read(screen, 65536)
        except OSError:  # the other side was closed
            part = b""
        if not part:
            return shown.decode()
        shown += part


def wait_for(file, process, seconds=120):
    end = time.monotonic() + seconds
    while not file.exists():
        assert process.poll() is None and time.monotonic() < end, "the run has not come so far"
        time.sleep(0.02)


def process_of(arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=ENVIRONMENT, timeout=300, check=False
    )


def test_run_recbole__is_the_command_run(data, monkeypatch):
    """The script only inserts the word ``run``."""
    seen = []
    monkeypatch.setattr("recbole_samrec.cli.main.main", lambda argv: seen.append(argv) or 0)
    monkeypatch.setattr(sys, "argv", ["run_recbole.py", "--model=Pop", "--nproc=2"])
    script = compile((ROOT / "run_recbole.py").read_text(), "run_recbole.py", "exec")
    with pytest.raises(SystemExit) as ended:
        exec(script, {"__name__": "__main__"})
    assert ended.value.code == 0 and seen == [["run", "--model=Pop", "--nproc=2"]]


def test_parse_settings__reads_the_command_line():
    given = parse_settings(["--learning_rate=1e-3", "--topk=[5,10]", "--user_inter_num_interval=[5,10]", "--a=b=c"])
    assert given == {"learning_rate": 0.001, "topk": [5, 10], "user_inter_num_interval": "[5,10]", "a": "b=c"}
    assert parse_settings(["--seed=1", "--seed=1"]) == {"seed": 1}
    for wrong in ("seed=1", "--seed", "-s=1", "--=1", "--1=1", "--a b=1"):
        with pytest.raises(ConfigError, match="give settings as --key=value"):
            parse_settings([wrong])


def test_run__later_files_and_the_command_line_win(data):
    Path("a.yaml").write_text("dataset: tiny\nmodel: BPR\nepochs: 5\nseed: 1\nlearning_rate: 1e-2\n")
    Path("b.yaml").write_text("epochs: 1\nseed: 2\n")
    succeed("run", "--config_files=a.yaml b.yaml", "--seed=3", "--run_dir=one")
    config = json.loads(Path("one/result.json").read_text())["config"]
    chosen = {key: config[key] for key in ("dataset", "model", "epochs", "seed", "learning_rate")}
    assert chosen == {"dataset": "tiny", "model": "BPR", "epochs": 1, "seed": 3, "learning_rate": 0.01}


@pytest.mark.parametrize(
    "command, words",
    [
        ([], ["run", "evaluate", "data", "doctor"]),
        (["run"], ["--model", "--dataset", "--config_files", "--run_dir", "--resume", "--nproc"]),
        (["evaluate"], ["RUN", "--mask_history"]),
    ],
)
def test_main__help_lists_commands_and_arguments(command, words, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in words)


def test_run__reports_a_stop_before_training(data, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("recbole_samrec.config.build.check_atomic_files", interrupt)
        said = main("run", "--dataset=tiny", *SMALL)
        assert (said.status, said.err.strip()) == (130, "stopped") and not Path("runs").exists()
    monkeypatch.setattr("recbole_samrec.quick_start.context.create_dataset", interrupt)
    said = main("run", "--dataset=tiny", *SMALL, "--run_dir=one")
    assert said.status == 130 and "stopped in the first epoch; there is nothing to resume in one" in said.out


def test_main__logs_the_traceback_of_the_unexpected(data, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("the sky fell\nin two lines")

    monkeypatch.setattr("recbole_samrec.trainer.trainer.SAMTrainer.fit", fail)
    said = main("run", "--dataset=tiny", *SMALL, "--run_dir=one")
    assert said.status == 1
    assert said.err.strip() == "error: unexpected OSError: the sky fell; --debug shows where"
    assert "Traceback" in Path("one/run.log").read_text()


@pytest.mark.parametrize(
    ("missing", "remedy"), [("numpy", ". .venv/bin/activate), or see"), ("recbole", "recbole==1.2.1")]
)
def test_main__names_a_missing_package_with_its_remedy(monkeypatch, missing, remedy):
    def fail(*arguments):
        raise ModuleNotFoundError("not there", name=missing)

    monkeypatch.setattr("recbole_samrec.cli.run.main", fail)
    said = main("run")
    (line,) = said.err.splitlines()
    assert said.status == 2 and line.startswith(f"error: {sys.executable} has no {missing}: ") and remedy in line


def test_main__a_missing_module_of_ours_is_unexpected(monkeypatch):
    def fail(*arguments):
        raise ModuleNotFoundError("a defect of ours", name="recbole_samrec.nothing")

    monkeypatch.setattr("recbole_samrec.cli.run.main", fail)
    assert main("run").status == 1


@pytest.mark.parametrize(("word", "hint"), [("comapre", "did you mean compare?"), ("xyz", "there are: run, evaluate")])
def test_main__unknown_commands_are_one_line_with_a_hint(word, hint):
    said = main(word, "--models=SAMRec")
    assert said.status == 2 and said.err.startswith(f"error: {word}: unknown command; {hint}")
    assert said.err.count("\n") == 1


def test_commands__have_help_and_arguments():
    for name in cli.COMMANDS:
        module = importlib.import_module(f"recbole_samrec.cli.{name}")
        assert module.HELP and callable(module.add_arguments) and callable(module.main)
