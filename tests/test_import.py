"""Importing the package loads little, and RecBole is patched before its first use, in any order of imports."""

import ast
import json
import os
import subprocess
import sys

import pytest

import recbole_samrec
from recbole_samrec import compat
from recbole_samrec.cli import main as cli
from recbole_samrec.integration.import_hooks import AFTER_PATCHES
from recbole_samrec.utils.installer import make_extra_command, make_recbole_command
from tests.helpers.command import SMALL
from tests.helpers.paths import ROOT
from tests.helpers.tiny import cyclic, write_events

HEAVY = {"torch", "recbole", "pandas", "numpy", "scipy", "ray", "matplotlib"}
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "80"}


FORKING = """
import json, os, sys
import pandas, scipy.stats, sklearn.metrics, torch  # which take long and are RecBole's, not ours
def run(code):
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            space = {}
            exec(code, space)
            answer = space["answer"]
        except BaseException as error:
            answer = repr(error)
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        return json.load(stream)
print("ANSWERS", json.dumps([run(code) for code in json.load(sys.stdin)]))
"""

STATE = """
import sys
from recbole_samrec import compat
import recbole.trainer
from recbole.model.sequential_recommender.sasrec import SASRec
from recbole_samrec.model.samrec import SAMRec
from recbole_samrec.trainer.trainer import SAMTrainer
assert recbole.trainer.Trainer is SAMTrainer, "ours under RecBole's name"
assert issubclass(SAMRec, SASRec)
assert sys.modules["recbole.model.sequential_recommender.samrec"].SAMRec is SAMRec, "one class, not two"
assert recbole.trainer.KGTrainer.__mro__[1] is SAMTrainer
answer = sorted(one.name for one in compat.list_applied())
"""


def answers_of(*codes):
    """The variable ``answer`` of each piece of code, in a process that has imported neither RecBole nor ours."""
    command = [sys.executable, "-c", FORKING]
    options = {"capture_output": True, "text": True, "cwd": ROOT, "env": ENVIRONMENT, "timeout": 300}
    done = subprocess.run(command, input=json.dumps(codes), **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.rpartition("ANSWERS")[2])


def run_python(code, *arguments, folder=None, check=True):
    """The output of a new process."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder or ROOT, env=ENVIRONMENT, timeout=300)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout if check else done


def loaded_by(code):
    """The heavy packages that are loaded after some code, whether it ends normally or with ``SystemExit``."""
    watched = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('LOADED', *sys.modules)"
    return HEAVY & set(run_python(watched).rpartition("LOADED")[2].split())


# What is loaded -------------------------------------------------------------------------------------------------------


def test_import__loads_nothing_heavy():
    assert loaded_by("import recbole_samrec; recbole_samrec.__version__; dir(recbole_samrec)") == set()


def command(*words):
    return f"import recbole_samrec.cli.main as cli; sys.exit(cli.main({list(words)!r}))"


HELP = [[name, "--help"] for name in cli.COMMANDS]


@pytest.mark.parametrize("words", [[], ["--help"], ["comapre"], *HELP], ids=" ".join)
def test_command_line__help_and_slips_load_nothing_heavy(words):
    assert loaded_by(command(*words)) == set()


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--sam_roh=0.1"],
        ["run", "--model=GRU4Rec", "--learnig_rate=0.1"],
        ["compare", "--models=SAMRec,GRU4Rec+SAM", "--learnig_rate=0.1"],
        ["tune", "--model=GRU4Rec+SAM", "--learnig_rate=0.1"],
        ["evaluate", "runs/x", "--eval_memroy=1"],
        ["recommend", "runs/x", "--users=all", "--eval_memroy=1"],
    ],
    ids=" ".join,
)
def test_command_line__misspelled_settings_load_nothing_heavy(words):
    key = words[-1].partition("=")[0]
    watched = f"import sys, recbole_samrec.cli.main as cli\nprint(cli.main({words!r}), 'LOADED', *sys.modules)"
    done = run_python(watched, check=False)
    assert done.stdout.startswith("2 LOADED") and not HEAVY & set(done.stdout.split())
    assert done.stderr.startswith(f"error: unknown setting {key}; did you mean ")


def test_public_names__are_listed_and_resolved():
    table = recbole_samrec._MODULES
    assert set(recbole_samrec.__all__) == {*table, "__version__"} <= set(dir(recbole_samrec))
    for name, module in table.items():
        assert getattr(recbole_samrec, name) is getattr(sys.modules[f"recbole_samrec.{module}"], name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = recbole_samrec.nothing


def test_public_names__are_those_of_type_checkers():
    tree = ast.parse((ROOT / "recbole_samrec" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {name.name: node.module for node in block.body for name in node.names}
    assert seen == {name: f"recbole_samrec.{module}" for name, module in recbole_samrec._MODULES.items()}
    assert (ROOT / "recbole_samrec" / "py.typed").is_file()


# Which import comes first ---------------------------------------------------------------------------------------------

FIRST = {
    "ours": "import recbole_samrec",
    "recbole's shell": "import recbole, recbole_samrec",
    "recbole": "from recbole.quick_start import run_recbole; import recbole_samrec",
    "recbole's trainer": "from recbole.trainer import KGTrainer; import recbole_samrec",
    "ray": "import ray, recbole_samrec",
    "public name": "from recbole_samrec import SAMRec",
    "model": "import recbole_samrec.model.samrec",
    "trainer": "from recbole_samrec.trainer.trainer import SAMTrainer",
    "data set": "from recbole_samrec.data.packed_dataset import PackedDataset",
    "registry": "from recbole_samrec.integration.registry import register",
    "run": "import recbole_samrec.quick_start.train",
    "reload": "import importlib, recbole_samrec; importlib.reload(recbole_samrec)",
}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_activate__patches_alike_whatever_comes_first():
    found = dict(zip(FIRST, answers_of(*(f"{first}\n{STATE}" for first in FIRST.values())), strict=True))
    assert found == dict.fromkeys(FIRST, sorted(one.name for one in compat.list_applied()))


@pytest.mark.slow
def test_after_patches__names_every_module_that_must_wait():
    """Modules that are loaded with the patches either wait for them, or do not import RecBole at all."""
    code = "import recbole, recbole_samrec, sys\nprint(*(m for m in sys.modules if m.startswith('recbole_samrec.')))"
    loaded = set(run_python(code).split())
    assert loaded >= AFTER_PATCHES
    folders = tuple(f"{name}." for name in AFTER_PATCHES)
    others = sorted(name for name in loaded - AFTER_PATCHES if not name.startswith(folders))
    code = (
        "import importlib, sys\nsys.modules['recbole'] = None\nfor name in sys.argv[1:]: importlib.import_module(name)"
    )
    run_python(code, *others)


def test_activate__replaces_names_that_a_script_took():
    """A notebook cell, or the top of a script, may have imported a function before it was replaced."""
    code = "from recbole.utils import early_stopping, get_model\nimport recbole_samrec, recbole.utils\n"
    run_python(f"{code}assert early_stopping is recbole.utils.early_stopping and get_model is recbole.utils.get_model")


def test_finder__hands_over_ordinary_modules():
    code = "import recbole_samrec.model.samrec as one, pickle, importlib, sys\n"
    code += "assert one.__spec__.name == one.__name__ and one.__spec__.origin == one.__file__\n"
    code += "assert one is sys.modules[one.__name__] and pickle.loads(pickle.dumps(one.SAMRec)) is one.SAMRec\n"
    code += "package = sys.modules['recbole_samrec.model']\n"
    code += "assert package.samrec is one and package.__spec__.submodule_search_locations\n"
    run_python(f"{code}importlib.reload(one)")


# Without RecBole ------------------------------------------------------------------------------------------------------


def test_sam__works_without_recbole():
    code = """
