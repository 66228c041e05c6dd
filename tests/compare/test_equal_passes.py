"""Searches continue until they have used a budget; the expected numbers are counted by hand."""

import re
from dataclasses import replace

import pytest
import yaml

from recbole_samrec.compare.choices import Candidate, Choice, check_choices
from recbole_samrec.compare.control_groups import check_controls, find_groups
from recbole_samrec.compare.declarations import read_declarations
from recbole_samrec.compare.equal_passes import Continuation, add_equal_entries, count_needed
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.experiments.candidates import FurtherCandidates, read_further
from recbole_samrec.experiments.entries import Entry, read_entries
from recbole_samrec.utils.errors import ConfigError
from tests.helpers.paths import ROOT


def test_count_needed__takes_the_fewest():
    """10 passes are spent; each trial takes 4, and the runs that follow take 6 or 8."""
    for budget, number in [(0, 1), (20, 1), (20.5, 2), (26, 2), (28, 3), (30, 3), (31, None)]:
        assert count_needed(10, [4, 4, 4], [6, 8, 8], budget) == number, budget
    assert count_needed(10, [], [], 5) is None


def further(values):
    """The doubled candidate, and a number of further ones."""
    more = read_further({"lr": list(range(3, 3 + values))}, "here")
    return FurtherCandidates({"lr": (1, 2)}, more, first={"lr": 1, "epochs": 4})


def continuation(budget, **more):
    """A search of two candidates with two seeds, of which two final runs with the best candidate's passes follow."""
    tried = [Candidate({"lr": 1}, (0.5, 0.6), 10.0), Candidate({"lr": 2}, (0.4, 0.5), 8.0)]
    entry = Entry("A (equal passes)", "SAMRec", tuned_as="A")
    plain = Choice("A", (1, 2), "ndcg@10", False, (), None).extend(entry, tried)
    order = further(values=3)
    given = {"sam": "SAM", "budget": budget, "searched": 18.0, "runs": 2, **more}
    return Continuation(entry, "tiny", plain, order, **given)


ADDED = [
    Candidate({"lr": 1, "epochs": 4}, (0.55, 0.6), 20.0),
    Candidate({"lr": 3}, (0.7, 0.7), 6.0),
    Candidate({"lr": 4}, (0.9, float("nan")), 4.0),
    Candidate({"lr": 5}, (0.6, 0.6), 10.0),
]


def test_continuation__adds_the_doubled_one_first():
    search = continuation(budget=10.0)
    assert search.next_number == 1
    search.added = ADDED[:1]
    assert search.next_number == 1  # the budget is taken: 18 + 20 + 2 runs of 10
    choice, budget = search.close()
    assert choice.entry == "A (equal passes)" and choice.chosen == ADDED[0] and len(choice.candidates) == 3
    assert (budget.runs, budget.added, budget.ran_out) == (20.0, 1, False)


def test_continuation__stops_within_a_trial_of_its_budget():
    search = continuation(budget=65.0)
    search.added = ADDED[:1]
    assert search.next_number == 2  # 58 are taken, and a trial took up to 20
    search.added = ADDED[:2]
    assert search.needed is None and search.next_number == 3  # 18 + 26 + 2 runs of 3, as the new best one is cheaper
    search.added = ADDED
    assert search.needed is None and search.next_number == 4  # there are no others
    choice, budget = search.close()
    assert choice.chosen == ADDED[1] and budget.ran_out and budget.added == 4  # a run of the third failed
    assert (budget.searched, budget.runs, budget.passes, budget.sam) == (18.0, 6.0, 65.0, "SAM")


def test_continuation__may_exceed_its_budget_by_dearer_runs():
    """The last candidate, which becomes the best one, takes 12, and ten runs of it 30 more than of the one before."""
    first, last = Candidate({"lr": 3}, (0.1, 0.1), 2.0), Candidate({"lr": 5}, (0.9, 0.9), 12.0)
    search = continuation(budget=71.0, runs=10, added=[first, ADDED[1], last])
    choice, budget = search.close()
    total = budget.searched + 2 + 6 + 12 + budget.runs
    assert choice.chosen == last and budget.runs == 10 * 6
    assert 12 < total - budget.passes < 12 + 30


def test_continuation__expects_runs_to_be_trained_again():
    for retrains, runs in ((False, 20.0), (True, 32.0)):  # two runs, of which the selection has two
        again = replace(ADDED[0], retraining=12.0)
        search = continuation(budget=10.0, added=[again], retrains=retrains)
        assert search.close()[1].runs == runs


