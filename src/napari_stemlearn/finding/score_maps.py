"""What a finder hands to the peak search: score maps of a frame, tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.finding.tiles import Span, Tile


@dataclass(frozen=True)
class ScoreMaps:
    """Score maps of one frame, computed where they are asked for.

    Parameters
    ----------
    shape
        Of the maps (y, x).
    pixel_size
        Of the maps, in angstrom.
    tiles
        What to ask for.
    window
        Gives the maps (class, y, x) of a window of the frame, in float32.
    spot_radius
        Radius of a spot in the maps, in pixels.
    notes
        Full sentences for the user.
    """

    shape: tuple[int, int]
    pixel_size: float
    tiles: list[Tile]
    window: Callable[[Span, Span], NDArray[np.float32]]
    spot_radius: float
    notes: tuple[str, ...] = ()