import sys
sys.modules["recbole"] = None
import torch
from recbole_samrec.optim.sam import SAM
import recbole_samrec
assert recbole_samrec.SAM is SAM
weights = torch.nn.Parameter(torch.ones(3))
sam = SAM(torch.optim.SGD([weights], lr=0.1), rho=0.05)
def closure():
    sam.zero_grad()
    loss = weights.square().sum()
    loss.backward()
    return loss
assert float(sam.step(closure)) == 3 and float(weights[0].detach()) < 1
"""
    run_python(code)


@pytest.mark.parametrize("version", [(3, 10), (3, 15), (2, 7)])
def test_check_python__refuses_others(version):
    with pytest.raises(ImportError, match=r"runs on Python 3\.11 to 3\.14, and this is Python \d\.\d+: make"):
        recbole_samrec._check_python(version)


@pytest.mark.parametrize("version", [(3, 11), (3, 14)])
def test_check_python__accepts_those_it_is_made_for(version):
    recbole_samrec._check_python(version)


ANOTHER_RECBOLE = """
import sys, warnings
from importlib import metadata
version = metadata.version
metadata.version = lambda name: "1.1.1" if name == "recbole" else version(name)
warnings.simplefilter("always")
"""


def test_install__leaves_another_recbole_alone():
    code = ANOTHER_RECBOLE + (
        "import recbole_samrec\n"
        "with warnings.catch_warnings(record=True) as caught:\n    import recbole\n"
        "print(caught[-1].message)\n"
        "recbole_samrec.SAM\n"
        "try:\n    recbole_samrec.run\nexcept ImportError as error:\n    print(error)"
    )
    warned, refused = run_python(code).splitlines()
    problem = "RecBole 1.1.1 is installed, and recbole-samrec needs 1.2.1: "
    assert warned.startswith(f"RecBole is not patched: {problem}") and refused.startswith(problem)


def test_main__names_the_command_that_repairs_recbole():
    code = ANOTHER_RECBOLE + "from recbole_samrec.cli.main import main\nprint(main(['run']), 'torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.stdout == "2 False\n"
    assert "error: RecBole 1.1.1 is installed" in result.stderr and f"{sys.executable} -m pip" in result.stderr


def test_public_names__say_how_to_install_recbole():
    (line,) = run_python(
        "import sys\nsys.modules['recbole'] = None\nimport recbole_samrec\n"
        "try:\n    recbole_samrec.SAMRec\nexcept ImportError as error:\n    print(error)"
    ).splitlines()
    assert line == f"recbole_samrec.SAMRec needs RecBole 1.2.1: {make_recbole_command()}"


# Without the packages of extras ---------------------------------------------------------------------------------------

HIDING = """
import json, sys
GONE = {"ray", "plotly", "matplotlib"}
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in GONE else self.finder.find_spec(name, path, target)
    def find_distributions(self, context):
        return [] if context.name in GONE else self.finder.find_distributions(context)
