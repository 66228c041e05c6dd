"""Lines are printed literally, whatever they contain."""

import io

from rich.console import Console

from recbole_samrec.utils.console import print_line, print_note


def test_print_line__keeps_markup_and_long_lines():
    stream = io.StringIO()
    text = "[bold]path[/bold] " + "word " * 40 + "1"
    print_line(Console(file=stream, width=40), text)
    assert stream.getvalue() == f"{text}\n"


def test_print_note__names_a_note():
    stream = io.StringIO()
    print_note(Console(file=stream, width=40), "lr is unknown")
    assert stream.getvalue() == "note: lr is unknown\n"
