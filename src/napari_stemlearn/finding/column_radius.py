"""How wide the columns of an image are, and how noisy it is, from its power spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import median_filter

LONGEST_PERIOD = 6.0
"""In angstrom: slower changes are background, not columns."""

SMALLEST_RADIUS, LARGEST_RADIUS = 0.35, 2.0
"""Bounds of the radius in angstrom."""

TYPICAL_RADIUS = 0.5
"""At least this, in angstrom, without a lattice: nothing then tells narrow columns from correlated noise."""

LATTICE = 60.0
"""The strongest of a million values of pure noise is about 14 times its ring's level."""


@dataclass(frozen=True)
class Texture:
    """What the spectrum tells of an image.

    Parameters
    ----------
    column_radius
        In angstrom: 1.4 standard deviations of the mean column.
    noise
        Standard deviation of the white noise of a pixel, in grey levels.
    bragg
        How far the strongest spot of the spectrum stands out of its ring (ratio to the ring's level).
    """

    column_radius: float
    noise: float
    bragg: float

    @property
    def is_lattice(self) -> bool:
        """Whether the columns form a lattice."""
        return self.bragg > LATTICE


def estimate_column_radius(image: NDArray[np.floating], pixel_size: float) -> float:
    """Radius of the columns in angstrom, from the width of the image's autocorrelation.

    Parameters
    ----------
    image
        Shape (y, x).
    pixel_size
        In angstrom.
    """
    return measure_texture(image, pixel_size).column_radius


def measure_texture(image: NDArray[np.floating], pixel_size: float) -> Texture:
    """Column radius, white noise and lattice of an image.

    The autocorrelation is the Fourier transform of the power spectrum (Wiener 1930, Khinchin 1934); that of equal
    Gaussian columns falls to half at 1.67 standard deviations, until the neighbours come in.

    Parameters
    ----------
    image
        Shape (y, x), any grey levels.
    pixel_size
        In angstrom.
    """
    height, width = image.shape
    data = image - image.mean()
    taper = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[None, 1:-1]
    power = np.abs(fft.rfft2(data * taper)) ** 2 / np.sum(taper**2)
    ky = fft.fftfreq(height)[:, None]
    kx = fft.rfftfreq(width)[None, :]
    frequency = np.hypot(ky, kx)
    high = power[frequency > 0.42]
    # power of white noise has an exponential distribution: its median is ln 2 of its mean
    noise_power = float(np.median(high)) / np.log(2) if high.size else 0.0
    bragg, diffuse = _rings(power, frequency, pixel_size)
    _add_streaks(diffuse, power)
    lattice = bragg > LATTICE
    rising = (1 - np.exp(-0.5 * (frequency * LONGEST_PERIOD / pixel_size) ** 2) ** 2) ** 2
    # not cut at zero: what noise is left then cancels instead of making a spike at the origin
    correlation = fft.irfft2((power - (diffuse if lattice else noise_power)) * rising, s=image.shape)
    radius = _half_width(correlation, 0.5 * LONGEST_PERIOD / pixel_size) / 1.665 * pixel_size * np.sqrt(2)
    smallest = max(SMALLEST_RADIUS if lattice else TYPICAL_RADIUS, 1.1 * pixel_size)
    radius = float(np.clip(radius, smallest, max(LARGEST_RADIUS, smallest)))
    return Texture(radius, float(np.sqrt(noise_power)), bragg)


def _half_width(correlation: NDArray[np.floating], farthest: float) -> float:
    """Pixels to where the radial mean has fallen half way from its top to its lowest value within `farthest` pixels."""
    height, width = correlation.shape
    reach = min(height, width) // 2
    index_y, index_x = np.arange(-reach, reach), np.arange(-reach, reach)
    distance = np.hypot(index_y[:, None], index_x[None, :])
    ring = np.rint(distance * 2).astype(int)
    total = np.bincount(ring.ravel(), correlation[np.ix_(index_y % height, index_x % width)].ravel())
    number = np.bincount(ring.ravel())
    known = np.flatnonzero(number)
    known = known[known <= 2 * reach]
    profile, place = total[known] / number[known], known / 2
    lowest = int(np.argmin(np.where(place <= max(farthest, 2.0), profile, np.inf)))
    half = 0.5 * (profile[0] + profile[lowest])
    below = int(np.argmax(profile[: lowest + 1] <= half))
    if below == 0:
        return float(place[lowest])
    upper, lower = profile[below - 1], profile[below]
    return float(place[below - 1] + (place[below] - place[below - 1]) * (upper - half) / (upper - lower))


def _add_streaks(diffuse: NDArray[np.float64], power: NDArray[np.floating]) -> None:
    """Raise the level along both axes, where lines that jump or differ in brightness leave a streak of noise."""
    if min(power.shape) < 31:
        return
    level = median_filter(power[:, :3], size=(31, 1), mode="wrap") / np.log(2)
    diffuse[:, :3] = np.maximum(diffuse[:, :3], level)
    for row in (-2, -1, 0, 1, 2):
        level = median_filter(power[row], size=31, mode="reflect") / np.log(2)
        diffuse[row] = np.maximum(diffuse[row], level)


def _rings(
    power: NDArray[np.floating], frequency: NDArray[np.floating], pixel_size: float
) -> tuple[float, NDArray[np.float64]]:
    """Largest ratio of the power to its ring's level, for periods of 0.8 to 6 angstrom, and that level everywhere.

    The level of a ring is its median over ln 2: the mean of what is no Bragg spot.
    """
    ring = np.rint(frequency * min(power.shape[0], 2 * (power.shape[1] - 1))).astype(int).ravel()
    order = np.argsort(ring, kind="stable")
    values = power.ravel()[order]
    levels = np.array([np.median(part) for part in np.split(values, np.flatnonzero(np.diff(ring[order])) + 1)])
    diffuse = (levels / np.log(2))[np.unique(ring, return_inverse=True)[1]].reshape(power.shape)
    use = (frequency > pixel_size / LONGEST_PERIOD) & (frequency < min(pixel_size / 0.8, 0.5)) & (diffuse > 0)
    return float((power[use] / diffuse[use]).max()) if use.any() else 0.0, diffuse