def test_continuation__chooses_within_the_budget_only():
    """A round may train more than the budget allows; the surplus candidates do not count."""
    search = continuation(budget=50.0, added=ADDED)
    assert search.needed == 1  # 18 + 20 + 20 are more than 50
    choice, budget = search.close()
    assert choice.chosen == ADDED[0] and budget.added == 1 and not budget.ran_out


def test_continuation__asks_for_several_at_once():
    search = continuation(budget=158.0)
    search.order = further(values=19)
    search.added = ADDED[:1]
    assert search.next_number == 1 + 5  # 100 passes are left, and a trial took 20 at most
    search.waiting = "a run was not trained"
    assert search.next_number == 1


def test_continuation__ends_after_failures_in_a_row():
    """With a range there is always another candidate, and failed ones never become the best."""
    failed = [Candidate({"lr": 9}, (float("nan"),) * 2, 2.0, failures=("seed 1: the loss is nan",))] * 9
    search = continuation(budget=900.0, added=[ADDED[0], *failed])
    search.order = further(values=19)
    assert search.failure == "" and search.next_number == 10 + 10
    search.added.append(failed[0])
    words = "10 added candidates in a row failed, the last one with seed 1: the loss is nan; give choose_more values"
    assert search.failure.startswith(words)
    search.added = [ADDED[0], *failed, ADDED[1], failed[0]]
    assert search.failure == ""
    enough = continuation(budget=50.0, added=[ADDED[0], *failed, failed[0]])  # the first one takes it
    assert enough.failure == ""


def read(folder, names, table):
    file = folder / "entries.yaml"
    file.write_text(yaml.safe_dump({"entries": table}))
    return read_entries(names, [file])


def test_add_equal_entries__follow_their_plain_entry(tmp_path):
    table = {"SASRec": {"model": "SAMRec", "fixed": {"sam_rho": 0}, "choose": {"learning_rate": [1, 2]}}}
    entries = add_equal_entries(read(tmp_path, ["GRU4Rec", "SASRec", "SAMRec"], table), {})
    assert [entry.name for entry in entries] == ["GRU4Rec", "SASRec", "SASRec (equal passes)", "SAMRec"]
    equal = entries[2]
    assert equal.continues == equal.tuned_as == equal.variant_of == "SASRec" and not equal.choose
    assert equal.fixed == entries[1].fixed and equal.model == "SAMRec"


def test_add_equal_entries__refuses_what_has_no_pair(tmp_path):
    words = "--equal=passes: no entry with SAM is compared with its plain entry; name both, such as SAMRec and SASRec"
    for names in (["SAMRec", "GRU4Rec"], ["SASRec", "GRU4Rec"]):
        with pytest.raises(ConfigError, match=f"^{re.escape(words)}$"):
            add_equal_entries(read(tmp_path, names, {}), {})
    more = {"choose": {"learning_rate": [1]}, "choose_more": {"learning_rate": [2]}}
    table = {"GRU4Rec": {"model": "GRU4Rec", **more}}
    with pytest.raises(ConfigError, match=r"^choose_more of GRU4Rec: only the search of a plain entry"):
        add_equal_entries(read(tmp_path, ["SAMRec", "SASRec", "GRU4Rec"], table), {})
    table = {"SASRec": {"model": "SAMRec", "fixed": {"sam_rho": 0}, "tuned_as": "GRU4Rec"}}
    with pytest.raises(ConfigError, match=r"^--equal=passes: SASRec is tuned as GRU4Rec; remove tuned_as$"):
        add_equal_entries(read(tmp_path, ["SAMRec", "SASRec", "GRU4Rec"], table), {})


def test_add_equal_entries__reads_the_example():
    """The example has SAM at SASRec's settings and tuned again, with controls of as many candidates."""
    file = ROOT / "benchmarks" / "entries" / "controls.yaml"
    entries = read_entries(list(read_yaml(file)["entries"]), [file])
    check_choices(entries, {}, select=True)
    check_controls(entries, {})
    extended = add_equal_entries(entries, {})
    declared = read_declarations([file], extended)
    groups = find_groups(extended, {})
    assert [(group.sam.name, group.sam.tuned_as, group.sam.candidates) for group in groups] == [
        ("SAMRec", "SASRec", 5), ("SAMRec tuned again", "", 15)
    ]  # fmt: skip
    for group in groups:
        opponents = {one.name for own in group.opponents.values() for one in own}
        assert len(opponents) == 4 and {(group.sam.name, name) for name in opponents} <= set(declared.primary)
