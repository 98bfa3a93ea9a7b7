"""Points of a plane lattice inside a rectangle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def lattice_points(
    vectors: NDArray[np.float64],
    origin: NDArray[np.float64],
    low: tuple[float, float],
    high: tuple[float, float],
) -> NDArray[np.int64]:
    """Find the lattice points inside a rectangle, row by row, without looking at points outside.

    Parameters
    ----------
    vectors
        Lattice vectors as rows (x, y), shape (2, 2).
    origin
        Position (x, y) of the point (0, 0).
    low, high
        Corners (x, y) of the rectangle, both inside.

    Returns
    -------
    numpy.ndarray
        Integer coordinates (n, 2) along the two vectors.
    """
    first, second = vectors
    corners = np.array([(low[0], low[1]), (low[0], high[1]), (high[0], low[1]), (high[0], high[1])]) - origin
    rows = (corners @ np.linalg.inv(vectors))[:, 1]
    n2 = np.arange(np.floor(rows.min()), np.ceil(rows.max()) + 1)
    start = origin + n2[:, None] * second
    least = np.full(len(n2), -np.inf)
    most = np.full(len(n2), np.inf)
    for axis in range(2):
        step = first[axis]
        if abs(step) < 1e-12:
            outside = (start[:, axis] < low[axis]) | (start[:, axis] > high[axis])
            most[outside] = -np.inf
            continue
        ends = (low[axis] - start[:, axis]) / step, (high[axis] - start[:, axis]) / step
        least = np.maximum(least, np.minimum(*ends))
        most = np.minimum(most, np.maximum(*ends))
    full = most >= least
    n2, least, most = n2[full], np.ceil(least[full]), np.floor(most[full])
    counts = np.maximum(most - least + 1, 0).astype(np.int64)
    begins = np.cumsum(counts) - counts
    n1 = np.arange(counts.sum()) + np.repeat(least.astype(np.int64) - begins, counts)
    return np.stack([n1, np.repeat(n2.astype(np.int64), counts)], axis=1)
