"""What a specimen that repeats at the edges of the image consists of, and where its copies lie."""

from __future__ import annotations

from itertools import product
from math import ceil

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.imaging.plain_specimen import SpecimenLike


def repeating_part(
    specimen: SpecimenLike, places: NDArray[np.float64], period: tuple[float, float]
) -> NDArray[np.bool_]:
    """Mask of the columns or defects that repeat; what lies in the margin of a specimen is there a second time.

    Parameters
    ----------
    specimen
        A specimen without a margin repeats as a whole, its atoms beyond the image come back on the other side.
    places
        y, x of the specimen's columns or defects in angstrom, shape (n, 2).
    period
        Height and width of the image in angstrom.

    Returns
    -------
    ndarray of bool
        Shape (n,).
    """
    if specimen.margin == 0:
        return np.ones(len(places), dtype=bool)
    return np.all((places >= 0) & (places < np.asarray(period)), axis=1)


def copies(
    places: NDArray[np.float64], period: tuple[float, float], reach: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Places of all copies that a scan can see.

    Parameters
    ----------
    places
        y, x in angstrom, shape (n, 2).
    period
        Height and width of the image in angstrom.
    reach
        How far (y, x) in angstrom beyond the image copies are wanted.

    Returns
    -------
    places, rows
        y, x of the copies, shape (m, 2), and of which place each is one, shape (m,).
    """
    size = np.asarray(period)
    steps = [range(-ceil(far / side), ceil(far / side) + 1) for far, side in zip(reach, period, strict=True)]
    shifts = np.array(list(product(*steps))) * size
    moved = (places % size)[None] + shifts[:, None]
    return moved.reshape(-1, 2), np.tile(np.arange(len(places)), len(shifts))
