"""A sweep tries every score, at a bounded cost."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemlearn.errors import SitesError
from napari_stemlearn.scoring import score, sweep
from napari_stemlearn.scoring.matching import Matcher
from napari_stemlearn.sites import make_sites


def apart(scores, true):
    """Found and true sites too far from each other to take each other's partner."""
    side = int(np.ceil(np.sqrt(len(scores))))
    y, x = 20.0 * np.array(np.unravel_index(np.arange(len(scores)), (side, side)))
    found = make_sites(y, x, "v", pixel_size=0.2, score=scores, origin="predicted")
    return found, make_sites(y[true], x[true], "v", pixel_size=0.2)


def crowded(seed, *, tolerance, n_truth=120, n_found=240, digits=2):
    """Found sites that compete for true ones, with equal scores, undecided sites and a border."""
    rng = np.random.default_rng(seed)
    names = np.array(["a", "b", "undecided"])
    truth = make_sites(
        *rng.uniform(0, 60, (2, n_truth)), names[rng.choice(3, n_truth, p=[0.5, 0.4, 0.1])], pixel_size=1.0
    )
    scores = rng.uniform(size=n_found).round(digits)
    found = make_sites(*rng.uniform(0, 60, (2, n_found)), names[rng.integers(2, size=n_found)], pixel_size=1.0,
                       score=scores, origin="predicted")  # fmt: skip
    return found, truth, {
        "tolerance_angstrom": tolerance, "pixel_size": 1.0, "border": 4, "shape": (60, 60), "ignore": ["undecided"],
        "classes": ["a", "b"],
    }  # fmt: skip


def exact(scores, true):
    """Average precision, best F1 and its threshold of isolated sites with different scores."""
    order = np.argsort(-scores)
    hits, rank = np.cumsum(true[order]), np.arange(1, len(scores) + 1)
    f1 = 2 * hits / (rank + hits[-1])
    return (hits / rank)[true[order]].sum() / hits[-1], f1.max(), scores[order][np.argmax(f1)]


def strong(rng, count):
    return np.clip(rng.normal(0.9, 0.05, count), 0, 1)


CASES = {
    "20 sure among 5000": (20, 5000, strong, lambda rng, n: rng.uniform(0.02, 0.3, n)),
    "60 sure among 3000": (60, 3000, strong, lambda rng, n: rng.uniform(0.02, 0.3, n)),
    "200 among 20000": (200, 20000, strong, lambda rng, n: rng.beta(1, 6, n) * 0.95 + 0.02),
    "12 hard ones among 4000": (12, 4000, lambda rng, n: rng.beta(4, 3, n), lambda rng, n: rng.beta(1, 6, n)),
}


@pytest.mark.parametrize("n_thresholds", [60, 100])
@pytest.mark.parametrize("name", CASES)
def test_few_true_sites_among_many_weak_ones_are_judged_by_every_score(name, n_thresholds):
    n_true, n_junk, true_scores, junk_scores = CASES[name]
    rng = np.random.default_rng(0)
    true = np.arange(n_true + n_junk) < n_true
    scores = np.r_[true_scores(rng, n_true), junk_scores(rng, n_junk)]
    result = sweep(*apart(scores, true), 0.5, 0.2, n_thresholds=n_thresholds)
    best = result.best.set_index("class").loc["v"]
    expected = exact(scores, true)
    assert [best[key] for key in ("average_precision", "best_f1", "best_threshold")] == pytest.approx(expected)
    if name.startswith("20 sure"):
        assert best["central_threshold"] == pytest.approx((np.sort(scores)[-19] + np.sort(scores)[-22]) / 2)
    assert result.every_score
    curve = result.of("v")
    assert len(curve) <= n_thresholds
    assert {scores.min(), scores.max(), best["best_threshold"]} <= set(curve["threshold"])


def check_against_scoring_again(rows, found, truth, rule):
    for row in rows.to_dict("records"):
        again = score(found[found["score"] >= row["threshold"]], truth, **rule).of(row["class"])
        for key in ("tp", "fp", "fn", "precision", "recall", "f1", "rms_error_angstrom"):
            assert row[key] == pytest.approx(again[key], nan_ok=True)


def test_sites_that_compete_count_as_scored_again_at_each_score():
    for seed in range(3):
        found, truth, rule = crowded(seed, tolerance=2.0)
        result = sweep(found, truth, **rule, n_thresholds=1000)
        assert result.every_score
        for name in ("a", "b", "all"):
            of_class = found if name == "all" else found[found["class"] == name]
            assert result.of(name)["threshold"].tolist() == sorted(of_class["score"].unique(), reverse=True)
            check_against_scoring_again(result.of(name).iloc[seed::9], found, truth, rule)


def test_average_precision_takes_equal_scores_together():
    scores, true = np.array([0.9, 0.9, 0.5, 0.5, 0.5]), np.array([True, False, True, True, False])
    best = sweep(*apart(scores, true), 0.5, 0.2).best.iloc[0]
    assert best["average_precision"] == pytest.approx(1 / 3 * 1 / 2 + 2 / 3 * 3 / 5)


def test_a_tolerance_that_joins_everything_thins_the_scores_and_says_so(monkeypatch):
    found, truth, rule = crowded(0, tolerance=8.0, n_found=700, digits=6)
    every = sweep(found, truth, **rule, n_thresholds=1000)
    assert every.every_score
    matched = []
    outcomes = Matcher.outcomes
    monkeypatch.setattr(Matcher, "outcomes", lambda *given: matched.append(1) or outcomes(*given))
    some = sweep(found, truth, **rule, n_thresholds=40)
    assert not some.every_score
    assert len(matched) <= 3 * 40
    assert some.curve.groupby("class").size().max() <= 40
    monkeypatch.undo()
    check_against_scoring_again(some.curve.iloc[::5], found, truth, rule)
    for key in ("average_precision", "best_f1"):
        np.testing.assert_allclose(some.best[key], every.best[key], rtol=0.05)


def test_too_few_thresholds_are_refused():
    with pytest.raises(SitesError, match="There are 3 thresholds; a curve needs at least 4"):
        sweep(*apart(np.array([0.9]), np.array([True])), 0.5, 0.2, n_thresholds=3)
