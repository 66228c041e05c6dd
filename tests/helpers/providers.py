"""Files of providers in their true layout, and the command to convert them."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

from recbole_samrec.cli.data import add_arguments, main

COLUMNS = ("--user", "u", "--item", "i", "--time", "t")
"""The options that name the columns of :func:`ratings_csv`."""


def convert(*arguments: object) -> int:
    parser = argparse.ArgumentParser(prog="data")
    add_arguments(parser)
    return main(*parser.parse_known_args([str(argument) for argument in arguments]))


def lines(path: Path) -> list[str]:
    text = path.read_bytes().decode("utf-8")
    assert text.endswith("\n") and "\r" not in text
    return text.split("\n")[:-1]


def zipped(path: Path, members: dict[str, str], encoding: str = "utf-8") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text.encode(encoding))
    return path


def write_ml_1m(folder: Path) -> Path:
    """Write six ratings of ml-1m to an archive with its provider's layout and encoding."""
    members = {
        "ml-1m/README": "about",
        "ml-1m/movies.dat": (
            "1::Toy Story (1995)::Animation|Children's|Comedy\n"
            "73::Misérables, Les (1995)::Drama|Musical\n"
            "570::Slingshot, The (Kådisbellan ) (1993)::Comedy|Drama\n"
            "2019::Fantasia 2000 (1999)::Film-Noir\n"
        ),
        "ml-1m/ratings.dat": "".join(
            f"{user}::{item}::{rating}::{time}\n"
            for user, item, rating, time in [
                (1, 73, 5, 978300760), (1, 1, 3, 978302109), (1, 570, 4, 978301968),
                (2, 1, 4, 978299026), (2, 73, 4, 978299000), (2, 570, 1, 978299913),
            ]
        ),
        "ml-1m/users.dat": "1::F::1::10::48067\n2::M::56::16::98107-2117\n",
    }  # fmt: skip
    return zipped(folder / "ml-1m.zip", members, "latin-1")


def ratings_csv(path: Path, text: str | None = None) -> Path:
    rows = [("007", "x", 10), ("007", "y", 30), ("007", "z", 20), ("8", "x", 5), ("8", "y", 6), ("8", "z", 7)]
    path.write_text(text or "u,i,t\n" + "".join(f"{user},{item},{time}\n" for user, item, time in rows))
    return path
