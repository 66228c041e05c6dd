"""The command of a comparison, as its pages show it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PROGRAM = "python -m recbole_samrec compare"
OF_ONE_CALL = ("--tables", "--debug")
OF_ONE_MACHINE = ("--threads", "--parallel", "--gpus", "--address", "--limit_hours")


def format_command(
    models: Sequence[str],
    datasets: Sequence[str],
    *,
    seeds: int | Sequence[int],
    fractions: Sequence[float],
    config_files: Sequence[str | Path],
    entry_files: Sequence[str | Path],
    tuned: str | None,
    out: Path,
    pages: Path,
    mask_history: bool,
    protocols: Sequence[str] = (),
    select_seeds: Sequence[int] = (),
    equal: str | None = None,
    settings: Mapping[str, Any],
) -> str:
    """Format the command that equals a call of :func:`compare_models`, without settings specific to one machine.

    See :func:`recbole_samrec.compare.api.compare_models` for the arguments; ``fractions`` are its ``train_fraction``,
    ``entry_files`` its ``entries``, and ``protocols`` its ``protocol``.
    """
    words = [f"--models={','.join(models)}", f"--datasets={','.join(datasets)}"]
    words.append(f"--seeds={seeds}" if isinstance(seeds, int) else f"--seeds={','.join(map(str, seeds))},")
    if list(fractions) != [1.0]:
        words.append(f"--train_fraction={','.join(f'{share:g}' for share in fractions)}")
    for flag, files in (("config_files", config_files), ("entries", entry_files)):
        words += [f"--{flag}={' '.join(map(str, files))}"] * bool(files)
    words += [f"--protocol={','.join(protocols)}"] * bool(protocols)
    words += ["--select", f"--select_seeds={','.join(map(str, select_seeds))},"] * bool(select_seeds)
    words += [f"--equal={equal}"] * (equal is not None)
    words += [f"--tuned={tuned}"] * (tuned is not None) + [f"--out={out}"]
    words += [f"--pages={pages}"] * (pages != out) + ["--mask_history"] * mask_history
    words += [f"--{key}={value}" for key, value in settings.items()]
    return " ".join([PROGRAM, *map(quote_word, words)])


def quote_word(word: str) -> str:
    """Quote a word for a shell in a readable way, such as "SASRec (RecBole's rows)"."""
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)


def shorten_command(arguments: Sequence[str]) -> str:
    """Format the command that was typed, without arguments specific to one machine or one call."""
    words, kept = iter(word for word in arguments if word not in OF_ONE_CALL), []
    for word in words:
        if word in OF_ONE_MACHINE:
            next(words, None)  # its value
        elif not word.startswith(tuple(f"{flag}=" for flag in OF_ONE_MACHINE)):
            kept.append(quote_word(word))
    return " ".join([PROGRAM, *kept])
