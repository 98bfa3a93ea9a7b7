"""Move a click onto the atomic column under the cursor, or onto the lattice site whose atoms are missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REACH = 0.8
"""How far a click may be from its column, in angstrom: less than half of any column distance in common crystals."""
ASSUMED_PIXEL_SIZE = 0.2
"""Used for the widths of the filters where the pixel size is not known, in angstrom."""
SPOT, SURROUNDING = 0.4, 0.8
"""Standard deviations in angstrom of the difference of Gaussians that brings out columns of 0.7 to 1.2 angstrom."""
PATCH = 13.0
"""Half the side of the patch in which the lattice is looked for, in angstrom."""
SHORTEST, LONGEST = 1.8, 7.5
"""Lengths in angstrom between which lattice vectors are looked for."""


@dataclass(frozen=True)
class Snap:
    """Where a click ended, in pixels, and what it sits on: ``column``, ``site`` (of the lattice) or ``nothing``."""

    y: float
    x: float
    on: str


def snap(image: NDArray[np.generic], y: float, x: float, *, pixel_size: float | None = None) -> Snap:
    """Find the column next to a position.

    The nearest maximum of a difference of Gaussians within reach is taken, with a parabola for the fraction of a
    pixel. A site without a maximum of its own (a vacancy beside brighter columns) is found from its equals: the
    surroundings of the click are averaged over the lattice vectors of a patch around it, and the maximum of the average
    is taken. Where neither is found the click stays.

    Parameters
    ----------
    image
        One frame (y, x).
    y, x
        Position in pixels.
    pixel_size
        In angstrom; None where it is not known.
    """
    stay = Snap(float(y), float(x), "nothing")
    scale = pixel_size or ASSUMED_PIXEL_SIZE
    row, column = round(y), round(x)
    if not (0 <= row < image.shape[0] and 0 <= column < image.shape[1]):
        return stay
    half = int(np.ceil((REACH + 3 * SURROUNDING) / scale)) + 2
    window, corner = _cut(image, row, column, half)
    if not np.isfinite(window).all() or window.max() == window.min():
        return stay
    found = _nearest_peak(window, y - corner[0], x - corner[1], scale)
    if found is not None:
        return Snap(float(found[0] + corner[0]), float(found[1] + corner[1]), "column")
    average = lattice_average(image, y, x, scale, half)
    if average is not None:
        found = _nearest_peak(average, half, half, scale)
        if found is not None:
            return Snap(float(y + found[0] - half), float(x + found[1] - half), "site")
    return stay


def lattice_average(
    image: NDArray[np.generic], y: float, x: float, pixel_size: float, half: int
) -> NDArray[np.float64] | None:
    """What lies around a position on average over the lattice: the median over all its equals nearby, itself left out.

    Parameters
    ----------
    image
        One frame (y, x).
    y, x
        Position in pixels, the centre of the result.
    pixel_size
        In angstrom.
    half
        The result has ``2 * half + 1`` pixels on a side.

    Returns
    -------
    ndarray or None
        None where no lattice is seen or fewer than four equals fit into the patch.
    """
    from scipy.ndimage import map_coordinates

    patch, corner = _cut(image, round(y), round(x), int(PATCH / pixel_size))
    if not np.isfinite(patch).all() or min(patch.shape) < 2 * SHORTEST / pixel_size:
        return None
    vectors = lattice_vectors(patch, pixel_size)
    if vectors is None:
        return None
    first, second = vectors
    count = int(np.ceil(2 * PATCH / SHORTEST))
    steps = np.arange(-count, count + 1)
    n, m = (grid.ravel() for grid in np.meshgrid(steps, steps))
    moves = n[:, None] * first + m[:, None] * second
    centre = np.array([y - corner[0], x - corner[1]])
    at = centre + moves
    fits = ((at >= half) & (at <= np.array(patch.shape) - 1 - half)).all(axis=1) & ((n != 0) | (m != 0))
    if fits.sum() < 4:
        return None
    rows, columns = np.indices((2 * half + 1,) * 2) - half
    coordinates = at[fits][:, :, None, None] + np.stack([rows, columns])[None]
    values = map_coordinates(patch, coordinates.transpose(1, 0, 2, 3), order=1)
    return np.median(values, axis=0)


def lattice_vectors(
    patch: NDArray[np.float64], pixel_size: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Two shortest lattice vectors (y, x) in pixels from the autocorrelation of a patch, or None without a lattice."""
    from scipy.fft import irfft2, next_fast_len, rfft2
    from scipy.ndimage import maximum_filter

    bumps = _bumps(patch, pixel_size)
    bumps -= bumps.mean()
    shape = [next_fast_len(2 * length, real=True) for length in patch.shape]
    reach = int(LONGEST / pixel_size)

    def correlate(values: NDArray[np.float64]) -> NDArray[np.float64]:
        full = irfft2(np.abs(rfft2(values, shape)) ** 2, shape)
        return np.roll(full, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]

    overlap = np.maximum(correlate(np.ones_like(patch)), 1.0)
    map_ = correlate(bumps) / overlap
    rows, columns = np.indices(map_.shape) - reach
    length = np.hypot(rows, columns) * pixel_size
    peak = (map_ == maximum_filter(map_, size=3)) & (length > SHORTEST) & (length < LONGEST)
    peak &= (rows > 0) | ((rows == 0) & (columns > 0))
    if not peak.any():
        return None
    best = map_[peak].max()
    if best < 0.15 * map_[reach, reach]:
        return None
    places = np.argwhere(peak & (map_ >= 0.75 * best))
    places = places[np.argsort(length[tuple(places.T)])]
    vectors = [_parabola(map_, place) - reach for place in places]
    first = vectors[0]
    for second in vectors[1:]:
        sine = abs(first[0] * second[1] - first[1] * second[0]) / (np.linalg.norm(first) * np.linalg.norm(second))
        if sine > 0.4:
            return first, second
    return None


