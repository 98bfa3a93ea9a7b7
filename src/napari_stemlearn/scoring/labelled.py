"""What a true table tells of itself: exact truth holds every site, labels by hand only what somebody looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from napari_stemlearn.scoring.rule import RuleOptions

if TYPE_CHECKING:
    import pandas as pd

FRAMES_DONE = "frames_done"
"""Entry in the record of hand labels with the frames in which every site is labelled."""


def is_exact(truth: pd.DataFrame) -> bool:
    """Whether a true table says of every site that it is exact, as simulations do: its column ``origin`` is ``truth``.

    An empty table claims that nothing is there, and is exact as well. A table without that column is not.
    """
    if len(truth) == 0:
        return True
    return "origin" in truth.columns and bool((truth["origin"] == "truth").all())


def labels_of_record(record: Mapping[str, Any]) -> RuleOptions:
    """What hand labels tell of themselves, as options of `score`.

    Parameters
    ----------
    record
        As beside the labels on disk: ``SitesSidecar.provenance``.

    Returns
    -------
    dict
        ``labelled_frames`` where frames were marked as done, else nothing.
    """
    done = record.get(FRAMES_DONE)
    if not isinstance(done, (list, tuple)) or not done:
        return {}
    return {"labelled_frames": sorted(int(frame) for frame in done)}


def labelled_frames(truth: pd.DataFrame, done: Iterable[int] | None = None) -> list[int] | None:
    """Frames that a true table can judge.

    Parameters
    ----------
    truth
        Site table.
    done
        Frames in which every site is labelled; None or none where nobody marked any.

    Returns
    -------
    list of int or None
        The frames that are done; where none is, those with a label. None stands for all: the truth is exact.
    """
    marked = sorted({int(frame) for frame in done or ()})
    if marked:
        return marked
    return None if is_exact(truth) else sorted({int(frame) for frame in truth["frame"]})
