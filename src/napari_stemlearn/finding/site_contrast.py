"""Whether a site is brighter than what lies around it: networks also set columns that a lattice lets them expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_stemlearn.finding.frame_reader import FrameReader
from napari_stemlearn.finding.tiles import plan_tiles

if TYPE_CHECKING:
    from napari_stemlearn.models.card import ModelCard

SMOOTHING = 0.3
"""Standard deviation in angstrom of the Gaussian that takes noise away."""

RING = 0.45
"""Radius in angstrom of the ring around a site; half of a dumbbell's 1.36 angstrom is farther."""

BLOCK = 2048
"""Side in pixels of the parts that are read together."""

MANY = 0.1
"""From this part of the sites on it is said that they are not brighter. Measured images of layers and metals whose
columns are all seen give 0 to 0.03, sulphur beside tungsten 0.02 to 0.23, oxygen in perovskites 0.3 to 0.5."""

FEWEST = 10
"""And from so many sites on."""


def site_contrast(
    reader: FrameReader, y: NDArray[np.float64], x: NDArray[np.float64], pixel_size: float
) -> NDArray[np.float64]:
    """Brightness at each site less the mean of a ring around it, in standard deviations of the frame.

    Parameters
    ----------
    reader
        The frame.
    y, x
        Positions in pixels, shape (n,).
    pixel_size
        In angstrom.

    Returns
    -------
    numpy.ndarray
        Shape (n,); 0 or less where a site is no brighter than what lies around it.
    """
    sigma, radius = max(SMOOTHING / pixel_size, 0.5), max(RING / pixel_size, 1.0)
    margin = int(np.ceil(radius + 4 * sigma)) + 2
    height, width = reader.shape
    row, column = np.clip(np.rint(y), 0, height - 1), np.clip(np.rint(x), 0, width - 1)
    angle = np.arange(12) * np.pi / 6
    contrast = np.zeros(len(y))
    for tile in plan_tiles(reader.shape, BLOCK):
        here = np.flatnonzero(
            (row >= tile.y.start) & (row < tile.y.stop) & (column >= tile.x.start) & (column < tile.x.stop)
        )
        if not len(here):
            continue
        wide_y, wide_x = tile.y.grown(margin, height), tile.x.grown(margin, width)
        block = reader.read(slice(wide_y.start, wide_y.stop), slice(wide_x.start, wide_x.stop))
        smooth = gaussian_filter(block, sigma, mode="nearest")
        at_y, at_x = y[here] - wide_y.start, x[here] - wide_x.start
        ring_y = at_y + radius * np.sin(angle)[:, None]
        ring_x = at_x + radius * np.cos(angle)[:, None]
        middle, ring = (
            map_coordinates(smooth, place, order=1, mode="nearest") for place in ([at_y, at_x], [ring_y, ring_x])
        )
        contrast[here] = middle - ring.mean(axis=0)
    return contrast


def marks_all_columns(card: ModelCard) -> bool:
    """Whether a network was trained to mark every column, as its card tells."""
    targets = card.settings.get("targets") or {}
    return any("all columns" in wanted for wanted in (targets.get("classes") or {}).values())


def unseen_note(contrast: NDArray[np.float64], frame: int) -> tuple[str, ...]:
    """A sentence where many sites are not brighter than what lies around them.

    Parameters
    ----------
    contrast
        As of `site_contrast`, of the sites that are reported.
    frame
        Index of the frame.
    """
    unseen = int(np.count_nonzero(contrast <= 0))
    if unseen < FEWEST or unseen < MANY * len(contrast):
        return ()
    return (
        f"Frame {frame}: {unseen} of {len(contrast)} sites lie where the image is not brighter than around it: set by "
        "the lattice around them, not seen (contrast 0 or less).",
    )
