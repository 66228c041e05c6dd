"""The command line of simulations of intervals."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import pandas as pd

from benchmarks.report import format_markdown


def run_simulation(
    name: str, about: str, measure: Callable[[int], pd.DataFrame], default: int, arguments: Sequence[str] | None
) -> int:
    """Run a simulation as often as the command line requests, and print its table.

    Args:
        name: Name of the module.
        about: Text of the module, whose first line is the help.
        measure: Function that makes the table from a number of simulations.
        default: Number of simulations if the command line names none.
        arguments: Words of the command line; None for those of this process.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about.partition("\n")[0])
    parser.add_argument("--simulations", metavar="N", type=int, default=default, help="pairs of simulated entries")
    simulations = parser.parse_args(arguments).simulations
    print(format_markdown(measure(simulations).map(lambda value: f"{value:g}")))
    return 0
