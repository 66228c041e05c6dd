"""Two processes train and score the same model as one process; an error in one of them ends the run."""

import json
import os
import pickle
import socket
from pathlib import Path

import pytest
import recbole.data
import torch
from recbole.quick_start import quick_start, run
from recbole.utils import get_model, get_trainer, init_seed

import recbole_samrec  # noqa: F401  a spawned process imports this file first
from recbole_samrec import compat
from recbole_samrec.cli import main
from recbole_samrec.evaluator import test_ranks
from recbole_samrec.optim.schedule import SAMSettings
from recbole_samrec.optim.variants import CLASSES
from recbole_samrec.utils import checkpoint_io
from tests.helpers.tiny import SMALL, make_config, random_events, write_events

WORLD = 2
USERS = 31  # an odd number, so that the shares of two processes differ
DRY = {"hidden_dropout_prob": 0.0, "attn_dropout_prob": 0.0}
TRAININGS = {
    "adam": {},
    "clipped": {"clip_grad_norm": {"max_norm": 0.05}},
    "sam": {"sam_rho": 0.5},
    "asam": {"sam_rho": 0.5, "sam_variant": "asam"},
    "sam, clipped": {"sam_rho": 0.5, "clip_grad_norm": 0.05},
    "looksam": {"sam_rho": 0.5, "sam_variant": "looksam"},
    "msam": {"sam_rho": 0.5, "sam_variant": "msam"},
    "random": {"sam_rho": 0.5, "sam_variant": "random"},
}
RANKING = ["Recall", "MRR", "NDCG", "Hit", "MAP", "Precision", "GAUC", "ItemCoverage", "GiniIndex", "TailPercentage"]
LEAVE_ONE_OUT = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
RATIO = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user", "mode": "full"}
LABELED = {"split": {"RS": [6, 2, 2]}, "order": "RO", "group_by": None, "mode": "labeled"}
VALUES = {"metrics": ["AUC", "RMSE", "LogLoss"], "valid_metric": "AUC", "threshold": {"timestamp": 5003}}
SCORINGS = {
    "sequential": ("SASRec", "tiny", {"metrics": RANKING, "topk": [3, 10]}),
    "sequential, history masked": ("SASRec", "tiny", {"mask_history": True}),
    "general": ("BPR", "tiny", {"metrics": RANKING, "eval_args": RATIO}),
    "labeled": ("FM", "tiny", {**VALUES, "eval_args": LABELED}),
    "one user": ("SASRec", "lonely", {}),  # the second process has nothing to score
    "one user, general": ("BPR", "lonely", {"eval_args": LEAVE_ONE_OUT}),
}
SAMPLED = {"eval_args": {**LEAVE_ONE_OUT, "mode": "uni10"}, "metrics": ["Hit", "MRR"], "topk": [1]}
SAMPLED["valid_metric"] = "Hit@1"
WHOLE = {"model": "SAMRec", "dataset": "tiny", "sam_rho": 0.1, "epochs": 3, "hidden_dropout_prob": 0.3}
WHOLE |= {"sam_variant": "random", "weight_average": "ema 0.9"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def build(config):
    """Loaders, model and trainer, with the seeds of ``run_recbole``."""
    init_seed(config["seed"], config["reproducibility"])
    loaders = recbole.data.data_preparation(config, recbole.data.create_dataset(config))
    init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
    model = get_model(config["model"])(config, loaders[0]._dataset)
    return loaders, model, get_trainer(config["MODEL_TYPE"], config["model"])(config, model)


# What each process does ---------------------------------------------------------------------------------------------


def one_of_two(rank, folder, port):
    """Run everything that is tested with two processes, and write the results to a file."""
    os.chdir(folder)
    torch.set_num_threads(1)
    process = {"local_rank": rank, "nproc": WORLD, "world_size": WORLD, "offset": 0, "ip": "localhost", "port": port}
    found = {"trained": {}, "scores": {}}
    torch.set_default_dtype(torch.float64)
    for name, more in TRAININGS.items():
        found["trained"][name] = train(folder, **DRY, **more, **process)
    found["packed"] = train_packed(folder, **process)
    found["not rearmed"] = train(folder, rearm=False, **DRY, **TRAININGS["sam"], **process)
    torch.set_default_dtype(torch.float32)
    for name, (model, data, more) in SCORINGS.items():
        found["scores"][name] = score(make_config(model, folder, data, **more, **process))
    with compat.suspend("evaluate_each_user_once"):
        found["as in RecBole"] = score(make_config("SASRec", folder, metrics=RANKING, topk=[3, 10], **process))
    found["sampled"] = score_sampled(make_config("BPR", folder, **SAMPLED, **process))
    found["lonely"] = fit(make_config("SASRec", folder, "lonely", **process))
    found["whole"] = fit(make_config(folder=folder, name="tiny", **{**WHOLE, **process}))
    found["resumed"] = resume(folder, process)
    torch.save(found, Path(folder, f"{rank}.pt"))


def train(folder, rearm=True, **more):
    """The batches of a training, the weights before, and those after."""
    loaders, model, trainer = build(make_config("SASRec", folder, learning_rate=0.01, **more))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    batches, loss = [], model.calculate_loss

    def noted(batch):
        if not batches or not same(batches[-1], batch.interaction):  # a second gradient is of the same batch
            batches.append(dict(batch.interaction))
        return loss(batch)

    model.calculate_loss = noted
    if not rearm:
        trainer.sam_step.rearm = lambda: 0
    trainer.fit(loaders[0], verbose=False, saved=False)
    del model.calculate_loss
    steps = SMALL["epochs"] * len(loaders[0])
    return {"batches": batches, "steps": steps, "before": before, "after": model.state_dict()}


def train_packed(folder, **process):
    """The weights after training on whole rows, in double precision, so that rounding does not matter."""
    config = make_config("SASRec", folder, training="packed", learning_rate=0.01, sam_rho=0.5, **DRY, **process)
    loaders, model, trainer = build(config)
    trainer.fit(loaders[0], verbose=False, saved=False)
    return model.state_dict()


def score(config):
    """The validation and test metrics of weights that all processes draw in the same way."""
    loaders, model, trainer = build(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    trainer.eval_collector.data_collect(loaders[0])
    return [dict(trainer.evaluate(loader, load_best_model=False)) for loader in loaders[1:]]


def score_sampled(config):
    """Metrics of a model that is right for users with even numbers and wrong for the others."""
    loaders, model, trainer = build(config)
    model.predict = lambda batch: torch.where(batch["user_id"] % 2 == 0, batch["label"], -batch["label"])
    return dict(trainer.evaluate(loaders[2], load_best_model=False))


def fit(config):
    """The results of a whole run: figures, the name of the checkpoint, the weights."""
    loaders, model, trainer = build(config)
    _, valid = trainer.fit(loaders[0], loaders[1])
    test = trainer.evaluate(loaders[2])
    return {"valid": dict(valid), "test": dict(test), "file": trainer.saved_model_file, "weights": model.state_dict()}


def resume(folder, process):
    """Stop after the first epoch and resume."""
    shared = {**WHOLE, **process, "run_dir": str(Path(folder, "stopped")), "checkpoint_dir": str(folder)}
    Path(shared["run_dir"]).mkdir(exist_ok=True)
    loaders, _, trainer = build(make_config(folder=folder, name="tiny", **{**shared, "epochs": 1}))
    trainer.fit(loaders[0], loaders[1])
    torch.distributed.barrier()
    loaders, model, trainer = build(make_config(folder=folder, name="tiny", **shared))
    trainer.resume_checkpoint(Path(shared["run_dir"], "last.pth"))
    trainer.fit(loaders[0], loaders[1])
    test = trainer.evaluate(loaders[2])
    return {"test": dict(test), "file": trainer.saved_model_file, "weights": model.state_dict()}


# What must have come of it ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("processes")
    write_events(path, "tiny", random_events(users=USERS))
    events = [("u0", f"i{item}", item) for item in range(6)]
    write_events(path, "lonely", [*events, *((f"u{u}", f"i{u + k}", k) for u in range(1, 9) for k in range(2))])
    return path


@pytest.fixture(scope="module")
def both(folder):
    """The results of each of two processes."""
    torch.multiprocessing.spawn(one_of_two, (str(folder), free_port()), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(WORLD)]


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def joined(shares):
    """The batches of one process: of each step, the rows of all processes."""
    for parts in zip(*(share["batches"] for share in shares), strict=True):
        yield {field: torch.cat([part[field] for part in parts]) for field in parts[0]}


def by_one_process(shares, folder, sam_rho=0, sam_variant="sam", clip_grad_norm=None):
    """Train on the joined batches with SAM's formulas, without the package's training code."""
    config = make_config("SASRec", folder, **DRY)
    dataset = recbole.data.data_preparation(config, recbole.data.create_dataset(config))[0].dataset
    model = get_model("SASRec")(config, dataset).double()
    model.load_state_dict(shares[0]["before"])
    weights = list(model.parameters())
    optimizer = torch.optim.Adam(weights, lr=0.01)
    variant = CLASSES[sam_variant](weights, weights, SAMSettings(sam_rho, sam_variant, seed=config["seed"]))
    clip = clip_grad_norm["max_norm"] if isinstance(clip_grad_norm, dict) else clip_grad_norm

    def gradient(batch):
        optimizer.zero_grad()
        model.calculate_loss(batch).backward()

    for batch in joined(shares):
        if sam_rho:
            variant.displace(sam_rho)
        gradient(batch)
        variant.settle()
        if sam_rho:
            variant.replace(sam_rho, second=lambda batch=batch: gradient(batch))
            variant.end(good=True)
        if clip:
            torch.nn.utils.clip_grad_norm_(weights, clip)
        optimizer.step()
    return model.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAININGS)
def test_processes__train_as_one_on_the_joined_batch(name, both, folder):
    shares = [found["trained"][name] for found in both]
    assert [len(share["batches"]) for share in shares] == [share["steps"] for share in shares]
    assert same(shares[0]["after"], shares[1]["after"]) and not same(shares[0]["before"], shares[0]["after"])
    alone = by_one_process(shares, folder, **TRAININGS[name])
    for key, weight in shares[0]["after"].items():
        assert torch.allclose(weight, alone[key], rtol=1e-9, atol=1e-9), key


def test_processes__train_as_one_on_whole_sequences(both, folder):
    torch.set_default_dtype(torch.float64)
    try:
        alone = train_packed(folder)
    finally:
        torch.set_default_dtype(torch.float32)
    assert same(both[0]["packed"], both[1]["packed"])
    for key, weight in both[0]["packed"].items():
        assert torch.allclose(weight, alone[key], rtol=1e-9, atol=1e-9), key


def test_processes__wrap_the_model_on_its_device(folder, monkeypatch):
    process = {"local_rank": 0, "nproc": 1, "world_size": 1, "offset": 0, "ip": "localhost", "port": free_port()}
    config = make_config("SASRec", folder, **process)
    try:
        trainer = build(config)[2]
        assert trainer.distributed_model.module is trainer.model and trainer.distributed_model.device_ids is None
        with compat.suspend("wrap_models_on_cpus"), pytest.raises(ValueError, match="device_ids"):
            build(config)
    finally:
        torch.distributed.destroy_process_group()


def test_processes__take_other_shares_in_each_epoch(both):
    first, second = (found["trained"]["adam"]["batches"] for found in both)
    assert not same(first[0], second[0])
    assert not same(first[0], first[len(first) // SMALL["epochs"]])


def test_processes__drift_apart_without_a_rearmed_reducer(both):
    assert not same(both[0]["not rearmed"]["after"], both[1]["not rearmed"]["after"])


@pytest.mark.parametrize("name", SCORINGS)
def test_processes__score_as_one(name, both, folder):
    model, data, more = SCORINGS[name]
    alone = score(make_config(model, folder, data, **more))
    assert both[0]["scores"][name] == both[1]["scores"][name]
    if name == "labeled":  # the scores of a batch of other rows differ in their last bit
        alone = [pytest.approx(metrics, rel=1e-6) for metrics in alone]
    assert both[0]["scores"][name] == alone


def test_recboles_processes__score_a_user_twice(both):
    first, second = (found["as in RecBole"] for found in both)
    assert first != second and both[0]["scores"]["sequential"] not in (first, second)
    hits = round(first[1]["hit@10"] * 16), round(second[1]["hit@10"] * 16)  # 32 rows of 31 users
    assert hits == pytest.approx((first[1]["hit@10"] * 16, second[1]["hit@10"] * 16))


def test_processes__weigh_users_once_in_sampled_evaluation(both, folder):
    even = sum(user % 2 == 0 for user in range(1, USERS + 1)) / USERS
    assert both[0]["sampled"] == both[1]["sampled"] == {"hit@1": even, "mrr@1": even}
    assert score_sampled(make_config("BPR", folder, **SAMPLED)) == both[0]["sampled"]


def test_processes__share_the_checkpoint_of_the_first(both, folder, monkeypatch):
    monkeypatch.chdir(folder)
    one, other = (found["whole"] for found in both)
    assert one["file"] == other["file"] and one["test"] == other["test"] and one["valid"] == other["valid"]
    assert same(one["weights"], other["weights"])
    assert same(checkpoint_io.load(one["file"])["state_dict"], one["weights"])
    assert len(list(Path(one["file"]).parent.glob("SAMRec-*.pth"))) == 1
    lonely, other = (found["lonely"] for found in both)
    assert lonely["test"] == other["test"] and same(lonely["weights"], other["weights"])


def test_processes__resume_with_the_same_result(both):
    for found in both:
        assert found["resumed"]["test"] == found["whole"]["test"]
        assert same(found["resumed"]["weights"], found["whole"]["weights"])


# Whole programs -----------------------------------------------------------------------------------------------------


def test_processes__start_our_function(monkeypatch):
    assert b"recbole_samrec" in pickle.dumps(quick_start.run_recboles)
    assert recbole.quick_start.run_recboles is quick_start.run_recboles
    with compat.suspend("patch_started_processes"):
        assert b"recbole_samrec" not in pickle.dumps(quick_start.run_recboles)


@pytest.mark.slow
def test_processes__of_recboles_run_know_our_models(both, folder, monkeypatch):
    monkeypatch.chdir(folder)
    given = {**SMALL, **WHOLE, "data_path": str(folder)}
    result = run(None, None, config_dict=given, nproc=WORLD, port=str(free_port()))
    expected = both[0]["whole"]
    assert (result["best_valid_result"], result["test_result"]) == (expected["valid"], expected["test"])


ARGUMENTS = [f"--{key}={value}" for key, value in SMALL.items() if key not in ("epochs", "state", "show_progress")]


@pytest.mark.slow
def test_run__resumes_with_more_processes(folder, tmp_path, capfd):
    place = tmp_path / "run"
    command = ["run", "--dataset=tiny", f"--data_path={folder}", f"--run_dir={place}"]
    assert main.main([*command, "--epochs=1", *ARGUMENTS]) == 0
    first = json.loads((place / "result.json").read_text())
    assert main.main(["run", f"--resume={place}", "--epochs=2", f"--nproc={WORLD}"]) == 0
    second = json.loads((place / "result.json").read_text())
    assert (first["epochs_run"], second["epochs_run"]) == (1, 2) and second["model"] == "SAMRec"
    checkpoints, ids = {"best.pth", "last.pth", "previous.pth"}, {"tokens.parquet", "rows.npz"}
    names = {*checkpoints, *ids, "config.yaml", "result.json", "ranks.npz", "run.log"}
    assert {path.name for path in place.iterdir()} == names | {"tensorboard"}
    frame = test_ranks.load_ranks(place / "ranks.npz").frame  # of all users, whichever process scored them
    assert len(frame) == second["data"]["users"]
    assert (frame["rank"] <= 5).mean() == pytest.approx(second["test"]["hr@5"])
    state = checkpoint_io.load(place / "last.pth")
    assert state["epoch"] == 1 and len(state["random"]) == WORLD
    output = capfd.readouterr()
    told = [line for line in output.out.splitlines() if line.startswith("epoch 2/2")]
    assert len(set(told)) == len(told) > 0  # the first process speaks for all
    assert "Traceback" not in output.err


FAILING = """
import torch.distributed
from recbole.model.sequential_recommender.sasrec import SASRec

class Failing(SASRec):
    def calculate_loss(self, interaction):
        if torch.distributed.get_rank() == 1:
            raise RuntimeError("the second process has had enough")
        return super().calculate_loss(interaction)
"""


@pytest.mark.slow
def test_processes__end_with_one_line_if_one_fails(folder, tmp_path, capfd):
    (tmp_path / "failing.py").write_text(FAILING)
    settings = ["--n_layers=1", "--n_heads=1", "--hidden_size=16", "--inner_size=16", "--hidden_act=gelu"]
    settings += ["--hidden_dropout_prob=0.1", "--attn_dropout_prob=0.1", "--layer_norm_eps=1e-12"]
    settings += ["--initializer_range=0.02", "--loss_type=CE"]
    named = {setting.split("=")[0] for setting in settings}
    arguments = [argument for argument in ARGUMENTS if argument.split("=")[0] not in named]
    command = ["run", f"--model={tmp_path / 'failing.py'}:Failing", "--dataset=tiny", f"--data_path={folder}"]
    status = main.main([*command, f"--nproc={WORLD}", f"--run_dir={tmp_path / 'run'}", *arguments, *settings])
    lines = [line for line in capfd.readouterr().err.splitlines() if line.strip()]
    assert status != 0
    assert len(lines) == 1 and "RuntimeError: the second process has had enough" in lines[0], lines
