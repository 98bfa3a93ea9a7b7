"""The threshold that a trained model gets for a class, from what its validation found."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemlearn.learning.validation import Validation
from napari_stemlearn.scoring.thresholds import sweep
from napari_stemlearn.sites import make_sites

LOWEST_TRUE, HIGHEST_FALSE = 0.81, 0.2


@pytest.fixture
def validation() -> Validation:
    """True sites far above all false ones, and a class of which nothing was found."""
    true = np.linspace(LOWEST_TRUE, 0.99, 30)
    false = np.linspace(0.05, HIGHEST_FALSE, 30)
    y, x = (axis.ravel() * 20.0 for axis in np.mgrid[:6, :10])
    truth = make_sites(y[:30], x[:30], "column", pixel_size=0.2, origin="truth")
    found = make_sites(y, x, "column", pixel_size=0.2, score=np.concatenate([true, false]), origin="predicted")
    best = sweep(found, truth, pixel_size=0.2, classes=["column", "vacancy"]).best
    best = best[best["class"] != "all"].reset_index(drop=True)
    return Validation(0.0, best, np.zeros((1, 2, 8, 8), np.float32), found, truth, absent=("vacancy",))


def test_a_threshold_keeps_its_distance_from_true_and_false_sites(validation):
    """The best F1 is that at the lowest true score, right at the edge of what the next image may fall below."""
    assert validation.best["best_threshold"][0] == LOWEST_TRUE
    assert HIGHEST_FALSE + 0.2 < validation.thresholds()["column"] < LOWEST_TRUE - 0.2


def test_a_class_of_which_nothing_was_found_gets_the_middle(validation):
    assert validation.thresholds()["vacancy"] == 0.5
