"""Site tables are complete, and foreign tables are completed or refused."""

from __future__ import annotations

import pandas as pd
import pytest

from napari_stemlearn.errors import SitesError
from napari_stemlearn.sites import COLUMNS, complete_sites, concat_sites, empty_sites, inside, make_sites


def test_make_sites_has_all_columns():
    table = make_sites([1, 2], [3, 4], ["Se2", "W"], pixel_size=0.5, extra={"n_atoms": [2, 1]})
    assert list(table.columns) == [*COLUMNS, "n_atoms"]
    assert table["x_angstrom"].tolist() == [1.5, 2.0]
    assert len(concat_sites([table, empty_sites(), table])) == 4


def test_foreign_tables():
    done = complete_sites(pd.DataFrame({"y": [1], "x": [2]}), pixel_size=0.2, origin="hand")
    assert done["class"].tolist() == ["atom"]
    assert done["y_angstrom"].tolist() == [0.2]
    from_angstrom = complete_sites(
        pd.DataFrame({"y_angstrom": [1.0], "x_angstrom": [2.0]}), pixel_size=0.2, origin="hand"
    )
    assert from_angstrom["x"].tolist() == [10.0]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": [1]}, "lacks the columns y and x; it has a"),
        ({"y": [1], "a": [1]}, "lacks the column x"),
        ({"y": ["up"], "x": [1]}, "row 1 has y = 'up'"),
        ({"y": [1], "x": [1], "frame": [-1]}, "whole numbers"),
        ({"y": [1], "x": [1], "origin": ["dream"]}, "origin 'dream' is unknown"),
    ],
)
def test_wrong_tables(columns, words):
    with pytest.raises(SitesError, match=words):
        complete_sites(pd.DataFrame(columns), pixel_size=None, origin="hand", name="sites.csv")


def test_inside_border():
    table = make_sites([0, 5, 9], [0, 5, 9], "W", pixel_size=1)
    assert inside(table, (10, 10)).tolist() == [True, True, True]
    assert inside(table, (10, 10), 1).tolist() == [False, True, False]
