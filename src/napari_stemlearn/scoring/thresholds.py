"""What each score threshold would give: the precision-recall curve."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemlearn.errors import SitesError
from napari_stemlearn.scoring.matching import ALL, Matcher, prepare
from napari_stemlearn.scoring.rule import RuleOptions, ScoringRule
from napari_stemlearn.scoring.searched import RecordedSites, SearchedSites, with_labels, with_search

FEWEST_THRESHOLDS = 4
"""A curve needs its two ends, its best place, and one more."""


@dataclass(frozen=True)
class Sweep:
    """Scores at many thresholds.

    Parameters
    ----------
    curve
        One row a class and threshold (falling): ``class, threshold, tp, fp, fn, precision, recall, f1,
        rms_error_angstrom``. Sites with a score of at least the threshold take part. ``all`` takes one for all
        classes. Where there are more thresholds than rows, those with which the curve goes equal ways are kept, its
        ends, and its best F1.
    best
        One row a class: ``class, average_precision, best_f1, best_threshold, precision, recall`` at the best F1, and
        ``central_threshold``, see `central_threshold`; all of them from every threshold, kept in `curve` or not. The
        average precision is the sum, over falling thresholds, of the precision times the gain of recall, without
        interpolation: equal scores enter together, true sites that no threshold finds gain nothing.
    rule
        As of `Matches`.
    every_score
        Whether every different score was a threshold; see `sweep`.
    """

    curve: pd.DataFrame
    best: pd.DataFrame
    rule: dict[str, Any] = field(default_factory=dict)
    every_score: bool = True

    def of(self, name: str) -> pd.DataFrame:
        """The curve of one class."""
        return self.curve[self.curve["class"] == name].reset_index(drop=True)


def sweep(
    found: pd.DataFrame | SearchedSites | RecordedSites,
    truth: pd.DataFrame | RecordedSites,
    tolerance_angstrom: float | None = None,
    pixel_size: float | None = None,
    *,
    n_thresholds: int = 100,
    **options: Unpack[RuleOptions],
) -> Sweep:
    """Match again at every different score; the found table should come from a low threshold.

    Parameters
    ----------
    n_thresholds
        Rows of the curve of a class, at most. Where so wide a tolerance is given that more found sites than this hang
        together by true sites that they could share, this many scores of each class, and of all classes together, are
        thresholds in place of every one: the highest half, and lower ones at ranks that grow in proportion.
    found, truth, tolerance_angstrom, pixel_size, **options
        As of `match`.

    Raises
    ------
    SitesError
        If found sites have no score, if the thresholds are too few, or as `match`.
    """
    if n_thresholds < FEWEST_THRESHOLDS:
        raise SitesError(f"There are {n_thresholds} thresholds; a curve needs at least {FEWEST_THRESHOLDS}.")
    found, options = with_search(found, options)
    truth, options = with_labels(truth, options)
    matcher = prepare(found, truth, ScoringRule(tolerance_angstrom, pixel_size, **options))
    table = matcher.found
    scores = table["score"].to_numpy(dtype=float) if "score" in table else np.full(len(table), np.nan)
    missing = int(np.isnan(scores).sum())
    if missing:
        raise SitesError(
            f"{missing} of {len(scores)} found sites have no score; a threshold cannot be swept over them."
        )
    sites = _in_clusters(matcher, scores)
    every_score = bool(sites["turn"].max() < n_thresholds) if len(sites) else True
    if not every_score:
        sites = _in_clusters(matcher, _rounded_down(scores, _thinned(matcher, scores, n_thresholds)))
    changes = _changes(matcher, sites)
    curves, best = [], []
    for name in [*matcher.classes, ALL]:
        curve = _curve(matcher, changes, None if name == ALL else name)
        best.append({"class": name, **_best(curve)})
        curve = _drawn(curve, n_thresholds)
        curve.insert(0, "class", name)
        curves.append(curve)
    return Sweep(pd.concat(curves, ignore_index=True), pd.DataFrame(best), matcher.rule.record(), every_score)


def _in_clusters(matcher: Matcher, scores: NDArray[np.float64]) -> pd.DataFrame:
    """Of each found site: ``cluster, score``, the ``turn`` in which it joins its cluster, and the ``last`` one."""
    sites = pd.DataFrame({"cluster": matcher.clusters(), "score": scores})
    sites["turn"] = sites.groupby("cluster")["score"].rank("dense", ascending=False).astype(np.int64) - 1
    sites["last"] = sites.groupby("cluster")["turn"].transform("max")
    return sites


def _thinned(matcher: Matcher, scores: NDArray[np.float64], n_thresholds: int) -> NDArray[np.float64]:
    """Rising thresholds: the highest scores of each class and of all, then some at ranks that grow in proportion."""
    half = n_thresholds // 2
    kept = []
    for name in [*matcher.classes, ALL]:
        falling = np.unique(scores if name == ALL else scores[matcher.found_class == name])[::-1]
        if len(falling) > n_thresholds:
            ranks = np.rint(np.geomspace(half, len(falling), n_thresholds - half + 1)).astype(int) - 1
            falling = np.concatenate([falling[:half], falling[ranks]])
        kept.append(falling)
    return np.unique(np.concatenate(kept))


def _rounded_down(scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The highest of rising thresholds that each score reaches; the lowest score is one of them."""
    return thresholds[np.searchsorted(thresholds, scores, side="right") - 1]


