"""What a search and labels tell of themselves, so that sites are scored by what was looked for and looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import pandas as pd

from napari_stemlearn.scoring.labelled import labels_of_record
from napari_stemlearn.scoring.rule import RuleOptions


@runtime_checkable
class SearchedSites(Protocol):
    """Found sites that know their search, such as `napari_stemlearn.finding.Found`."""

    @property
    def sites(self) -> pd.DataFrame:
        """Site table in pixels of the searched micrograph."""

    @property
    def shape(self) -> tuple[int, int] | None:
        """Shape (y, x) of a searched frame in pixels; None where it is not known."""

    @property
    def border(self) -> float:
        """Within this many pixels of the edge no sites were given."""

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames that were searched."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that were looked for."""


@runtime_checkable
class RecordedSites(Protocol):
    """Sites with the record that lies beside them, such as `napari_stemlearn.formats.RecordedTable`."""

    @property
    def sites(self) -> pd.DataFrame:
        """Site table in pixels of the micrograph."""

    @property
    def record(self) -> Mapping[str, Any]:
        """What is known of the search or of the labels, as plain values."""


def search_of_record(record: Mapping[str, Any]) -> RuleOptions:
    """What a search tells of itself, as options of `score`.

    Parameters
    ----------
    record
        As ``Found.record``, and as ``SitesSidecar.provenance`` beside found sites on disk.

    Returns
    -------
    dict
        ``searched_border`` in pixels, ``searched_classes``, ``searched_frames`` and ``shape`` (y, x) in pixels, each
        where the record says it.
    """
    options: RuleOptions = {}
    border, thresholds = record.get("border"), record.get("thresholds")
    if isinstance(border, (int, float)) and border > 0:
        options["searched_border"] = float(border)
    if isinstance(thresholds, Mapping):
        options["searched_classes"] = [str(name) for name in thresholds]
    images = record.get("images") or []
    # where a table is of several images, each has frames of its own
    frames = record.get("frames") or (images[0].get("frames") if len(images) == 1 else None)
    if frames:
        options["searched_frames"] = [int(frame) for frame in frames]
    shape = shape_of_record(record)
    if shape is not None:
        options["shape"] = shape
    return options


def shape_of_record(record: Mapping[str, Any]) -> tuple[int, int] | None:
    """Shape (y, x) in pixels that the frames of a record have; None where it says none, or several."""
    shapes = [record.get("shape"), *(entry.get("shape") for entry in record.get("images") or [])]
    frames = {tuple(entry[-2:]) for entry in shapes if isinstance(entry, (list, tuple)) and len(entry) >= 2}
    if len(frames) != 1:
        return None
    height, width = frames.pop()
    return int(height), int(width)


def with_search(
    found: pd.DataFrame | SearchedSites | RecordedSites, options: RuleOptions
) -> tuple[pd.DataFrame, RuleOptions]:
    """The found table, and the options with what its search tells; options that were given go first."""
    # what is none of them is refused with the table
    if isinstance(found, pd.DataFrame):
        return found, options
    if isinstance(found, SearchedSites):
        searched: RuleOptions = {
            "shape": found.shape,
            "searched_frames": found.frames,
            "searched_border": found.border,
            "searched_classes": found.classes,
        }
        return found.sites, {**searched, **options}
    if isinstance(found, RecordedSites):
        return found.sites, {**search_of_record(found.record), **options}
    return found, options


def with_labels(truth: pd.DataFrame | RecordedSites, options: RuleOptions) -> tuple[pd.DataFrame, RuleOptions]:
    """The true table, and the options with what its record tells of the labels; options that were given go first."""
    if isinstance(truth, pd.DataFrame) or not isinstance(truth, RecordedSites):
        return truth, options
    return truth.sites, {**labels_of_record(truth.record), **options}
