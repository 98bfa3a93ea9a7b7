"""Precision, recall, F1 and position error from matches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Unpack

import numpy as np
import pandas as pd

from napari_stemlearn.errors import SitesError
from napari_stemlearn.scoring.matching import ALL, NOTHING, Matches, match
from napari_stemlearn.scoring.rule import RuleOptions
from napari_stemlearn.scoring.searched import RecordedSites, SearchedSites

SHOWN = {
    "class": "class",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "rms_error_angstrom": "rms (Å)",
    "tp": "TP",
    "fp": "FP",
    "fn": "FN",
}
"""Columns of a printed score and their headings."""


@dataclass(frozen=True)
class Scores:
    """What scoring says; numbers that are not defined (no found site, no true site) are NaN.

    Parameters
    ----------
    table
        One row a class and one for ``all``: ``class, n_truth, n_found, tp, fp, fn, precision, recall, f1,
        rms_error_angstrom, mean_dy_angstrom, mean_dx_angstrom`` (found minus true).
    per_frame
        The same, one row a frame and class.
    confusion
        True class in rows, found class in columns; the last row and column are ``nothing``. Row sums are true,
        column sums found sites that count; the diagonal holds the true positives.
    matches
        What was matched.
    """

    table: pd.DataFrame
    per_frame: pd.DataFrame
    confusion: pd.DataFrame
    matches: Matches = field(repr=False)

    def __str__(self) -> str:
        """The scores of each class in as many columns as a narrow terminal shows, and how they were counted."""
        table = self.table[list(SHOWN)].rename(columns=SHOWN)
        for column, digits in (("precision", 3), ("recall", 3), ("F1", 3), ("rms (Å)", 2)):
            table[column] = ["-" if np.isnan(value) else f"{value:.{digits}f}" for value in table[column]]
        lines = [table.to_string(index=False)]
        rule, frames = self.matches.rule, self.matches.frames
        lines += [
            f"Tolerance {rule['tolerance_angstrom']:.3g} Å, border {rule['border']:.3g} px, "
            f"{len(frames)} frame{'' if len(frames) == 1 else 's'}."
        ]
        return "\n".join([*lines, *self.matches.notes])

    def of(self, name: str = ALL) -> dict[str, Any]:
        """One row of the table as plain values.

        Raises
        ------
        SitesError
            If the class was not scored.
        """
        rows = self.table[self.table["class"] == name]
        if not len(rows):
            raise SitesError(f"The class '{name}' was not scored; scored: {', '.join(self.table['class'])}.")
        return rows.to_dict("records")[0]


def score(
    found: pd.DataFrame | SearchedSites | RecordedSites,
    truth: pd.DataFrame | RecordedSites,
    tolerance_angstrom: float | None = None,
    pixel_size: float | None = None,
    **options: Unpack[RuleOptions],
) -> Scores:
    """Match found with true sites and count; parameters and errors as of `match`.

    ``print`` shows the scores of each class in a few columns.
    """
    return summarise(match(found, truth, tolerance_angstrom, pixel_size, **options))


def ratio(part: float, whole: float) -> float:
    """A quotient that is NaN where nothing was there to be counted."""
    return part / whole if whole else float("nan")


def precision_recall_f1(tp: float, fp: float, fn: float) -> tuple[float, float, float]:
    """Precision, recall and F1 of counts; NaN where not defined."""
    return ratio(tp, tp + fp), ratio(tp, tp + fn), ratio(2 * tp, 2 * tp + fp + fn)


def summarise(matches: Matches) -> Scores:
    """Count matches into scores, per class, per frame and class, and over everything."""
    table = [_row(matches, name, None) for name in matches.classes]
    table.append(_row(matches, None, None))
    per_frame = [
        {"frame": frame, **_row(matches, name, frame)} for frame in matches.frames for name in [*matches.classes, None]
    ]
    columns = list(table[0])
    return Scores(
        table=pd.DataFrame(table, columns=columns),
        per_frame=pd.DataFrame(per_frame, columns=["frame", *columns]),
        confusion=confusion(matches),
        matches=matches,
    )


def _row(matches: Matches, name: str | None, frame: int | None) -> dict[str, Any]:
    found, truth, pairs = matches.found, matches.truth, matches.pairs[matches.pairs["counted"].astype(bool)]
    if name is not None:
        found, truth, pairs = (table[table["class"] == name] for table in (found, truth, pairs))
    if frame is not None:
        found, truth, pairs = (table[table["frame"] == frame] for table in (found, truth, pairs))
    tp = len(pairs)
    fp = int((found["outcome"] == "false positive").sum())
    fn = int((truth["outcome"] == "false negative").sum())
    precision, recall, f1 = precision_recall_f1(tp, fp, fn)
    squares = float((pairs["distance_angstrom"] ** 2).sum())
    return {
        "class": ALL if name is None else name,
        "n_truth": tp + fn,
        "n_found": tp + fp,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "rms_error_angstrom": float(np.sqrt(ratio(squares, tp))),
        "mean_dy_angstrom": ratio(float(pairs["dy_angstrom"].sum()), tp),
        "mean_dx_angstrom": ratio(float(pairs["dx_angstrom"].sum()), tp),
    }


def confusion(matches: Matches) -> pd.DataFrame:
    """Confusion matrix: true positives on the diagonal, the rest matched once more without class, then nothing."""
    names = [*matches.classes, NOTHING]
    place = {name: index for index, name in enumerate(names)}
    last = len(names) - 1
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    for true_class, found_class in zip(matches.mistaken["true_class"], matches.mistaken["found_class"], strict=True):
        counts[place[true_class], place[found_class]] += 1
    for name in matches.truth.loc[matches.truth["outcome"] == "false negative", "class"]:
        counts[place[name], last] += 1
    for name in matches.found.loc[matches.found["outcome"] == "false positive", "class"]:
        counts[last, place[name]] += 1
    # what was mistaken for another class is no longer nothing
    counts[:last, last] -= counts[:last, :last].sum(axis=1)
    counts[last, :last] -= counts[:last, :last].sum(axis=0)
    for name in matches.pairs.loc[matches.pairs["counted"].astype(bool), "class"]:
        counts[place[name], place[name]] += 1
    return pd.DataFrame(counts, index=pd.Index(names, name="true"), columns=pd.Index(names, name="found"))
