"""The folders of the package are correct."""

import recbole_samrec
from recbole_samrec.utils.paths import CHECKOUT, PACKAGE, PROPERTIES
from tests.helpers.paths import ROOT


def test_package__is_the_folder_of_the_imported_one():
    assert [str(PACKAGE)] == [str(path) for path in recbole_samrec.__path__]


def test_checkout__is_the_folder_above():
    assert CHECKOUT == ROOT and (CHECKOUT / "pyproject.toml").is_file()


def test_properties__hold_our_defaults():
    assert PROPERTIES == ROOT / "properties"
    assert (PROPERTIES / "overall.yaml").is_file() and (PROPERTIES / "model" / "SAMRec.yaml").is_file()
