"""One run on two processes: ``python -m benchmarks.gpu_processes REQUEST.json RESULT.json``."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Train a model with SAM on two processes, with nccl on GPUs or gloo on the CPU, and on one.

    Returns:
        The validation metric of both, or the reason why it was not run, or what is wrong.
    """
    try:
        import recbole_samrec  # noqa: F401  patches RecBole
        from recbole_samrec.quick_start.processes import Processes, train_in_processes
    except ModuleNotFoundError as error:
        return {"skipped": f"{error.name} is not installed"}
    from tests.helpers.device_checks import MODELS, Device, train, write_data
    from tests.helpers.tiny import SMALL

    with tempfile.TemporaryDirectory() as scratch:
        data, cuda = write_data(scratch), request["device"] == "cuda"
        settings = {**MODELS["SAMRec packed"], "epochs": 2, "use_gpu": cuda}
        alone = train(data, Path(scratch, "one"), Device(request["device"]), settings)
        run = Path(scratch, "two")
        run.mkdir()
        places = {"dataset": "tiny", "data_path": data, "run_dir": str(run), "checkpoint_dir": str(run)}
        everything = {**SMALL, "topk": [5], "valid_metric": "NDCG@5", **places, **settings, "gpu_id": "0,1"}
        shared = train_in_processes(everything, None, "", (), Processes(nproc=2), None, quiet=True)
    scores = {"one": alone["valid"]["ndcg@5"], "two": shared["valid"]["ndcg@5"]}
    if not all(map(math.isfinite, scores.values())) or shared["epochs_run"] != 2:
        return {"failed": f"a run on two processes ended with {scores}"}
    return {"ndcg@5": scores}


if __name__ == "__main__":
    asked, answer = map(Path, sys.argv[1:])
    answer.write_text(json.dumps(main(json.loads(asked.read_text(encoding="utf-8")))), encoding="utf-8")
