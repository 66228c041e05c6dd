"""``python -m recbole_samrec`` is the command line."""

from recbole_samrec.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
