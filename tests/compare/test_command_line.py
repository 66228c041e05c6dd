"""The command of a comparison."""

from pathlib import Path

from recbole_samrec.compare.command_line import format_command, quote_word, shorten_command


def test_format_command_equals_the_call():
    chosen = {"seeds": 3, "fractions": [1.0], "config_files": [], "entry_files": [], "tuned": None, "settings": {}}
    chosen |= {"out": Path("out"), "pages": Path("out"), "mask_history": False}
    plain = format_command(["SAMRec", "SASRec"], ["ml-100k"], **chosen)
    assert plain == "python -m recbole_samrec compare --models=SAMRec,SASRec --datasets=ml-100k --seeds=3 --out=out"
    chosen |= {"seeds": [7], "fractions": [0.5, 1.0], "entry_files": ["a.yaml"], "settings": {"topk": [5, 10]}}
    more = format_command(["SAMRec"], ["ml-100k"], **chosen | {"pages": Path("p"), "mask_history": True})
    assert more == (
        "python -m recbole_samrec compare --models=SAMRec --datasets=ml-100k --seeds=7, --train_fraction=0.5,1 "
        "--entries=a.yaml --out=out --pages=p --mask_history '--topk=[5, 10]'"
    )
    chosen |= {"select_seeds": [7, 8], "equal": "passes"}
    words = format_command(["SAMRec"], ["ml-100k"], **chosen | {"entry_files": [], "fractions": [1.0], "settings": {}})
    assert words.endswith("--select --select_seeds=7,8, --equal=passes --out=out")


def test_quote_word():
    assert quote_word("SASRec (RecBole's rows)") == '"SASRec (RecBole\'s rows)"'
    assert quote_word("a b") == "'a b'" and quote_word("a'$b") == "'a'\"'\"'$b'"


def test_shorten_command_drops_what_belongs_to_one_call():
    words = ["--models", "A,B", "--threads", "2", "--gpus=0.5", "--tables", "--out=x y", "--limit_hours", "1"]
    assert shorten_command(words) == "python -m recbole_samrec compare --models A,B '--out=x y'"
