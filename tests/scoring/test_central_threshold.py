"""The threshold that a model keeps lies amid those that are as good as the best."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from napari_stemlearn.scoring import sweep
from napari_stemlearn.scoring.thresholds import central_threshold
from napari_stemlearn.sites import make_sites


def curve(rows):
    return pd.DataFrame(rows, columns=["threshold", "fp", "fn"])


def test_it_is_the_middle_of_the_range_that_chance_cannot_tell_apart():
    # the fewest errors, 4, are seen at 0.8; up to 4 + 2 count as equal
    rows = curve([(0.9, 0, 12), (0.8, 1, 3), (0.6, 3, 2), (0.4, 6, 0), (0.3, 15, 0), (0.1, 60, 0)])
    assert central_threshold(rows) == pytest.approx((0.8 + 0.3) / 2)


def test_a_good_range_elsewhere_does_not_count():
    rows = curve([(0.9, 0, 4), (0.8, 0, 30), (0.5, 0, 3), (0.2, 40, 0)])
    assert central_threshold(rows) == pytest.approx((0.5 + 0.2) / 2)


def test_nothing_found_gives_none():
    assert math.isnan(central_threshold(curve([])))


def test_a_sure_network_is_cut_between_atoms_and_noise():
    truth = make_sites(np.arange(10.0) * 10, np.full(10, 5.0), "vacancy1", pixel_size=1.0)
    scores = np.r_[np.linspace(0.9, 0.98, 10), [0.1]]
    found = make_sites(
        np.r_[truth["y"], 200.0], np.full(11, 5.0), "vacancy1", pixel_size=1.0, score=scores, origin="predicted"
    )
    best = sweep(found, truth, 0.5, 1.0).best.set_index("class").loc["vacancy1"]
    assert best["best_f1"] == 1
    assert 0.45 < best["central_threshold"] < 0.55
