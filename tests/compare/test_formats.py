from io import StringIO

from rich.console import Console

from recbole_samrec.compare.formats import (
    align_columns,
    escape_latex,
    escape_markdown,
    print_page,
    write_latex,
    write_markdown,
)
from recbole_samrec.compare.layout import MINUS, NOTHING, Cell, Grid, Page

GRID = Grid("Accuracy", "accuracy", ["A caption."], ["entry", "MRR"], [[Cell("A_b"), Cell("0.5 ± 0.1", 1, "†")]])


def test_markdown_shows_places_and_marks():
    page = write_markdown(Page("tiny", [("users", "4")], ["A remark."], [GRID], origins="- origin: Why.\n"))
    assert page == (
        "# tiny\n\n| setting | value |\n| --- | --- |\n| users | 4 |\n\nA remark.\n\n## Accuracy\n\n"
        "| entry | MRR |\n| --- | ---: |\n| A\\_b | **0.5** ± 0.1† |\n\nA caption.\n\n"
        "## Origins of settings\n\n```yaml\n- origin: Why.\n```\n"
    )


def test_align_columns__tells_numbers_from_text():
    numbers = ["1,234", "0.5 ± 0.1†", f"+0.0037 to {MINUS}0.0082", "<0.0001", "2020, 2021", "12 %", NOTHING]
    texts = ["NDCG@10", "up to 3", "0.5 of it"]
    header, second = ["entry", *numbers, *texts], [NOTHING] * (len(numbers) + len(texts))
    body = [[Cell(text) for text in line] for line in (["A", *numbers, *texts], ["B", *second])]
    grid = Grid("T", "t", [], header, body)
    assert align_columns(grid) == list("lrrrrrrrlll")
    assert align_columns(Grid("T", "t", [], ["entry", "a"], [])) == ["l", "r"]


def test_latex_shows_places_and_marks():
    text = write_latex(Page("tiny", [("users", "4")], ["A remark."], [GRID]))
    assert r"A\_b & \textbf{0.5}\,{\tiny$\pm$\,0.1}$^{\dagger}$ \\" in text
    assert r"\caption{tiny. A remark. A caption.}" in text and r"\label{tab:tiny-accuracy}" in text


def test_escape_leaves_no_markup():
    assert escape_markdown("a|b *c* <d> `e` [f] g_h\nnext") == r"a\|b \*c\* &lt;d&gt; \`e\` \[f\] g\_h next"
    assert escape_latex(r"50 % of_{x} ~ ^ \ < #1 & $") == (
        r"50 \% of\_\{x\} \textasciitilde{} \textasciicircum{} \textbackslash{} $<$ \#1 \& \$"
    )


def test_print_page__repeats_no_note():
    console, printed = Console(file=StringIO()), set()
    for title, notes in (("tiny", ["A: one", "B: two"]), ("tiny, masked", ["B: two", "C: three"])):
        print_page(console, Page(title, grids=[GRID], notes=notes), printed)
    text = console.file.getvalue()
    assert [text.count(word) for word in ("one", "two", "three", "A_b")] == [1, 1, 1, 2]
