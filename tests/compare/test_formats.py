from recbole_samrec.compare.formats import escape_latex, escape_markdown, write_latex, write_markdown
from recbole_samrec.compare.layout import Cell, Grid, Page

GRID = Grid("Accuracy", "accuracy", ["A caption."], ["entry", "MRR"], [[Cell("A_b"), Cell("0.5 ± 0.1", 1, "†")]])


def test_markdown_shows_places_and_marks():
    page = write_markdown(Page("tiny", [("users", "4")], ["A remark."], [GRID], origins="- origin: Why.\n"))
    assert page == (
        "# tiny\n\n| setting | value |\n| --- | --- |\n| users | 4 |\n\nA remark.\n\n## Accuracy\n\n"
        "| entry | MRR |\n| --- | ---: |\n| A\\_b | **0.5** ± 0.1† |\n\nA caption.\n\n"
        "## Origins of settings\n\n```yaml\n- origin: Why.\n```\n"
    )


def test_latex_shows_places_and_marks():
    text = write_latex(Page("tiny", [("users", "4")], ["A remark."], [GRID]))
    assert r"A\_b & \textbf{0.5}\,{\tiny$\pm$\,0.1}$^{\dagger}$ \\" in text
    assert r"\caption{tiny. A remark. A caption.}" in text and r"\label{tab:tiny-accuracy}" in text


def test_escape_leaves_no_markup():
    assert escape_markdown("a|b *c* <d> `e` [f] g_h\nnext") == r"a\|b \*c\* &lt;d&gt; \`e\` \[f\] g\_h next"
    assert escape_latex(r"50 % of_{x} ~ ^ \ < #1 & $") == (
        r"50 \% of\_\{x\} \textasciitilde{} \textasciicircum{} \textbackslash{} $<$ \#1 \& \$"
    )
