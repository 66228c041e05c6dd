"""The check of a built site finds broken links and files that are loaded from elsewhere."""

import pytest

from tools.check_site import check_site, main


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    (folder / "sub").mkdir(parents=True)
    (folder / "index.html").write_text('<h1 id="top-1">A</h1><a href="sub/page.html#part">B</a><a href="#top-1">C</a>')
    (folder / "sub" / "page.html").write_text(
        '<p id="part">D</p><a href="..">up</a><a href="https://elsewhere.example">E</a><img src="data:,x">'
        '<link rel="next" href="../index.html">'
    )
    return folder


def test_check_site__accepts_what_leads_somewhere(site):
    assert check_site(site) == [] and main([str(site)]) == 0


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ('<a href="gone.html">x</a>', "gone.html leads to no file"),
        ('<a href="sub/page.html#gone">x</a>', "sub/page.html#gone leads to no anchor"),
        ('<a class="y" href="#gone">x</a>', "#gone leads to no anchor"),
        ('<img src="picture.png">', "picture.png leads to no file"),
        ('<script src="https://cdn.example/x.js"></script>', "loads https://cdn.example/x.js"),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', "loads //cdn.example/x.css"),
    ],
)
def test_check_site__names_what_is_wrong(code, problem, site, capsys):
    (site / "wrong.html").write_text(code)
    assert check_site(site) == [f"wrong.html: {problem}"]
    assert main([str(site)]) == 1 and problem in capsys.readouterr().out


def test_check_site__reads_style_sheets(site):
    (site / "style.css").write_text("@font-face { src: url('https://fonts.example/x.woff') }")
    assert check_site(site) == ["style.css: loads something from elsewhere"]


def test_main__fails_without_a_page(tmp_path):
    assert main([str(tmp_path)]) == 1
