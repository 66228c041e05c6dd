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


def test_trial_log__is_complete_when_its_budget_is_used(tmp_path):
    log = TrialLog(tmp_path / "file.json")
    log.trials = {"000": TrialRecord({}, "finished", passes=6.0), "001": TrialRecord({}, "running", passes=5.0)}
    assert log.passes == 11
    assert not log.is_complete(9, 10.0) and not log.is_complete(2)  # one still runs
    log.trials["001"].status = "stopped early"
    assert log.is_complete(9, 10.0) and not log.is_complete(9, 12.0) and not log.is_complete(9)
    assert log.is_complete(2) and log.is_complete(2, 12.0)


def test_trial_log__knows_no_passes_of_earlier_versions(tmp_path):
    log = TrialLog(tmp_path / "file.json", trials={"000": TrialRecord({}, "finished", 0.5)})
    assert log.passes == 0 and log.table([])["passes"].isna().all()
