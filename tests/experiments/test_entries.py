"""Entries: the meaning of their names, and their settings."""

import json
import re

import pytest
import yaml

from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.experiments.entries import Entry, dataset_settings, read_entries
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.paths import PROPERTIES
from tests.helpers.jobs import settings_of

FAMILY = (
    "n_layers n_heads hidden_size inner_size hidden_dropout_prob attn_dropout_prob learning_rate train_batch_size"
).split()


def test_samrec_differs_from_sasrec_in_sam_alone():
    rows = settings_of(["SAMRec", "SASRec"])
    different = {key for key in rows["SAMRec"] if rows["SAMRec"][key] != rows["SASRec"].get(key)}
    assert different == {"sam_rho"}
    assert rows["SASRec"]["sam_rho"] == 0 < rows["SAMRec"]["sam_rho"]


def test_a_family_shares_body_dropout_rate_and_batch():
    names = ["SAMRec", "SASRec", "S3Rec", "S3Rec (RecBole)", "CL4SRec", "DuoRec", "gSASRec", "BSARec", "BERT4Rec"]
    rows = settings_of([*names, "SASRec (RecBole's rows)", "LightSANs"])
    for key in FAMILY:
        assert {row[key] for row in rows.values()} == {rows["SAMRec"][key]}, key


def test_baselines_are_entries_that_score_whole_histories():
    names = [
        "ItemKNN",
        "EASE",
        "ItemKNN (RecBole)",
        "EASE (RecBole)",
        "RecentPop with decay",
        "S3Rec+SAM in both stages",
    ]
    entries = {entry.name: entry for entry in read_entries([*names, "RecentPop", "SASRecOriginal", "eSASRec"])}
    assert [entries[name].model for name in names[:4]] == ["HistoryItemKNN", "HistoryEASE", "ItemKNN", "EASE"]
    assert [entries[name].variant_of for name in names] == ["", "", "ItemKNN", "EASE", "RecentPop", "S3Rec"]
    rows = settings_of([*names, "SASRecOriginal", "eSASRec", "SAMRec"])
    assert rows["RecentPop with decay"]["recency"] == "decay" and rows["EASE"]["reg_weight"] == 250
    assert (rows["S3Rec+SAM in both stages"]["sam_stage"], rows["S3Rec+SAM in both stages"]["sam_rho"]) == ("both", 0.3)
    for name, own in (("SASRecOriginal", {"inner_size"}), ("eSASRec", set())):
        for key in set(FAMILY) - own:
            assert rows[name][key] == rows["SAMRec"][key], (name, key)
        assert (rows[name]["sam_rho"], rows[name]["training"]) == (0, "packed")


def test_every_entry_has_the_same_protocol():
    rows = settings_of(["SAMRec", "Pop", "BPR", "FPMC", "GRU4Rec", "Caser"])
    for key in ("eval_args", "repeatable", "topk", "valid_metric", "metrics", "epochs", "stopping_step"):
        assert len({json.dumps(row[key]) for row in rows.values()}) == 1, key
    assert all("timestamp" in row["load_col"]["inter"] for row in rows.values())


def test_entries_with_sam_have_its_radius():
    rows = settings_of(["GRU4Rec", "GRU4Rec+SAM", "SASRec+SAM", "BSARec+SAM"])
    assert rows["GRU4Rec"]["sam_rho"] == 0
    assert rows["GRU4Rec+SAM"]["sam_rho"] == rows["SASRec+SAM"]["sam_rho"] == 0.3
    assert rows["GRU4Rec+SAM"]["training"] == rows["GRU4Rec"]["training"] == "packed"
    assert rows["BSARec+SAM"]["training"] == "prefix"
    given = settings_of(["GRU4Rec", "GRU4Rec+SAM", "SAMRec"], sam_rho=0.1)
    assert [given[name]["sam_rho"] for name in ("GRU4Rec", "GRU4Rec+SAM", "SAMRec")] == [0, 0.1, 0.1]


@pytest.mark.parametrize("key", ["entries", "rows"])  # files of revision 6de9c71 have rows
def test_read_entries_reads_files(tmp_path, key):
    file = tmp_path / "entries.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                key: {"SAMRec, wide": {"model": "SAMRec", "settings": {"hidden_size": 128}}},
                "datasets": {"mine": {"MAX_ITEM_LIST_LENGTH": 7}},
            }
        )
    )
    (entry,) = read_entries(["SAMRec, wide"], [file])
    assert entry.model == "SAMRec" and entry.settings()["hidden_size"] == 128
    assert dataset_settings("mine", [file]) == {"MAX_ITEM_LIST_LENGTH": 7} and dataset_settings("mine") == {}


def test_read_entries_makes_variants_with_sam():
    names = ["SAMRec", "GRU4Rec+SAM", "S3Rec (RecBole)", "S3Rec (RecBole)+SAM", "SASRec", "GRU4Rec"]
    varied = ["SASRec", "GRU4Rec", "S3Rec", "S3Rec (RecBole)", "", ""]
    assert [entry.variant_of for entry in read_entries(names)] == varied


