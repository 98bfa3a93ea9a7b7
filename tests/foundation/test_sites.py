"""Site tables are complete, and foreign tables are completed or refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_stemlearn.errors import SitesError
from napari_stemlearn.sites import (
    COLUMNS,
    complete_sites,
    concat_sites,
    empty_sites,
    implied_pixel_size,
    inside,
    make_sites,
)


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
        ({"y": [1, 2], "x": [1, 2], "frame": [0, np.inf]}, "whole numbers from 0, but row 2 has inf"),
        ({"y": [1], "x": [1], "frame": [1e30]}, "whole numbers from 0, but row 1 has 1e"),
        ({"y": [1], "x": [1], "frame": [None]}, "row 1 has nothing"),
        ({"y": [1, 2], "x": [1, 2], "score": ["", "high"]}, "row 2 has score = 'high', which is no number"),
        ({"y": [3, 4], "x": [1, 2], "y_angstrom": [1, "b"]}, "row 2 has y_angstrom = 'b', which is no position"),
        ({"y": [3], "x": [1], "y_angstrom": ["1,5"]}, "row 1 has y_angstrom = '1,5', which is no position"),
        ({"y": [1], "x": [1], "origin": ["dream"]}, "origin 'dream' is unknown"),
    ],
)
def test_wrong_tables(columns, words):
    with pytest.raises(SitesError, match=words):
        complete_sites(pd.DataFrame(columns), pixel_size=None, origin="hand", name="sites.csv")


def test_angstrom_alone_says_which_row_is_wrong():
    for entry, words in ((np.nan, "row 2 has no x position"), ("far", "row 2 has x_angstrom = 'far', which is no")):
        table = pd.DataFrame({"y_angstrom": [1.0, 2.0], "x_angstrom": [1.0, entry]})
        with pytest.raises(SitesError, match=words):
            complete_sites(table, pixel_size=0.2, origin="hand", name="sites.csv")


@pytest.mark.parametrize("empty", [None, np.nan, "", "NaN", "NA"])
def test_an_empty_score_is_no_score(empty):
    table = pd.DataFrame({"y": [1, 2], "x": [3, 4], "score": pd.Series([0.5, empty], dtype=object)})
    np.testing.assert_array_equal(complete_sites(table, pixel_size=0.2, origin="hand")["score"], [0.5, np.nan])


@pytest.mark.parametrize(
    ("y", "x", "expected"), [([0, 0.5], [8, 9], 0.25), ([8, 9], [0, 0.5], 0.25), ([0.5], [0], 0.25), ([0], [0], None)]
)
def test_either_axis_tells_the_pixel_size(y, x, expected):
    table = make_sites(y, x, "W", pixel_size=0.25)
    assert implied_pixel_size(table) == expected
    done = complete_sites(table, pixel_size=None, origin="truth")
    assert done["x_angstrom"].tolist() == (
        [0.25 * entry for entry in x] if expected else pytest.approx([np.nan], nan_ok=True)
    )


def test_inside_border():
    table = make_sites([0, 5, 9], [0, 5, 9], "W", pixel_size=1)
    assert inside(table, (10, 10)).tolist() == [True, True, True]
    assert inside(table, (10, 10), 1).tolist() == [False, True, False]