def _changes(matcher: Matcher, sites: pd.DataFrame) -> pd.DataFrame:
    """What a threshold changes in one cluster: ``class, threshold, tp, fp, squares`` (of distances), in any order.

    Clusters do not touch each other, so the first scores of all of them are matched at once, then the second ones of
    those that have more, and so on.
    """
    cluster, turn, last = (sites[name].to_numpy() for name in ("cluster", "turn", "last"))
    before = np.zeros((int(cluster.max(initial=-1)) + 1, 3))
    tables = []
    for now in range(int(last.max(initial=-1)) + 1):
        kept = (turn <= now) & (last >= now)
        counts = _counts(matcher, kept, cluster, len(before))
        joining = np.flatnonzero(turn == now)
        joining = joining[np.unique(cluster[joining], return_index=True)[1]]
        of = cluster[joining]
        change = pd.DataFrame(counts[of] - before[of], columns=["tp", "fp", "squares"])
        change["class"], change["threshold"] = matcher.found_class[joining], sites["score"].to_numpy()[joining]
        before[of] = counts[of]
        tables.append(change)
    columns = ["class", "threshold", "tp", "fp", "squares"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns, dtype=float)


def _counts(
    matcher: Matcher, kept: NDArray[np.bool_], cluster: NDArray[np.int64], n_clusters: int
) -> NDArray[np.float64]:
    """True positives, false positives and the sum of squared distances of each cluster; shape (n_clusters, 3)."""
    partner, doubtful, distance = matcher.outcomes(kept)
    paired = partner >= 0
    counted = paired.copy()
    counted[paired] = matcher.truth_inside[partner[paired]]
    false = kept & ~paired & ~doubtful & matcher.found_inside
    squares = np.where(counted, distance, 0.0) ** 2
    return np.stack([np.bincount(cluster, values, n_clusters) for values in (counted, false, squares)], axis=1)


def _curve(matcher: Matcher, changes: pd.DataFrame, name: str | None) -> pd.DataFrame:
    """The curve of one class, or of all of them, at every threshold."""
    of_truth = matcher.truth_inside & ~matcher.undecided
    if name is not None:
        of_truth = of_truth & (matcher.truth_class == name)
        changes = changes[changes["class"] == name]
    sums = changes.groupby("threshold")[["tp", "fp", "squares"]].sum().sort_index(ascending=False).cumsum()
    tp, fp, squares = (sums[column].to_numpy(dtype=float) for column in sums)
    fn = of_truth.sum() - tp
    with np.errstate(invalid="ignore"):
        rates = {"precision": tp / (tp + fp), "recall": tp / (tp + fn), "f1": 2 * tp / (2 * tp + fp + fn)}
        # differences of sums may be less than nothing by rounding
        rms = np.sqrt(np.maximum(squares, 0.0) / tp)
    counts = {key: values.astype(np.int64) for key, values in (("tp", tp), ("fp", fp), ("fn", fn))}
    return pd.DataFrame({"threshold": sums.index.to_numpy(float), **counts, **rates, "rms_error_angstrom": rms})


