"""Bragg spots in the spectrum of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.float64]

FREQUENCIES = (0.12, 1.3)
"""Lowest and highest frequency of a spot in 1/angstrom."""

ABOVE = 14.0
"""A spot's power is at least this many times the median power at its frequency; noise reaches about 5."""

FEWEST = 3
"""Spots (of each pair one) below which a frame tells no crystal."""


@dataclass(frozen=True)
class Spots:
    """Bragg spots of an image, of each pair one.

    Parameters
    ----------
    frequency
        In 1/angstrom.
    angle
        From x towards y in radians, 0 to pi.
    amplitude
        Fourier amplitude.
    """

    frequency: FloatArray
    angle: FloatArray
    amplitude: FloatArray

    def rings(self, most: int = 3) -> list[float]:
        """Frequencies of the strongest rings in 1/angstrom, from the inside out."""
        left = np.argsort(-self.amplitude)
        found: list[tuple[float, float]] = []
        while len(left):
            same = np.abs(self.frequency[left] / self.frequency[left[0]] - 1) < 0.07
            weights = self.amplitude[left[same]]
            found.append((float(np.average(self.frequency[left[same]], weights=weights)), float(weights.sum())))
            left = left[~same]
        strongest = sorted(found, key=lambda ring: -ring[1])[:most]
        return sorted(frequency for frequency, _ in strongest)


def bragg_spots(image: NDArray[np.generic], pixel_size: float, most: int = 48) -> Spots:
    """Find the Bragg spots of an image.

    Parameters
    ----------
    image
        Shape (y, x).
    pixel_size
        In angstrom.
    most
        The strongest are kept.
    """
    values = np.asarray(image, dtype=float)
    # single bright atoms and dead pixels spread over all frequencies
    values = np.clip(values, *np.quantile(values, [0.005, 0.995]))
    height, width = values.shape
    side = max(height, width)
    windowed = (values - values.mean()) * np.outer(np.hanning(height), np.hanning(width))
    axis = np.fft.fftshift(np.fft.fftfreq(side, pixel_size))
    kept = np.flatnonzero(np.abs(axis) < FREQUENCIES[1] + 0.1)
    power = np.abs(np.fft.fftshift(np.fft.fft2(windowed, (side, side)))[np.ix_(kept, kept)]) ** 2
    power = ndimage.gaussian_filter(power, 0.7)
    axis = axis[kept]
    step = axis[1] - axis[0]
    y, x = np.meshgrid(axis, axis, indexing="ij")
    radius = np.hypot(y, x)
    around = max(int(0.05 / step), 2)
    low, high = max(FREQUENCIES[0], 4 * step), min(FREQUENCIES[1], 0.48 / pixel_size)
    peaks = (
        (power == ndimage.maximum_filter(power, 2 * around + 1))
        & (power > ABOVE * _floor(power, radius, step))
        & (radius > low)
        & (radius < high)
        & ((y > 0) | ((y == 0) & (x > 0)))
    )
    rows, columns = np.nonzero(peaks)
    strongest = np.argsort(-power[rows, columns], kind="stable")[:most]
    rows, columns = rows[strongest], columns[strongest]
    logarithm = np.log(np.pad(power, 1, mode="edge") + 1e-300)
    centre = logarithm[rows + 1, columns + 1]
    off_y = _vertex(logarithm[rows, columns + 1], centre, logarithm[rows + 2, columns + 1])
    off_x = _vertex(logarithm[rows + 1, columns], centre, logarithm[rows + 1, columns + 2])
    at_y, at_x = axis[rows] + off_y * step, axis[columns] + off_x * step
    return Spots(np.hypot(at_y, at_x), np.arctan2(at_y, at_x) % np.pi, np.sqrt(power[rows, columns]))


def _vertex(before: FloatArray, here: FloatArray, after: FloatArray) -> FloatArray:
    """Place of the vertex of a parabola through three neighbours, from the middle one."""
    bend = before - 2 * here + after
    return np.clip(0.5 * (before - after) / np.where(bend < 0, bend, -np.inf), -0.5, 0.5)


def _floor(power: FloatArray, radius: FloatArray, step: float) -> FloatArray:
    """Power without spots: the median at each frequency; along the axes that of the streaks of scan lines."""
    ring = np.rint(radius / (2 * step)).astype(int)
    order = np.argsort(ring, axis=None, kind="stable")
    parts = np.split(power.ravel()[order], np.searchsorted(ring.ravel()[order], np.arange(1, ring.max() + 1)))
    median = np.array([np.median(part) if len(part) else np.inf for part in parts])
    floor = ndimage.minimum_filter1d(median, 5)[ring]
    middle, length = power.shape[0] // 2, max(int(0.1 / step), 9)
    near = slice(max(middle - 2, 0), middle + 3)
    floor[:, near] = np.maximum(floor[:, near], ndimage.median_filter(power[:, near], (length, 1)))
    floor[near] = np.maximum(floor[near], ndimage.median_filter(power[near], (1, length)))
    return floor