def test_read_entries_rejects_wrong_entries(tmp_path):
    with pytest.raises(ConfigError, match="unknown model or entry SASRek; did you mean SASRec"):
        read_entries(["SASRek"])
    with pytest.raises(ConfigError, match="names SASRec twice"):
        read_entries(["SASRec", "SASRec"])
    file = tmp_path / "entries.yaml"
    file.write_text("entries: {Mine: {hidden_size: 3}}")
    with pytest.raises(ConfigError, match="the entry Mine needs a model"):
        read_entries(["Mine"], [file])
    for of, words in [("SASRek", "SASRek; did you mean SASRec"), ("[a, b]", ".*a.*b"), ("Mine", "Mine")]:
        file.write_text(f"entries: {{Mine: {{model: SASRec, variant_of: {of}}}}}")
        with pytest.raises(ConfigError, match=f"variant_of of Mine: there is no other entry {words}"):
            read_entries(["Mine"], [file])


def test_every_entry_and_family_in_the_file_exists():
    table = read_yaml(PROPERTIES / "compare.yaml")
    entries = read_entries(list(table["entries"]))
    for entry in filter(lambda one: one.variant_of, entries):
        (of,) = read_entries([entry.variant_of])
        assert entry.variant_of != entry.name
        pairs = ({"SAMRec", "SASRec"}, {"HistoryItemKNN", "ItemKNN"}, {"HistoryEASE", "EASE"})
        assert of.model == entry.model or {of.model, entry.model} in pairs
    for family in table["families"].values():
        read_entries(family["models"])


def test_read_entries__reads_candidates(tmp_path):
    file = tmp_path / "entries.yaml"
    rhos = {"sam_rho": [0, 0.1]}
    table = {
        "GRU4Rec": {"model": "GRU4Rec", "choose": {"learning_rate": [1, 2]}, "choose_more": {"learning_rate": [3]}},
        "GRU4Rec+SAM": {"model": "GRU4Rec", "variant_of": "GRU4Rec", "tuned_as": "GRU4Rec", "choose": rhos},
    }
    file.write_text(yaml.safe_dump({"entries": table}))
    plain, sam, derived = read_entries(["GRU4Rec", "GRU4Rec+SAM", "SASRec+SAM"], [file])
    assert plain.choose == {"learning_rate": (1, 2)} and plain.choose_more["learning_rate"].values == (3,)
    assert plain.fixed["sam_rho"] == 0 and "sam_rho" not in sam.fixed and sam.tuned_as == "GRU4Rec"
    assert (plain.candidates, sam.candidates, derived.candidates) == (2, 2, 1)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"tuned_as": "Pop"}, "tuned_as of B: Pop is not compared; there are: A Otherwise add it to --models"),
        ({"tuned_as": "B"}, "tuned_as of B: B is not compared"),
        (
            {"choose_more": {"n_layers": [1]}},
            "choose_more of B: n_layers is not in choose; add choose: {n_layers: [value]}",
        ),
        ({"choose": {"n_layers": 1}}, "choose of B: n_layers: 1 is not a list of values"),
        (
            {"chose": {"n_layers": [1]}},
            "the entry B needs a model, and may have choose, choose_more, fixed, settings, t",
        ),
    ],
)
def test_read_entries__rejects_wrong_candidates(tmp_path, changes, words):
    file = tmp_path / "entries.yaml"
    file.write_text(yaml.safe_dump({"entries": {"A": {"model": "SAMRec"}, "B": {"model": "SAMRec", **changes}}}))
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_entries(["A", "B"], [file])


def test_read_entries__rejects_chains(tmp_path):
    file = tmp_path / "entries.yaml"
    chain = {
        "A": {"model": "SAMRec"},
        "B": {"model": "SAMRec", "tuned_as": "A"},
        "C": {"model": "SAMRec", "tuned_as": "B"},
    }
    file.write_text(yaml.safe_dump({"entries": chain}))
    with pytest.raises(ConfigError, match=r"^tuned_as of C: B itself is tuned as A; name A$"):
        read_entries(["A", "B", "C"], [file])


def test_settings__of_a_continued_search_may_train_for_longer():
    """Validation may choose more epochs than the entry fixes, but nothing else that it fixes."""
    fixed, chosen = {"epochs": 50, "sam_rho": 0}, {"epochs": 100, "sam_rho": 0.1}
    plain = Entry("A", "SAMRec", fixed=fixed)
    assert plain.settings({"epochs": 9}, chosen=chosen) == {**fixed, "model": "SAMRec"}
    continued = Entry("B", "SAMRec", fixed=fixed, continues="A")
    assert continued.settings({"epochs": 9}, chosen=chosen) == {"epochs": 100, "sam_rho": 0, "model": "SAMRec"}
    assert continued.settings({"epochs": 9}) == {**fixed, "model": "SAMRec"}
