import pytest
import yaml

from recbole_samrec.compare.provenance import Origin, list_origins, read_origins
from recbole_samrec.config.yaml_files import read_yaml
from recbole_samrec.utils.errors import ConfigError
from recbole_samrec.utils.paths import PROPERTIES
from tests.helpers.compared import make_run


def test_list_origins_has_those_that_apply_to_a_run():
    one = {"model": "CL4SRec", "config": {"cl_similarity": "cosine"}}
    other = {"model": "CL4SRec", "config": {"cl_similarity": "dot"}}
    origins = read_origins()
    (shown,) = yaml.safe_load(list_origins(origins, [make_run("CL4SRec", **one)]))
    written = read_yaml(PROPERTIES / "compare.yaml")["origins"]
    assert shown in written and shown["settings"] == {"cl_similarity": "cosine"}
    assert list_origins(origins, [make_run("CL4SRec", **other), make_run("Pop", model="Pop", config={})]) == ""
    elsewhere = [Origin("Here.", {}, datasets=("tiny_set",)), Origin("There.", {}, datasets=("ml-1m",))]
    assert [one["origin"] for one in yaml.safe_load(list_origins(elsewhere, [make_run(), make_run("Pop")]))] == [
        "Here."
    ]


def test_origins_cover_every_setting_of_a_data_set():
    settings = read_yaml(PROPERTIES / "compare.yaml")
    for dataset, given in settings["datasets"].items():
        known = [setting for one in read_origins() if dataset in one.datasets for setting in one.settings.items()]
        assert all(setting in known for setting in given.items())


@pytest.mark.parametrize(
    "entry", ["text", "{origin: Why.}", "{origin: 3, settings: {}}", "{origin: a, settings: {}, x: 1}"]
)
def test_read_origins_rejects_another_form(tmp_path, entry):
    file = tmp_path / "entries.yaml"
    file.write_text(f"origins: [{entry}]\n")
    with pytest.raises(ConfigError, match=r"entries\.yaml: each item of origins needs"):
        read_origins([file])
