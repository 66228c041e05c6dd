"""The code of a model is listed with the source and the departures from its docstrings."""

import pytest

from recbole_samrec.compare.model_sources import ModelSource, find_source
from recbole_samrec.compat import PATCHES
from recbole_samrec.integration.registry import MODELS


@pytest.mark.parametrize("model", MODELS)
def test_find_source__of_our_models_has_everything(model):
    found = find_source(model)
    assert found.module == f"recbole_samrec.model.{model.lower()}" and found.patches == ()
    assert found.source.startswith(("arXiv", "doi"))
    assert found.departures.startswith("Departures from")
    assert not set("`\n") & set(found.departures) and ":class:" not in found.departures


def test_find_source__reads_references_of_recbole():
    assert find_source("SASRec") == ModelSource(
        "recbole.model.sequential_recommender.sasrec",
        'Wang-Cheng Kang et al. "Self-Attentive Sequential Recommendation." in ICDM 2018.; https://github.com/kang205/SASRec',
    )
    assert find_source("S3Rec").departures == "RecBole's S3Rec, pre-trained and fine-tuned in one run."


def test_find_source__of_samrec_without_sam_is_that_of_sasrec():
    found = find_source("SAMRec", with_sam=False)
    assert found.source == find_source("SASRec").source and found.module == find_source("SAMRec").module
    assert find_source("CL4SRec", with_sam=False) == find_source("CL4SRec")


def test_find_source__names_patches_of_the_model():
    assert find_source("LightGCN").patches == ("restore_dok_matrix_update",)
    assert find_source("Pop").patches == ("count_every_event",)
    named = {name for model in ("SINE", "KSR", "KD_DAGFM", "FwFM", "SASRecF") for name in find_source(model).patches}
    assert named == {
        "restore_anomaly_detection", "unify_ksr_precision", "look_up_teacher", "number_sequences_in_fwfm",
        "count_features_of_sasrecf",
    } and named < set(PATCHES)  # fmt: skip


def test_find_source__of_a_model_that_is_not_there():
    assert find_source("Unheard").module == "not installed"
