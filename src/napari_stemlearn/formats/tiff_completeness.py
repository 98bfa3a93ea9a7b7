"""Whether a TIFF file holds all that it says: tifffile opens what is left of a truncated one without a word."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from napari_stemlearn.errors import FormatError


def check_complete(path: Path, tiff: Any, series: Any) -> None:
    """Refuse a series of which pages or values are missing.

    Raises
    ------
    FormatError
        Says what is missing.
    """
    missing = [page for page in series.pages if page is None]
    if missing:
        raise FormatError(f"{path.name} lacks {len(missing)} of its {len(series.pages)} pages: it is truncated.")
    promised, found = _promised_pages(tiff, series)
    if found < promised:
        raise FormatError(
            f"{path.name} is truncated: its description tells of {promised} frames, of which {found} are there."
        )
    end = max(
        (
            offset + count
            for page in series.pages
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
        ),
        default=0,
    )
    if end > path.stat().st_size:
        raise FormatError(f"{path.name} is truncated: its image data end beyond the end of the file.")


def _promised_pages(tiff: Any, series: Any) -> tuple[int, int]:
    """How many pages the description tells of and how many there are; a run of values counts as its pages."""
    first = series.pages[0].aspage()
    size = max(math.prod(first.shape), 1)
    if series.kind == "imagej":
        here = len(series.pages) if series.dataoffset is None else math.prod(series.shape) // size
        return int((tiff.imagej_metadata or {}).get("images", 1)), here
    if tiff.is_imagej and series.kind in ("generic", "uniform"):
        # ImageJ describes one page and puts all planes after it: where these end early, tifffile gives the page alone
        here = sum(math.prod(entry.shape) for entry in tiff.series) // size
        return int((tiff.imagej_metadata or {}).get("images", 1)), here
    shape = _described_shape(first)
    # an image that was cut out of another may have kept its description
    alike = shape[-len(first.shape) :] == tuple(first.shape)
    return (math.prod(shape) // size if alike else 0), math.prod(series.shape) // size


def _described_shape(page: Any) -> tuple[int, ...]:
    """The shape in the JSON that tifffile writes; empty where there is none."""
    try:
        shape = json.loads(str(page.description or ""))["shape"]
        return tuple(int(length) for length in shape)
    except (ValueError, TypeError, KeyError):
        return ()
