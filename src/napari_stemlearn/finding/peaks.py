"""Local maxima of a map, their sub-pixel centres, and which of two close ones stays."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

Indices = tuple[NDArray[np.int64], NDArray[np.int64]]

_BEFORE = ((-1, -1), (-1, 0), (-1, 1), (0, -1))
_AFTER = ((0, 1), (1, -1), (1, 0), (1, 1))
_BLOCK = 4096  # spots whose patches are held at once


def local_maxima(values: NDArray[np.floating], threshold: float, core: tuple[slice, slice] | None = None) -> Indices:
    """Pixels at or above the threshold that none of their eight neighbours exceeds.

    Of neighbours with equal values the first in reading order counts, so a small plateau gives one maximum, and what a
    pixel is depends on its neighbours alone: tiles with one more pixel around them give what the whole map gives.

    Parameters
    ----------
    values
        Map (y, x).
    threshold
        Lowest value of a maximum.
    core
        Only maxima in this part are given; None for everywhere.

    Returns
    -------
    y, x
        Pixel indices into `values`, in reading order.
    """
    part = (slice(0, values.shape[0]), slice(0, values.shape[1])) if core is None else core
    y, x = np.nonzero(values[part] >= threshold)
    # a rim that no pixel fails to exceed, so that every pixel has eight neighbours
    rimmed = np.pad(_real(values), 1, constant_values=-np.inf)
    width, level = rimmed.shape[1], rimmed.ravel()
    place = (y + part[0].start + 1) * width + x + part[1].start + 1
    for offsets, equal_passes in ((_BEFORE, False), (_AFTER, True)):
        for dy, dx in offsets:
            here, there = level[place], level[place + dy * width + dx]
            place = place[here >= there if equal_passes else here > there]
    return place // width - 1, place % width - 1


def _real(values: NDArray) -> NDArray[np.floating]:
    """Whole numbers, which know no infinity, as real ones."""
    return values.astype(np.result_type(values, np.float32), copy=False)


def patch_radius(radius: float) -> int:
    """Pixels on each side of a maximum that `spot_centres` looks at."""
    return int(np.ceil(2 * radius)) + 1


def spot_centres(
    values: NDArray[np.floating], y: NDArray[np.int64], x: NDArray[np.int64], radius: float, *, iterations: int = 60
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sub-pixel centres of the spots at local maxima: centroid in a Gaussian window that moves with it.

    Only what exceeds half the maximum takes part, so that neighbours and background pull little; a saturated, flat spot
    gives its middle.

    Parameters
    ----------
    values
        Map (y, x).
    y, x
        Pixels of the maxima.
    radius
        Radius of a spot in pixels.

    Returns
    -------
    y, x
        Centres in pixels.
    """
    reach = patch_radius(radius)
    offset = np.arange(-reach, reach + 1)
    centre_y, centre_x = y.astype(float), x.astype(float)
    height, width = values.shape
    patches = sliding_window_view(np.pad(_real(values), reach, constant_values=-np.inf), (len(offset), len(offset)))
    for start in range(0, len(y), _BLOCK):
        part = slice(start, start + _BLOCK)
        half = 0.5 * values[y[part], x[part]]
        weight = np.maximum(patches[y[part], x[part]] - half[:, None, None], 0).astype(float)
        active = np.arange(len(weight))
        shift = np.zeros((2, len(weight)))
        here = shift
        for _ in range(iterations):
            window_y, window_x = np.exp(-0.5 * ((offset - here[:, :, None]) / radius) ** 2)
            # separable window: sums over rows and columns instead of whole patches
            along_x = np.matmul(weight, window_x[:, :, None])[:, :, 0]
            along_y = np.matmul(window_y[:, None, :], weight)[:, 0]
            total = np.maximum((along_x * window_y).sum(axis=1), 1e-300)
            new_y = (along_x * window_y * offset).sum(axis=1) / total
            new_x = (along_y * window_x * offset).sum(axis=1) / total
            moving = np.hypot(new_y - here[0], new_x - here[1]) > 1e-4
            here = np.stack([new_y, new_x])
            shift[:, active] = here
            if not moving.any():
                break
            if not moving.all():
                active, weight, here = active[moving], weight[moving], here[:, moving]
        centre_y[part] += shift[0]
        centre_x[part] += shift[1]
    return np.clip(centre_y, -0.5, height - 0.5), np.clip(centre_x, -0.5, width - 0.5)


def keep_apart(
    y: NDArray[np.float64], x: NDArray[np.float64], score: ArrayLike, min_distance: float
) -> NDArray[np.int64]:
    """Choose sites that are at least `min_distance` apart, the best first; what a chosen one excludes is gone.

    Parameters
    ----------
    y, x, min_distance
        In pixels.
    score
        The higher one stays; of equal ones the first in reading order.

    Returns
    -------
    numpy.ndarray
        Indices of the chosen sites, rising.
    """
    count = len(y)
    rank = np.empty(count, np.int64)
    rank[np.lexsort((x, y, -np.asarray(score, dtype=float)))] = np.arange(count)
    if count > 1 and min_distance > 0:
        pairs = cKDTree(np.stack([y, x], axis=1)).query_pairs(np.nextafter(min_distance, 0), output_type="ndarray")
    else:
        pairs = np.empty((0, 2), np.int64)
    swap = rank[pairs[:, 0]] > rank[pairs[:, 1]]
    better, worse = np.where(swap, pairs[:, 1], pairs[:, 0]), np.where(swap, pairs[:, 0], pairs[:, 1])
    gone = np.zeros(count, bool)
    while len(better):
        beaten = np.zeros(count, bool)
        beaten[worse] = True
        # whoever no remaining site beats is chosen for good, and takes its neighbours out
        gone[worse[~beaten[better]]] = True
        alive = ~(gone[better] | gone[worse])
        better, worse = better[alive], worse[alive]
    return np.flatnonzero(~gone)
