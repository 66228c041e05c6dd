"""Runs commands in forked children, each of which kills itself at a given moment; for test_kill.py.

Importing takes seconds and forking takes none, so this process imports once. It reads a job a line from its input and
answers with the child's wait status. A child appends to its report which epochs it began.
"""

import json
import os
import signal
import sys

import torch
import torch._dynamo  # what torch and RecBole import late, in every child
import torch.utils.tensorboard

from recbole_samrec.cli.main import main
from recbole_samrec.trainer.trainer import SAMTrainer
from recbole_samrec.utils import checkpoint_io


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def report(file, line):
    with open(file, "a", encoding="utf-8") as stream:
        stream.write(f"{line}\n")


def tell_epochs(file):
    """Make the child report when it begins an epoch, at which time the previous epoch must be saved."""
    begin = SAMTrainer._begin_epoch

    def begin_and_tell(self, train_data, epoch_idx):
        if epoch_idx != self._epoch:
            begin(self, train_data, epoch_idx)
            report(file, f"began {epoch_idx}")

    SAMTrainer._begin_epoch = begin_and_tell


class Clock:
    """Counts Python events from the beginning of training, and ends the process at a given count."""

    def __init__(self, last=None):
        self.count, self.last = 0, last
        start = SAMTrainer._start

        def start_and_count(trainer, *arguments):
            sys.setprofile(self.tick)
            start(trainer, *arguments)

        SAMTrainer._start = start_and_count

    def tick(self, *event):
        self.count += 1
        if self.count == self.last:
            die()


def die_before_call(number):
    """Die just before the n-th call that syncs, renames or links a file."""
    calls = []

    def wrap(call):
        def counted(*arguments):
            calls.append(call)
            if len(calls) == number:
                die()
            return call(*arguments)

        return counted

    for name in ("fsync", "link", "replace"):
        setattr(os, name, wrap(getattr(os, name)))


def die_in_bytes(number, share):
    """Die during the n-th checkpoint, when a share of its bytes is written."""
    saves, save = [], torch.save

    class Half:
        def __init__(self, file, size):
            self.file, self.left = file, int(share * size)

        def write(self, content):
            content = bytes(content)
            self.file.write(content[: self.left])
            self.left -= len(content)
            if self.left < 0:
                self.file.flush()
                die()
            return len(content)

        def flush(self):
            self.file.flush()

    def save_half(state, file):
        saves.append(file)
        if len(saves) == number:
            size = sum(value.nbytes for value in tensors(state))
            file = Half(file, size)
        save(state, file)

    checkpoint_io.torch.save = save_half


def tensors(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from tensors(entry)


def carry_out(job):
    """Run a child; never returns."""
    silent = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    os.chdir(job["folder"])
    tell_epochs(job["report"])
    kind, *moment = job["moment"]
    clock = Clock(*moment) if kind == "clock" else None
    if kind == "call":
        die_before_call(*moment)
    elif kind == "bytes":
        die_in_bytes(*moment)
    status = main(job["arguments"])
    sys.setprofile(None)
    if clock:
        report(job["report"], f"ticks {clock.count}")
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            carry_out(json.loads(line))
        print(os.waitpid(child, 0)[1], flush=True)
