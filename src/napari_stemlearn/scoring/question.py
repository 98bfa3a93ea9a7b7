"""Found sites and labels of one micrograph, ready to be scored, and what is written of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_stemlearn.scoring.labelled import labels_of_record
from napari_stemlearn.scoring.published_names import PUBLISHED_NAMES
from napari_stemlearn.scoring.rule import RuleOptions, ScoringRule
from napari_stemlearn.scoring.searched import search_of_record
from napari_stemlearn.sites import concat_sites

if TYPE_CHECKING:
    from napari_stemlearn.scoring.scores import Scores

MATCH_OF_OUTCOME = {"true positive": "tp", "false positive": "fp", "false negative": "fn"}
"""Values of the column ``match`` of `match_table`, by the outcome of a site."""


@dataclass(frozen=True)
class Question:
    """What is to be scored.

    Parameters
    ----------
    found, truth
        Site tables in pixels.
    tolerance_angstrom, pixel_size
        Of `ScoringRule`, both in angstrom.
    options
        Its further fields.
    notes
        Full sentences on what was chosen before anything is scored; what is left out the score says itself.
    """

    found: pd.DataFrame
    truth: pd.DataFrame
    tolerance_angstrom: float
    pixel_size: float
    options: RuleOptions
    notes: tuple[str, ...] = field(default=())

    def answer(self) -> Scores:
        """Score; errors as of `score`."""
        # a dock asks in its window's thread and scores in another
        from napari_stemlearn.scoring.scores import score

        return score(self.found, self.truth, self.tolerance_angstrom, self.pixel_size, **self.options)


def make_question(
    found: pd.DataFrame,
    truth: pd.DataFrame,
    *,
    pixel_size: float,
    shape: tuple[int, int] | None,
    n_frames: int,
    tolerance_angstrom: float,
    border: float | None,
    found_record: Mapping[str, Any] | None = None,
    truth_record: Mapping[str, Any] | None = None,
) -> Question:
    """Prepare found sites and labels of one micrograph by what is known of both.

    Published names of classes that the search did not look for count as ours (`PUBLISHED_NAMES`).

    Parameters
    ----------
    found, truth
        Site tables in pixels.
    pixel_size
        In angstrom.
    shape, n_frames
        Of the micrograph: (y, x) in pixels, and how many frames it has.
    tolerance_angstrom
        Largest distance of a pair.
    border
        In pixels; None for what the search left out, and the tolerance.
    found_record, truth_record
        What is known of the search and of the labels (`search_of_record`, `labels_of_record`).

    Raises
    ------
    SitesError
        If the pixel size, the tolerance or the border make no sense.
    """
    search = search_of_record(found_record or {})
    searched_border = search.get("searched_border", 0.0) if shape is not None else 0.0
    looked_for = {*found["class"].astype(str), *(search.get("searched_classes") or ())}
    there = set(truth["class"].astype(str))
    renamed = {
        name: ours
        for name, ours in PUBLISHED_NAMES.items()
        if name in there and name not in looked_for and ours in looked_for
    }
    notes = [f"{name} in the labels counts as {ours}." for name, ours in renamed.items()]
    waiting = int((truth["origin"] == "predicted").sum())
    if waiting:
        notes.append(f"{waiting} of {len(truth)} labels are promoted predictions that nobody looked at.")
    rule = ScoringRule(tolerance_angstrom, pixel_size, border, shape=shape, searched_border=searched_border)
    # a number that can be read and typed again
    left_out = round(rule.border_at(tolerance_angstrom, pixel_size), 3)
    if border is None and left_out > 0:
        notes.append(
            f"Within {left_out:.3g} px of the edge nothing is counted: the search left out {searched_border:.3g} px, "
            "and the tolerance is added."
        )
    options: RuleOptions = {
        "border": left_out,
        "shape": shape,
        "truth_class_map": renamed or None,
        "searched_classes": search.get("searched_classes"),
        "searched_frames": search.get("searched_frames") or list(range(n_frames)),
        **labels_of_record(truth_record or {}),
    }
    return Question(found, truth, tolerance_angstrom, pixel_size, options, tuple(notes))


def match_table(scores: Scores) -> pd.DataFrame:
    """Sites of a score with a column ``match``: found ones are ``tp`` or ``fp``, missed ones ``fn``."""
    found, truth = scores.matches.found, scores.matches.truth
    missed = truth[truth["outcome"] == "false negative"]
    both = concat_sites([found[found["outcome"].isin(["true positive", "false positive"])], missed])
    if len(both) == 0:
        return both.assign(match=[])
    both = both.assign(match=both["outcome"].map(MATCH_OF_OUTCOME))
    return both.drop(columns=["outcome", "partner"]).reset_index(drop=True)


def write_products(folder: Path, name: str, scores: Scores, question: Question, title: str) -> list[Path]:
    """Write a score with its confidence intervals as ``.csv``, ``.json`` and ``.png``, with a sweep where scores are.

    Parameters
    ----------
    folder
        Where they go; it must be there.
    name
        Of the files, without ending.
    scores, question
        The score, and what was asked.
    title
        Of the figure.

    Returns
    -------
    list of pathlib.Path
        What was written.

    Raises
    ------
    FormatError
        If something cannot be written.
    """
    from napari_stemlearn.scoring import bootstrap, sweep, write_figure, write_scores

    curve = None
    if len(question.found) and question.found["score"].notna().all():
        given = question.tolerance_angstrom, question.pixel_size
        curve = sweep(question.found, question.truth, *given, **question.options)
    spread = bootstrap(scores.matches) if scores.matches.frames else None
    paths = [write_scores(folder / f"{name}{ending}", scores, curve, spread) for ending in (".csv", ".json")]
    return [*paths, write_figure(folder / f"{name}.png", scores, curve, spread, title=title)]
