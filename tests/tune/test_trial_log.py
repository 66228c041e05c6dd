"""The log of a search."""

from recbole_samrec.tune.trial_log import TrialLog, TrialRecord


def test_trial_log_best_needs_all_seeds(tmp_path):
    def journal(several):
        trials = {
            "000": TrialRecord({}, "finished", 0.5, ended=3.0),
            "001": TrialRecord({}, "failed", 0.9, ended=1.0),
            "002": TrialRecord({}, "stopped early", 0.8, ended=2.0),
            "003": TrialRecord({}, "running", 0.95),
        }
        return TrialLog(tmp_path / "file.json", several=several, trials=trials)

    assert journal(several=False).best == "002" and journal(several=True).best == "000"
