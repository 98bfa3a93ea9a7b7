"""Positions of sites refined on the image itself, in blocks of a frame of any size."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemlearn.finding.frame_reader import FrameReader
from napari_stemlearn.finding.gaussians import fit_gaussians
from napari_stemlearn.finding.tiles import Span, plan_tiles

BLOCK = 2048
"""Side in pixels of the parts that are read together."""


def refine_positions(
    reader: FrameReader,
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    *,
    sigma: float,
    max_shift: float,
    polarity: str = "bright",
) -> pd.DataFrame:
    """Fit a 2D Gaussian to the image at each site.

    Parameters
    ----------
    reader
        The frame.
    y, x
        Positions in pixels.
    sigma
        Expected standard deviation of a column in pixels.
    max_shift
        A fit that moves a site farther than this many pixels is refused: the site stays where it was.
    polarity
        ``bright`` or ``dark`` columns.

    Returns
    -------
    pandas.DataFrame
        ``y, x, error, sigma`` in pixels, ``amplitude`` in grey levels, ``refined`` (False where the fit was refused;
        error, sigma and amplitude are NaN there), one row a site.
    """
    table = pd.DataFrame(
        {"y": y, "x": x, "error": np.nan, "sigma": np.nan, "amplitude": np.nan, "refined": np.zeros(len(y), bool)}
    )
    margin = int(np.ceil(max(2 * sigma, 2.0) + max_shift)) + 3
    height, width = reader.shape
    row, column = np.clip(np.rint(y), 0, height - 1), np.clip(np.rint(x), 0, width - 1)
    for tile in plan_tiles(reader.shape, BLOCK):
        here = np.flatnonzero(
            (row >= tile.y.start) & (row < tile.y.stop) & (column >= tile.x.start) & (column < tile.x.stop)
        )
        if not len(here):
            continue
        wide_y, wide_x = tile.y.grown(margin, height), tile.x.grown(margin, width)
        image = reader.read(_slice(wide_y), _slice(wide_x))
        fits = fit_gaussians(image, y[here] - wide_y.start, x[here] - wide_x.start, sigma, polarity=polarity)
        new_y, new_x = fits.y + wide_y.start, fits.x + wide_x.start
        good = fits.converged & (np.hypot(new_y - y[here], new_x - x[here]) <= max_shift)
        kept = here[good]
        table.loc[kept, "y"], table.loc[kept, "x"] = new_y[good], new_x[good]
        table.loc[kept, "error"], table.loc[kept, "sigma"] = fits.error[good], fits.sigma[good]
        table.loc[kept, "amplitude"] = fits.amplitude[good] * reader.deviation
        table.loc[kept, "refined"] = True
    return table


def _slice(span: Span) -> slice:
    return slice(span.start, span.stop)