sys.meta_path[:] = [Hiding(one) if hasattr(one, "find_distributions") else one for one in sys.meta_path]
from recbole_samrec.cli.main import main
statuses = [main(words) for words in json.loads(sys.argv.pop())]
assert not any(name.partition(".")[0] in GONE for name in sys.modules)
print("STATUSES", *statuses)
"""


def run_without_extras(*commands):
    """The exit statuses of commands without any extra installed, and the lines of their errors."""
    done = run_python(HIDING, json.dumps(commands), folder=os.curdir, check=False)
    assert "STATUSES" in done.stdout, done.stderr
    statuses = [int(word) for word in done.stdout.rpartition("STATUSES")[2].split()]
    return statuses, [line for line in done.stderr.splitlines() if line.startswith("error: ")]


@pytest.mark.slow
def test_extras__are_not_needed_to_train_and_recommend():
    write_events("dataset", "tiny", cyclic(items=30))
    statuses, errors = run_without_extras(
        ["run", "--dataset=tiny", *SMALL, "--run_dir=one"],
        ["evaluate", "one"],
        ["recommend", "one", "--users=all"],
        ["export", "one", "--out=vectors"],
        ["doctor"],
    )
    assert (statuses, errors) == ([0] * 5, [])


def test_extras__are_named_with_the_command_that_installs_them():
    write_events("dataset", "tiny", cyclic(items=30))
    commands = {
        "compare": ["compare", "--models=SAMRec", "--datasets=tiny"],
        "tables of compare": ["compare", "--models=SAMRec", "--datasets=tiny", "--tables"],
        "tune": ["tune", "--dataset=tiny", *SMALL],
        "sharpness": ["sharpness", "one"],
    }
    statuses, errors = run_without_extras(*commands.values())
    missing = {"tune": "ray, matplotlib, plotly", "report": "matplotlib, plotly"}
    expected = [
        f"error: {user} needs {missing[extra]}, missing in {sys.executable}; install with: {make_extra_command(extra)}"
        for user, extra in [("compare", "tune"), ("compare", "report"), ("tune", "tune"), ("sharpness", "report")]
    ]
    assert (statuses, errors) == ([2] * 4, expected)


# Other processes ------------------------------------------------------------------------------------------------------

WORKER = """
import multiprocessing
import sys

def state(model):
    import recbole.trainer
    from recbole_samrec import compat
    from recbole_samrec.trainer.trainer import SAMTrainer
    assert recbole.trainer.Trainer is SAMTrainer and model.__name__ == "SAMRec"
    return sorted(one.name for one in compat.list_applied())

if __name__ == "__main__":
    from recbole_samrec import SAMRec
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(state, [SAMRec]) == state(SAMRec)
"""


@pytest.mark.slow
def test_activate__runs_in_spawned_processes(tmp_path):
    (tmp_path / "script.py").write_text(WORKER)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.ray
def test_activate__runs_in_workers_of_ray():
    pytest.importorskip("ray")
    code = """
import json, ray, recbole_samrec
def state(model):
    import sys
    compat, trainer = sys.modules["recbole_samrec.compat"], sys.modules["recbole.trainer"]
    return [trainer.Trainer.__name__, *sorted(one.name for one in compat.list_applied())]
if __name__ == "__main__":
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    print(json.dumps(ray.get(ray.remote(state).remote(recbole_samrec.SAMRec))))
"""
    name, *applied = json.loads(run_python(code).splitlines()[-1])
    assert name == "SAMTrainer" and applied == sorted(one.name for one in compat.list_applied())


def test_activate__leaves_a_kernel_its_command_line(tmp_path):
    """Cells run in ``__main__`` of a kernel, whose own arguments are not meant for RecBole."""
    cells = [
        "from recbole.quick_start import load_data_and_model\nfrom recbole.config import Config",
        "import recbole_samrec",
        "config = Config(model='SAMRec', dataset='ml-100k')\nassert config['sam_rho'] and config['f'] is None",
        "import recbole.quick_start as q\nassert load_data_and_model is q.load_data_and_model",
    ]
    kernel = "import sys\nsys.argv = ['/lib/ipykernel_launcher.py', '-f', '/tmp/kernel.json', '--f=1']\n"
    kernel += f"for cell in {cells!r}:\n    exec(compile(cell, '<cell>', 'exec'), vars(sys.modules['__main__']))"
    run_python(kernel, folder=tmp_path)
