"""The list of all messages."""

from tools.list_messages import list_messages, make_table


def test_list_messages__finds_errors_and_remarks():
    messages = list_messages()
    assert len(messages) > 300 and {one.kind for one in messages} == {"error", "remark"}
    (lock,) = [one for one in messages if one.place.startswith("utils/locks.py") and "at work" in one.text]
    assert lock.text == "{folder}: another process is at work there; wait for it, or stop it"


def test_list_messages__are_single_lines():
    assert [one for one in list_messages() if "\n" in one.text.strip()] == []


def test_make_table__has_a_line_for_each_message():
    assert len(make_table().splitlines()) == 2 + len(list_messages())
