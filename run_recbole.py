"""Trains and evaluates one model: python run_recbole.py --model=SAMRec --dataset=ml-100k [--key=value ...]."""

import sys

from recbole_samrec.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main(["run", *sys.argv[1:]]))
