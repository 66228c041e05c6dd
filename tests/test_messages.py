"""The list of all messages."""

import re

from tools.list_messages import SECTIONS, list_messages, make_table, render_messages


def test_list_messages__finds_errors_and_remarks():
    messages = list_messages()
    assert len(messages) > 300 and {one.kind for one in messages} == {"error", "remark"}
    (lock,) = [one for one in messages if one.place.startswith("utils/locks.py") and "in use" in one.text]
    assert lock.text == "{folder}: the folder is in use by another process; wait for it, or stop it"


def test_list_messages__are_single_lines():
    assert [one for one in list_messages() if "\n" in one.text.strip()] == []


def test_make_table__has_a_line_for_each_message():
    assert len(make_table().splitlines()) == 2 + len(list_messages())


def test_render_messages__shows_every_message():
    errors, remarks = render_messages().split(f"## {SECTIONS['remark']}\n")
    for kind, text in (("error", errors), ("remark", remarks)):
        lines = re.findall(r"^\| (.*) \|$", text, re.M)
        wanted = {(one.folder, one.markdown) for one in list_messages() if one.kind == kind}
        shown = [line for line in lines if line not in ("message", "---")]
        assert set(shown) <= {markdown for _, markdown in wanted}
        missing = {markdown for _, markdown in wanted} - set(shown)
        assert not [one for one in missing if re.search("[A-Za-z]{3}", re.sub(r"\*[^*]*\*", "", one))]


def test_message__names_computed_parts_in_italics():
    (lock,) = [one for one in list_messages() if one.place.startswith("utils/locks.py") and "in use" in one.text]
    assert lock.markdown == "*folder*: the folder is in use by another process; wait for it, or stop it"
    assert lock.folder == "utils"
