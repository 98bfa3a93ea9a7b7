"""Positions of sites refined on the image itself, in blocks of a frame of any size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

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
        A fit that moves a site farther than this many pixels, or out of the frame, is refused: the site stays where it
        was.
    polarity
        ``bright`` or ``dark`` columns.

    Returns
    -------
    pandas.DataFrame
        ``y, x, error, sigma`` in pixels, ``amplitude`` in grey levels, ``refined`` (False where the fit was refused;
        error, sigma and amplitude are NaN there), ``beyond_frame`` (whether the fit's centre lies outside the frame),
        one row a site.
    """
    table = pd.DataFrame(
        {"y": y, "x": x, "error": np.nan, "sigma": np.nan, "amplitude": np.nan, "refined": np.zeros(len(y), bool)}
    )
    table["beyond_frame"] = False
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
        beyond = (np.abs(new_y - (height - 1) / 2) > height / 2) | (np.abs(new_x - (width - 1) / 2) > width / 2)
        table.loc[here, "beyond_frame"] = beyond
        good &= ~beyond
        kept = here[good]
        table.loc[kept, "y"], table.loc[kept, "x"] = new_y[good], new_x[good]
        table.loc[kept, "error"], table.loc[kept, "sigma"] = fits.error[good], fits.sigma[good]
        table.loc[kept, "amplitude"] = fits.amplitude[good] * reader.deviation
        table.loc[kept, "refined"] = True
    return table


def set_back_close(
    fits: pd.DataFrame,
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    label: NDArray[np.object_],
    groups: Sequence[Sequence[str]],
    distance: float,
) -> None:
    """Take refinements back that bring two sites too close to each other, until none does.

    Of a close pair the site that moved farther goes back first.

    Parameters
    ----------
    fits
        As of `refine_positions`; changed in place.
    y, x
        Positions in pixels before the refinement, apart in each group.
    label
        Class of each site.
    groups
        Classes whose sites are kept apart from each other.
    distance
        In pixels.
    """
    members = [np.flatnonzero(np.isin(label.astype(str), list(group))) for group in groups]
    while True:
        now = fits[["y", "x"]].to_numpy(dtype=float)
        moved = np.where(fits["refined"], np.hypot(now[:, 0] - y, now[:, 1] - x), 0.0)
        pairs = np.concatenate([_close_pairs(now, some, distance) for some in members] or [np.empty((0, 2), np.int64)])
        farther = np.where(moved[pairs[:, 0]] >= moved[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
        back = np.unique(farther[fits["refined"].to_numpy(dtype=bool)[farther]])
        if not len(back):
            return
        fits.loc[back, "y"], fits.loc[back, "x"] = y[back], x[back]
        fits.loc[back, ["error", "sigma", "amplitude"]] = np.nan
        fits.loc[back, "refined"] = False


def _close_pairs(points: NDArray[np.float64], members: NDArray[np.int64], distance: float) -> NDArray[np.int64]:
    """Pairs of members nearer to each other than `distance`; shape (n, 2)."""
    if len(members) < 2:
        return np.empty((0, 2), np.int64)
    # what is apart by exactly the distance may look closer after a change of the pixel size
    pairs = cKDTree(points[members]).query_pairs(distance * (1 - 1e-6), output_type="ndarray")
    return members[pairs]


def _slice(span: Span) -> slice:
    return slice(span.start, span.stop)
