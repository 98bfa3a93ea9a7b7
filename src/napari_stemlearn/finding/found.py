"""What a search gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemlearn.sites import concat_sites


@dataclass(frozen=True)
class FrameFound:
    """Sites of one frame.

    Parameters
    ----------
    frame
        Index of the frame.
    sites
        Site table in pixels of the original frame.
    maps
        Score maps by class, shape (y, x) at `map_pixel_size`, or None where not asked for.
    map_pixel_size
        In angstrom; the upper left corner of maps and frame coincide.
    notes
        Full sentences on what was done that the user should know.
    border
        Sites within this many pixels of the edge of the frame were left out.
    """

    frame: int
    sites: pd.DataFrame
    maps: dict[str, NDArray[np.float32]] | None = None
    map_pixel_size: float | None = None
    notes: tuple[str, ...] = ()
    border: float = 0.0


@dataclass(frozen=True)
class Found:
    """Sites of a micrograph; `scoring.score` takes it as it is.

    Parameters
    ----------
    sites
        Site table in pixels of the original micrograph, all frames.
    maps
        Score maps by class, with a frame axis where the micrograph has one, at `map_pixel_size`; None where not asked
        for.
    map_pixel_size
        In angstrom.
    notes
        Full sentences on what was done that the user should know.
    frames
        Frames that were searched, in order.
    stopped
        Whether it was stopped before the last frame; finished frames are kept.
    record
        Model, settings, pixel size, border and shape, for provenance.
    border
        Sites within this many pixels of the edge of a frame were left out.
    shape
        Of a frame (y, x) in pixels; None where it is not known.
    classes
        That were looked for.
    """

    sites: pd.DataFrame
    maps: dict[str, NDArray[np.float32]] | None = None
    map_pixel_size: float | None = None
    notes: tuple[str, ...] = ()
    frames: tuple[int, ...] = ()
    stopped: bool = False
    record: dict[str, Any] = field(default_factory=dict)
    border: float = 0.0
    shape: tuple[int, int] | None = None
    classes: tuple[str, ...] = ()


def joined(
    parts: list[FrameFound],
    *,
    is_stack: bool,
    stopped: bool,
    notes: tuple[str, ...],
    record: dict[str, Any],
    border: float,
    shape: tuple[int, int],
    classes: tuple[str, ...],
) -> Found:
    """Join the frames of a micrograph."""
    maps = None
    searched = [part for part in parts if part.maps is not None]
    if searched and searched[0].maps is not None:
        maps = {name: _stacked(parts, name) if is_stack else values for name, values in searched[0].maps.items()}
    return Found(
        sites=concat_sites([part.sites for part in parts]),
        maps=maps,
        map_pixel_size=searched[0].map_pixel_size if searched else None,
        notes=tuple(dict.fromkeys([*notes, *(note for part in parts for note in part.notes)])),
        frames=tuple(part.frame for part in parts),
        stopped=stopped,
        record=record,
        border=border,
        shape=shape,
        classes=classes,
    )


def _stacked(parts: list[FrameFound], name: str) -> NDArray[np.float32]:
    """Maps of one class of all frames; NaN for frames that were left out."""
    shape = next(part.maps[name].shape for part in parts if part.maps is not None)
    stack = np.full((len(parts), *shape), np.nan, np.float32)
    for index, part in enumerate(parts):
        if part.maps is not None:
            stack[index] = part.maps[name]
    return stack
