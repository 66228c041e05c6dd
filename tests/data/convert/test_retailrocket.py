"""RetailRocket's published views give exactly the expected sessions."""

import pandas as pd
import pytest

from recbole_samrec.data.convert.retailrocket import number_sessions
from recbole_samrec.utils.errors import DataError
from tests.helpers.providers import convert, lines, zipped

HEADER = "timestamp,visitorid,event,itemid,transactionid\n"
MINUTE = 60_000
BEGIN = 1_433_221_332_117


def make_events(rows):
    """A file in the published format: unordered in time, with an empty cell where nothing was bought."""
    return HEADER + "".join(
        f"{BEGIN + time * MINUTE},{who},{event},{item},{deal}\n" for time, who, event, item, deal in rows
    )


EVENTS = make_events(
    [
        (61, 7, "view", 30, ""),
        (0, 7, "view", 10, ""),
        (30, 7, "view", 20, ""),  # 30 minutes later is still the session
        (31, 7, "addtocart", 20, ""),  # no view, so that the pause goes on
        (62, 7, "view", 10, ""),
        (5, 8, "view", 10, ""),
        (6, 8, "view", 20, ""),
        (7, 8, "transaction", 20, 4000),
        (8, 8, "view", 30, ""),
    ]
)


def test_convert_retailrocket__cuts_visits_at_pauses(tmp_path, capsys):
    plain = tmp_path / "events.csv"
    plain.write_text(EVENTS)
    others = {
        "item_properties_part1.csv": "timestamp,itemid,property,value\n",
        "category_tree.csv": "categoryid,parentid\n",
    }
    archive = zipped(tmp_path / "archive.zip", {"events.csv": EVENTS, **others})
    for number, source in enumerate((plain, archive)):
        assert convert(f"rr{number}", source) == 0
        at = [f"{(BEGIN + minutes * MINUTE) / 1000}" for minutes in range(70)]
        assert lines(tmp_path / f"dataset/rr{number}/rr{number}.inter") == [
            "user_id:token\titem_id:token\ttimestamp:float\tevent_time:float",
            f"7_1\t10\t{at[0]}\t{at[0]}",
            f"7_1\t20\t{at[0]}\t{at[30]}",
            f"8_1\t10\t{at[5]}\t{at[5]}",
            f"8_1\t20\t{at[5]}\t{at[6]}",
            f"8_1\t30\t{at[5]}\t{at[8]}",
            f"7_2\t30\t{at[61]}\t{at[61]}",
            f"7_2\t10\t{at[61]}\t{at[62]}",
        ]
    out = capsys.readouterr().out
    assert "views were kept, other events skipped: 1 addtocart, 1 transaction" in out
    assert "a session ends when its visitor has no view for more than 30 minutes" in out


def test_number_sessions__counts_each_visitor():
    pause = 30 * MINUTE
    times = [0, pause, 2 * pause + 1, 0, 2 * pause + 2, 5 * pause]
    events = pd.DataFrame({"visitorid": ["a", "a", "a", "b", "a", "b"], "time": times})
    shuffled = events.iloc[[4, 0, 5, 2, 3, 1]].reset_index(drop=True)
    assert number_sessions(events).tolist() == [1, 1, 2, 1, 2, 2]
    assert number_sessions(shuffled).tolist() == [2, 1, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER + "yesterday,7,view,10,\n", "is not events.csv of RetailRocket"),
        (EVENTS + "1433221332117,,view,1,\n", "line 11: visitorid is missing"),
        (make_events([(0, 7, "addtocart", 1, "")]), "has no event 'view'"),
    ],
)
def test_convert_retailrocket__names_what_is_wrong(tmp_path, text, words):
    (tmp_path / "events.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        convert("rr", tmp_path / "events.csv")


def test_convert_retailrocket__refuses_other_tables(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"is not events\.csv of RetailRocket"):
        convert("rr", tmp_path / "other.csv", "--format", "retailrocket")
