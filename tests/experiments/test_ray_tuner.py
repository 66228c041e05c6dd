"""Ray Tune as compare and tune call it."""

import signal

from recbole_samrec.experiments import ray_tuner
from recbole_samrec.experiments.trial_watcher import TrialWatcher


class LeavesHandlers:
    """A tuner that leaves its own signal handlers behind, like Ray Tune's."""

    def fit(self):
        for number in (signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, lambda *event: None)


def test_fit__leaves_ctrl_c_as_it_was():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)]
    ray_tuner.fit(LeavesHandlers(), TrialWatcher())
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)] == before
