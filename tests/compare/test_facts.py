import pytest

from recbole_samrec.compare.facts import PageSetting, list_validated, list_work, name_bars, name_page
from recbole_samrec.evaluator.user_metrics import AT_ONCE, ONE_BY_ONE
from tests.helpers.compared import make_clustered, make_run


def test_setting_lists_data_and_protocol():
    facts = dict(PageSetting.describe([make_run(), make_run("Pop"), make_run("Pop", seed=2)], masked=True).facts)
    assert (facts["users"], facts["items"], facts["interactions"], facts["test events"]) == ("4", "50", "1,000", "4")
    assert (facts["history"], facts["seeds"]) == ("masked", "1 to 2")
    assert facts["split"].startswith("leave-one-out") and "users trained on" not in facts


def test_setting_names_another_split_and_share():
    split = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO"}
    facts = dict(PageSetting.describe([make_run(fraction=0.2, config={"eval_args": split})]).facts)
    assert facts["split"] == "{'RS': [0.8, 0.1, 0.1]}, order RO" and facts["users trained on"] == "20 %"


@pytest.mark.parametrize(("prediction", "words"), [(ONE_BY_ONE, "over a user's events"), (AT_ONCE, "as a set")])
def test_setting_counts_users_with_several_events(prediction, words):
    facts = dict(PageSetting.describe([make_clustered("SAMRec", prediction)]).facts)
    assert (facts["test events"], facts["users tested"]) == ("6", "3") and words in facts["events of a user"]
    assert "users tested" not in dict(PageSetting.describe([make_run()]).facts)


def test_list_validated__by_form_of_the_history():
    """A run of an earlier version has no such setting, and did not mask."""
    masking = [make_run("A", seed, config={"mask_history": True}) for seed in (1, 2)]
    unmasked = [make_run("B", config={"mask_history": False}), make_run("C")]
    assert list_validated([*masking, *unmasked]) == {True: ["A"], False: ["B", "C"]}
    assert list_validated(masking) == PageSetting.describe(masking).validated == {True: ["A"]}
    assert list_validated([]) == {}


def test_name_page():
    setting = PageSetting.describe([make_run()], masked=True, tuned=True)
    assert name_page(setting, "-groups") == "tiny_set, tuned, history masked by group"


def test_name_bars_depends_on_the_seeds():
    two, one = [make_run(seed=1), make_run(seed=2)], [make_run("Pop")]
    assert name_bars(PageSetting.describe(one)) == "one seed"
    assert name_bars(PageSetting.describe(two)) == "mean ± standard deviation over seeds"
    assert name_bars(PageSetting.describe(two + one)).endswith("; no bar: one seed, or all alike")


def test_list_work_counts_each_pre_training_once():
    def s3rec(seed, total, weights, reused=False):
        before = {"seconds": 3600.0, "reused": reused, "sha256": weights}
        return make_run("S3Rec", seed, seconds_total=total, pretraining=before)

    def hours(runs):
        return dict(list_work(runs))["hours, one after the other"]

    whole = s3rec(1, 7200.0, "a")
    assert hours([whole]) == "2.0"
    for others, expected in (
        ([s3rec(2, 3600.0, "a", reused=True)], "3.0"),  # took the first one's
        ([s3rec(2, 1800.0, "b")], "3.5"),  # its own, of an earlier attempt
        ([s3rec(2, 3600.0, "b", reused=True)], "4.0"),  # those of a run that is not in the table
        ([s3rec(2, 3600.0, "b", reused=True), s3rec(3, 3600.0, "b", reused=True)], "5.0"),
    ):
        assert hours([whole, *others]) == expected