def _drawn(curve: pd.DataFrame, n_thresholds: int) -> pd.DataFrame:
    """At most so many rows: the ends, the best F1, and between them steps of equal length in precision and recall."""
    if len(curve) <= n_thresholds:
        return curve
    steps = curve[["precision", "recall"]].fillna(0.0).diff().abs().sum(axis=1).to_numpy()
    # a curve that stands still is shown at equal numbers of sites
    way = np.cumsum(steps + 1 / len(curve))
    even = np.searchsorted(way, np.linspace(way[0], way[-1], n_thresholds - 1))
    best = int(np.argmax(curve["f1"].fillna(0.0).to_numpy()))
    return curve.iloc[np.union1d(np.minimum(even, len(curve) - 1), best)].reset_index(drop=True)


def _best(curve: pd.DataFrame) -> dict[str, float]:
    """Average precision (sum of precision times gain of recall) and the row of the best F1."""
    usable = curve[curve["f1"].notna()]
    names = ("average_precision", "best_f1", "best_threshold", "precision", "recall", "central_threshold")
    if not len(usable) or usable["recall"].isna().all():
        return dict.fromkeys(names, float("nan"))
    recall = np.maximum.accumulate(usable["recall"].to_numpy())
    precision = usable["precision"].fillna(0.0).to_numpy()
    average = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    top = int(np.argmax(usable["f1"].to_numpy()))
    values = [average, *(float(usable[name].iloc[top]) for name in ("f1", "threshold", "precision", "recall"))]
    return dict(zip(names, [*values, central_threshold(curve)], strict=True))


def central_threshold(curve: pd.DataFrame) -> float:
    """Middle of the thresholds that are about as good as the best.

    Where a network is nearly sure, many thresholds make no more than a few errors, and which of them makes the fewest
    is chance: one near an end of that range fails on images that differ a little. So as many errors more than at the
    best F1 as their own counting error allows (a standard deviation) count as equally good.

    A missed site lowers F1 more than a false one does, the more so the lower F1 is. So errors are counted as
    (2 - F1) FN + F1 FP with the best F1, whose threshold has the fewest of them. Plainly added up, they favour finding
    nothing where a class is hard.

    Parameters
    ----------
    curve
        Of one class: rows of falling ``threshold`` with ``tp``, ``fp`` and ``fn``.

    Returns
    -------
    float
        NaN for an empty curve.
    """
    if not len(curve):
        return float("nan")
    thresholds, tp, fp, fn = (curve[name].to_numpy(dtype=float) for name in ("threshold", "tp", "fp", "fn"))
    f1 = 2 * tp / np.maximum(2 * tp + fp + fn, 1)
    best = int(np.argmax(f1))
    # where nothing true is found, the fewer the better
    of_false = f1[best] or 1.0
    of_missed = 2 - of_false
    errors = of_missed * fn + of_false * fp
    spread = np.hypot(of_missed * np.sqrt(fn[best]), of_false * np.sqrt(fp[best]))
    # sums that are equal but for rounding are equal
    good = errors <= errors[best] + max(spread, 1.0) + 1e-9
    bad = np.flatnonzero(~good)
    first = int(bad[bad < best].max(initial=-1)) + 1
    after = int(bad[bad > best].min(initial=len(errors)))
    # down to the next candidate nothing changes
    lowest = thresholds[after] if after < len(thresholds) else thresholds[-1]
    return float((thresholds[first] + lowest) / 2)
