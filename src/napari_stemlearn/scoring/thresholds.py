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
from napari_stemlearn.scoring.scores import precision_recall_f1, ratio


@dataclass(frozen=True)
class Sweep:
    """Scores at many thresholds.

    Parameters
    ----------
    curve
        One row a class and threshold (falling): ``class, threshold, tp, fp, fn, precision, recall, f1,
        rms_error_angstrom``. Sites with a score of at least the threshold take part. ``all`` takes one for all
        classes.
    best
        One row a class: ``class, average_precision, best_f1, best_threshold, precision, recall`` at the best F1, and
        ``central_threshold``, see `central_threshold`.
    rule
        As of `Matches`.
    """

    curve: pd.DataFrame
    best: pd.DataFrame
    rule: dict[str, Any] = field(default_factory=dict)

    def of(self, name: str) -> pd.DataFrame:
        """The curve of one class."""
        return self.curve[self.curve["class"] == name].reset_index(drop=True)


def sweep(
    found: pd.DataFrame,
    truth: pd.DataFrame,
    tolerance_angstrom: float | None = None,
    pixel_size: float | None = None,
    *,
    n_thresholds: int = 100,
    **options: Unpack[RuleOptions],
) -> Sweep:
    """Match again at many score thresholds; the found table should come from a low threshold.

    Parameters
    ----------
    n_thresholds
        Every different score is a threshold where there are at most this many, else as many quantiles of the scores.
    found, truth, tolerance_angstrom, pixel_size, **options
        As of `match`.

    Raises
    ------
    SitesError
        If found sites have no score, or as `match`.
    """
    matcher = prepare(found, truth, ScoringRule(tolerance_angstrom, pixel_size, **options))
    table = matcher.found
    scores = table["score"].to_numpy(dtype=float) if "score" in table else np.full(len(table), np.nan)
    missing = int(np.isnan(scores).sum())
    if missing:
        raise SitesError(
            f"{missing} of {len(scores)} found sites have no score; a threshold cannot be swept over them."
        )
    curves, best = [], []
    for name in [*matcher.classes, ALL]:
        curve = _curve(matcher, scores, None if name == ALL else name, n_thresholds)
        curve.insert(0, "class", name)
        curves.append(curve)
        best.append({"class": name, **_best(curve)})
    return Sweep(pd.concat(curves, ignore_index=True), pd.DataFrame(best), matcher.rule.record())


def _curve(matcher: Matcher, scores: NDArray[np.float64], name: str | None, n_thresholds: int) -> pd.DataFrame:
    of_found = np.ones(len(scores), bool) if name is None else matcher.found_class == name
    of_truth = matcher.truth_inside & ~matcher.undecided
    if name is not None:
        of_truth = of_truth & (matcher.truth_class == name)
    thresholds = np.unique(scores[of_found])
    if len(thresholds) > n_thresholds:
        thresholds = np.unique(np.quantile(scores[of_found], np.linspace(0, 1, n_thresholds), method="nearest"))
    rows = []
    for threshold in thresholds[::-1]:
        kept = of_found & (scores >= threshold)
        partner, doubtful, distance = matcher.outcomes(kept, name)
        paired = partner >= 0
        counted = paired.copy()
        counted[paired] = matcher.truth_inside[partner[paired]]
        tp = int(counted.sum())
        fp = int((kept & ~paired & ~doubtful & matcher.found_inside).sum())
        fn = int(of_truth.sum()) - tp
        precision, recall, f1 = precision_recall_f1(tp, fp, fn)
        rms = float(np.sqrt(ratio(float((distance[counted] ** 2).sum()), tp)))
        rows.append((float(threshold), tp, fp, fn, precision, recall, f1, rms))
    return pd.DataFrame(
        rows, columns=["threshold", "tp", "fp", "fn", "precision", "recall", "f1", "rms_error_angstrom"]
    )


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
    is chance: one near an end of that range fails on images that differ a little. So many errors as their own counting
    error allows (a standard deviation above the fewest) count as equally good.

    Parameters
    ----------
    curve
        Of one class: rows of falling ``threshold`` with ``fp`` and ``fn``.

    Returns
    -------
    float
        NaN for an empty curve.
    """
    if not len(curve):
        return float("nan")
    thresholds = curve["threshold"].to_numpy(dtype=float)
    errors = (curve["fp"] + curve["fn"]).to_numpy(dtype=float)
    fewest = int(np.argmin(errors))
    good = errors <= errors[fewest] + max(np.sqrt(errors[fewest]), 1.0)
    bad = np.flatnonzero(~good)
    first = int(bad[bad < fewest].max(initial=-1)) + 1
    after = int(bad[bad > fewest].min(initial=len(errors)))
    # down to the next candidate nothing changes
    lowest = thresholds[after] if after < len(thresholds) else thresholds[-1]
    return float((thresholds[first] + lowest) / 2)
