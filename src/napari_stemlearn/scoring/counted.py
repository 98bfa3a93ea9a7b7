"""Which frames and classes of two site tables count: those that a search looked for and that the truth can judge."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from napari_stemlearn.scoring.labelled import is_exact, labelled_frames
from napari_stemlearn.scoring.rule import ScoringRule

NAMED = 8
"""A sentence names this many frames at most."""


@dataclass(frozen=True)
class Counted:
    """What is scored, and what is not.

    Parameters
    ----------
    frames, classes
        That are scored.
    left_out, left_out_found
        How many true and how many found sites of the scored frames each class has that is not scored.
    notes
        Full sentences on what is left out.
    """

    frames: tuple[int, ...]
    classes: tuple[str, ...]
    left_out: dict[str, int]
    left_out_found: dict[str, int]
    notes: tuple[str, ...]


def what_counts(found: pd.DataFrame, truth: pd.DataFrame, rule: ScoringRule) -> Counted:
    """Choose the frames and classes that can be scored; what the rule gives goes first.

    Parameters
    ----------
    found, truth
        Site tables of all frames, with their classes mapped.
    rule
        `ScoringRule`.
    """
    frames, notes = _frames(found, truth, rule)
    in_found, in_truth = (table[table["frame"].isin(frames)]["class"] for table in (found, truth))
    if rule.classes is not None:
        classes = tuple(dict.fromkeys(rule.classes))
    else:
        labelled = _labelled_classes(truth, rule)
        classes = tuple(sorted(_classes(set(in_found), set(in_truth), labelled, rule) - set(rule.ignore), key=str))
    left_out = _counts(in_truth[~in_truth.isin([*classes, *rule.ignore])])
    left_out_found = _counts(in_found[~in_found.isin(classes)])
    if left_out and rule.classes is not None:
        notes.append(f"True sites of classes that were not scored: {_listed(left_out)}.")
    elif left_out:
        notes.append(f"Not counted are true sites of classes that the search did not look for: {_listed(left_out)}.")
    unlabelled = {name: count for name, count in left_out_found.items() if name not in rule.ignore}
    if unlabelled and rule.classes is None:
        notes.append(f"Not counted are found sites of classes that nobody labelled: {_listed(unlabelled)}.")
    return Counted(frames, classes, left_out, left_out_found, tuple(notes))


def _frames(found: pd.DataFrame, truth: pd.DataFrame, rule: ScoringRule) -> tuple[tuple[int, ...], list[str]]:
    """The frames that count, and sentences on others."""
    if rule.frames is not None:
        return _whole(rule.frames), []
    with_sites = _whole([*found["frame"], *truth["frame"]])
    searched = None if rule.searched_frames is None else _whole(rule.searched_frames)
    labelled = labelled_frames(truth, rule.labelled_frames)
    if labelled is None:
        frames = with_sites if searched is None else searched
    else:
        frames = _whole(frame for frame in labelled if searched is None or frame in searched)
    notes = []
    missed = set() if searched is None else set(labelled if labelled is not None else truth["frame"]) - set(searched)
    if missed:
        notes.append(f"{_numbered(missed, 'was', 'were')} not searched, so not counted.")
    unlabelled = set() if labelled is None else {*with_sites, *(searched or ())} - set(labelled) - missed
    if unlabelled:
        notes.append(f"{_numbered(unlabelled, 'is', 'are')} not labelled, so not counted.")
    return frames, notes


def _labelled_classes(truth: pd.DataFrame, rule: ScoringRule) -> set[str] | None:
    """Classes that the truth can judge; None for all."""
    if rule.labelled_classes is not None:
        renamed = rule.truth_class_map or {}
        return {renamed.get(name, name) for name in rule.labelled_classes}
    return None if is_exact(truth) else set(truth["class"])


def _classes(of_found: set[str], of_truth: set[str], labelled: Collection[str] | None, rule: ScoringRule) -> set[str]:
    """Classes of both tables, without true ones nobody looked for and found ones that nobody labelled."""
    renamed = rule.class_map or {}
    searched = None
    if rule.searched_classes is not None:
        searched = of_found | {renamed.get(name, name) for name in rule.searched_classes}
    there = of_truth | set(labelled or ())
    # without any name in common the names differ, and that is to be seen
    if of_found and there and not (of_found | (searched or set())) & there:
        return of_found | of_truth
    if searched is not None:
        of_truth = of_truth & searched
    if labelled is not None:
        of_found = of_found & set(labelled)
    return of_found | of_truth


def _counts(classes: pd.Series) -> dict[str, int]:
    return {str(name): int(count) for name, count in classes.value_counts().sort_index().items()}


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _whole(frames: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted({int(frame) for frame in frames}))


def _numbered(frames: Collection[int], verb: str, verb_of_many: str) -> str:
    """Frames as the beginning of a sentence."""
    numbers = sorted(int(frame) for frame in frames)
    if len(numbers) == 1:
        return f"Frame {numbers[0]} {verb}"
    return f"Frames {', '.join(map(str, numbers[:NAMED]))}{', …' if len(numbers) > NAMED else ''} {verb_of_many}"
