"""Finished measurements, each in its own file, so that an interrupted benchmark can be resumed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_samrec.utils.malloc import LARGE_PAGES


@dataclass(frozen=True)
class Measurement:
    """One measurement, made in a separate process.

    Args:
        part: Part of the benchmark: ``epochs``, ``variants``, ...
        dataset: Name of the data set.
        entry: Name of the entry in the tables.
        repetition: Number of the repetition, from 1.
        request: The request to the process, made by ``cases.py``.
    """

    part: str
    dataset: str
    entry: str
    repetition: int
    request: dict[str, Any]

    @property
    def name(self) -> str:
        """A name that is fit for a file."""
        return re.sub(r"[^\w.]+", "-", f"{self.part} {self.dataset} {self.entry} {self.repetition}").strip("-")


class Records:
    """The measurements in a folder.

    Args:
        folder: Folder of the files.
        fresh: Whether existing measurements are removed.
    """

    def __init__(self, folder: Path, fresh: bool = False) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if fresh:
            for file in folder.glob("*.json"):
                file.unlink()

    def find(self, measurement: Measurement) -> dict[str, Any] | None:
        """Find the result of a measurement with the same request."""
        file = self.folder / f"{measurement.name}.json"
        if not file.exists():
            return None
        record = json.loads(file.read_text(encoding="utf-8"))
        return record["result"] if record["request"] == measurement.request else None

    def measure(self, measurement: Measurement) -> dict[str, Any]:
        """Measure and store the result; a process that fails gives ``{"failed": reason}``, which is not stored."""
        with tempfile.TemporaryDirectory() as scratch:
            request, answer = Path(scratch, "request.json"), Path(scratch, "result.json")
            request.write_text(json.dumps(measurement.request), encoding="utf-8")
            command = [sys.executable, "-m", "benchmarks.measure", str(request), str(answer)]
            threads = str(measurement.request["threads"])
            environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "TMPDIR": scratch}
            if measurement.request.get("recbole"):
                environment[LARGE_PAGES] = "0"  # RecBole alone does not use them
            run = subprocess.run(command, capture_output=True, text=True, env=environment)
            if run.returncode < 0:  # usually out of memory
                return {"failed": f"the system ended the process (signal {-run.returncode})"}
            if run.returncode:
                return {"failed": run.stderr.strip().splitlines()[-1]}
            result = json.loads(answer.read_text(encoding="utf-8"))
        self.keep(measurement, result)
        return result

    def keep(self, measurement: Measurement, result: dict[str, Any]) -> None:
        """Write a record atomically."""
        file = self.folder / f"{measurement.name}.json"
        half = file.with_suffix(".half")
        half.write_text(json.dumps({"request": measurement.request, "result": result}, indent=1), encoding="utf-8")
        half.replace(file)
