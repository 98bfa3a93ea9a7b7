"""Amorphous carbon on a specimen: a smooth random thickness in which single carbon atoms scatter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

CARBON = 6
"""Atomic number."""


def smooth_field(rng: np.random.Generator, y: NDArray[Any], x: NDArray[Any], length: float) -> NDArray[np.float32]:
    """Gaussian random field of zero mean and unit variance at every point of the raster `y` by `x`.

    Parameters
    ----------
    rng
        Random numbers.
    y, x
        Rising coordinates, any unit.
    length
        Correlation length, in the same unit.
    """
    knots = length / 2
    y_matrix, x_matrix = _splines(y, knots), _splines(x, knots)
    coefficients = rng.standard_normal((y_matrix.shape[1], x_matrix.shape[1]), dtype=np.float32)
    return np.asarray(y_matrix @ coefficients @ x_matrix.T, dtype=np.float32)


def _splines(places: NDArray[np.floating], knots: float) -> NDArray[np.float32]:
    """Cubic B-splines at `places`, each row of unit length, so that white coefficients give unit variance."""
    u = (places - places[0]) / knots
    first = np.floor(u).astype(int)
    t = u - first
    values = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1)
    values /= np.sqrt((values**2).sum(axis=1, keepdims=True))
    matrix = np.zeros((len(places), first[-1] + 4), dtype=np.float32)
    np.put_along_axis(matrix, first[:, None] + np.arange(4), values.astype(np.float32), axis=1)
    return matrix


def thickness_map(
    rng: np.random.Generator, y: NDArray[Any], x: NDArray[Any], drawn: Mapping[str, float]
) -> NDArray[np.float32]:
    """Thickness of the carbon in angstrom at the raster `y` by `x` (angstrom): patches that rise from bare ground.

    A Gaussian field is cut where it leaves the wanted coverage; its mean over many frames is the drawn thickness.
    """
    cut = ndtri(1 - drawn["coverage"]) if drawn["coverage"] < 1 else -3.0
    mean = np.exp(-(cut**2) / 2) / np.sqrt(2 * np.pi) - cut * ndtr(-cut)
    field = smooth_field(rng, y, x, drawn["correlation_length"])
    return np.maximum(field - cut, 0) * (drawn["thickness"] / mean)


def carbon_atoms(
    rng: np.random.Generator, size: tuple[int, int], spacing: float, drawn: Mapping[str, float]
) -> NDArray[np.int64]:
    """Draw the carbon atoms over a grid.

    Parameters
    ----------
    rng
        Random numbers.
    size
        Points (y, x) of the grid.
    spacing
        Step of the grid in angstrom.
    drawn
        Values with the names of `ContaminationSettings`.

    Returns
    -------
    numpy.ndarray
        Flat index of the grid point of every atom: a Poisson process whose rate follows the thickness, taken as even
        over cells of at most an eighth of the correlation length.
    """
    cell = int(np.clip(drawn["correlation_length"] / (8 * spacing), 1, 16))
    y = (np.arange(-(-size[0] // cell)) + 0.5) * cell * spacing
    x = (np.arange(-(-size[1] // cell)) + 0.5) * cell * spacing
    rate = thickness_map(rng, y, x, drawn) * (drawn["density"] * (cell * spacing) ** 2)
    counts = rng.poisson(rate)
    cells = np.repeat(np.arange(counts.size), counts.ravel())
    inside = rng.integers(0, cell * cell, size=len(cells))
    rows = cells // len(x) * cell + inside // cell
    columns = cells % len(x) * cell + inside % cell
    kept = (rows < size[0]) & (columns < size[1])
    return (rows * size[1] + columns)[kept]


def background(
    rng: np.random.Generator, shape: tuple[int, int], pixel_size: float, drawn: Mapping[str, float]
) -> NDArray[np.float32] | float:
    """Smooth background as a fraction of the incident beam: one number, or an array (y, x) where it varies."""
    level, variation = drawn["background"], drawn["background_variation"]
    if level == 0 or variation == 0:
        return level
    y = np.arange(shape[0]) * pixel_size
    x = np.arange(shape[1]) * pixel_size
    field = smooth_field(rng, y, x, drawn["correlation_length"])
    field *= level * variation
    field += level
    return np.maximum(field, 0, out=field)