def _cut(image: NDArray[np.generic], row: int, column: int, half: int) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Part of an image around a pixel, and where its corner lies."""
    top, left = max(row - half, 0), max(column - half, 0)
    return np.asarray(image[top : row + half + 1, left : column + half + 1], dtype=float), (top, left)


def _bumps(window: NDArray[np.float64], pixel_size: float) -> NDArray[np.float64]:
    """Difference of Gaussians."""
    from scipy.ndimage import gaussian_filter

    fine = gaussian_filter(window, SPOT / pixel_size, mode="nearest")
    return fine - gaussian_filter(window, SURROUNDING / pixel_size, mode="nearest")


def _nearest_peak(window: NDArray[np.float64], y: float, x: float, pixel_size: float) -> NDArray[np.float64] | None:
    """The maximum nearest to a position and within reach of it, to a fraction of a pixel."""
    from scipy.ndimage import maximum_filter

    bumps = _bumps(window, pixel_size)
    peaks = np.argwhere((bumps == maximum_filter(bumps, size=3)) & (bumps > 0))
    if len(peaks) == 0:
        return None
    distance = np.hypot(peaks[:, 0] - y, peaks[:, 1] - x) * pixel_size
    nearest = int(np.argmin(distance))
    return _parabola(bumps, peaks[nearest]) if distance[nearest] <= REACH else None


def _parabola(values: NDArray[np.float64], peak: NDArray[np.int64]) -> NDArray[np.float64]:
    """Top of the parabola through a maximum and its neighbours, axis by axis; the maximum itself on the rim."""
    top = peak.astype(float)
    for axis in (0, 1):
        if 0 < peak[axis] < values.shape[axis] - 1:
            step = np.eye(2, dtype=int)[axis]
            before, here, after = (float(values[tuple(peak + k * step)]) for k in (-1, 0, 1))
            bend = before - 2 * here + after
            if bend < 0:
                top[axis] += 0.5 * (before - after) / bend
    return top
