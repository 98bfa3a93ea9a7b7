"""The threshold that a model keeps lies amid those that are as good as the best."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from napari_stemlearn.scoring import sweep
from napari_stemlearn.scoring.thresholds import central_threshold
from napari_stemlearn.sites import make_sites


def curve(n_truth, rows):
    table = pd.DataFrame(rows, columns=["threshold", "fp", "fn"])
    return table.assign(tp=n_truth - table["fn"])


def test_it_is_the_middle_of_the_range_that_chance_cannot_tell_apart():
    # the fewest errors, 4, are seen at 0.8; up to 4 + 2 count as equal
    rows = curve(1000, [(0.9, 0, 12), (0.8, 1, 3), (0.6, 3, 2), (0.4, 6, 0), (0.3, 15, 0), (0.1, 60, 0)])
    assert central_threshold(rows) == pytest.approx((0.8 + 0.3) / 2)


def test_a_good_range_elsewhere_does_not_count():
    rows = curve(1000, [(0.9, 0, 4), (0.8, 0, 30), (0.5, 0, 3), (0.2, 40, 0)])
    assert central_threshold(rows) == pytest.approx((0.5 + 0.2) / 2)


def test_a_hard_class_is_not_cut_off_because_finding_nothing_makes_the_fewest_errors():
    # F1 is 0.5 at 0.4 with 90 errors, and 0.21 at 0.9 with 53
    rows = curve(60, [(0.9, 0, 53), (0.6, 22, 36), (0.5, 26, 34), (0.4, 75, 15), (0.3, 160, 8), (0.1, 600, 0)])
    assert central_threshold(rows) == pytest.approx((0.6 + 0.3) / 2)


@pytest.mark.parametrize(
    ("n_true", "n_false", "of_true", "of_false"),
    [(50, 500, (30, 2), (2, 30)), (200, 4000, (18, 2), (1, 6)), (60, 300, (3, 2), (2, 5)), (20, 300, (4, 2), (1.5, 5))],
)
def test_it_serves_other_images_as_well_as_any(n_true, n_false, of_true, of_false):
    rng = np.random.default_rng(0)

    def drawn(times):
        scores = np.r_[rng.beta(*of_true, n_true * times), rng.beta(*of_false, n_false * times)]
        order = np.argsort(-scores)
        tp, number = np.cumsum(order < n_true * times), np.arange(1, len(scores) + 1)
        table = pd.DataFrame({"threshold": scores[order], "tp": tp, "fp": number - tp, "fn": n_true * times - tp})
        return table, 2 * tp / (number + n_true * times)

    others, f1 = drawn(100)
    chosen = np.array([central_threshold(drawn(1)[0]) for _ in range(50)])
    reached = f1[np.searchsorted(-others["threshold"], -chosen, side="right") - 1]
    assert reached.mean() > 0.96 * f1.max()


def test_where_nothing_true_is_found_the_threshold_lies_at_the_top():
    rows = curve(5, [(0.9, 1, 5), (0.5, 2, 5), (0.4, 30, 5)])
    assert central_threshold(rows) == pytest.approx((0.9 + 0.4) / 2)


def test_nothing_found_gives_none():
    assert math.isnan(central_threshold(curve(5, [])))


def test_a_sure_network_is_cut_between_atoms_and_noise():
    truth = make_sites(np.arange(10.0) * 10, np.full(10, 5.0), "vacancy1", pixel_size=1.0)
    scores = np.r_[np.linspace(0.9, 0.98, 10), [0.1]]
    found = make_sites(
        np.r_[truth["y"], 200.0], np.full(11, 5.0), "vacancy1", pixel_size=1.0, score=scores, origin="predicted"
    )
    best = sweep(found, truth, 0.5, 1.0).best.set_index("class").loc["vacancy1"]
    assert best["best_f1"] == 1
    assert 0.45 < best["central_threshold"] < 0.55
