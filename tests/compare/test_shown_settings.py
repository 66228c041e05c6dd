"""Settings on the pages of a comparison."""

from pathlib import Path

import yaml

from recbole_samrec.compare.shown_settings import format_settings, select_settings
from recbole_samrec.experiments.entries import read_entries
from recbole_samrec.experiments.jobs import plan_jobs


def test_format_settings():
    jobs = plan_jobs(
        read_entries(["SAMRec", "SASRec", "CL4SRec", "Pop"]), {"ml-100k": "hash"}, [1, 2], [1.0], Path("out")
    )
    said = yaml.safe_load(format_settings(select_settings(jobs)))
    assert said["SAMRec"]["sam_rho"] == 0.3 and said["SASRec"]["sam_rho"] == said["Pop"]["sam_rho"] == 0
    assert said["CL4SRec"]["cl_weight"] == 0.1
    shared = said["all entries that read them"]
    assert shared["hidden_size"] == 64 and shared["repeatable"] is True and "seed" not in shared


def test_format_settings__of_one_entry_has_nothing_shared():
    jobs = plan_jobs(read_entries(["SASRec"]), {"ml-100k": "hash"}, [1], [1.0], Path("out"))
    assert list(yaml.safe_load(format_settings(select_settings(jobs)))) == ["SASRec"]
