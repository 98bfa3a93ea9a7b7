"""The periodic grid behind an image: its size, its rim, and the frequencies that it carries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

LARGEST_FREQUENCY = 0.36
"""Highest frequency in cycles a grid step that the grid may carry.

Waves then err by a part in 1e3 at the very end, where hardly anything is transferred, and 3e-4 below 0.3."""


@dataclass(frozen=True)
class Grid:
    """The periodic grid behind an image.

    Parameters
    ----------
    size
        Points (y, x).
    oversampling
        Grid points for each pixel of the image, along y and x.
    rim
        Grid points (y, x) before the first pixel.
    half
        Frequency steps (y, x) that hold the probe's aperture.
    """

    size: tuple[int, int]
    oversampling: int
    rim: tuple[int, int]
    half: tuple[int, int]


def plan_grid(
    shape: tuple[int, int], pixel_size: float, *, highest_frequency: float, rim: tuple[float, float] | None
) -> Grid:
    """Choose the grid for an image.

    Parameters
    ----------
    shape
        Of the image (y, x) in pixels.
    pixel_size
        In angstrom.
    highest_frequency
        Band limit of the image in 1/angstrom.
    rim
        Width (y, x) in angstrom of what is computed round the image, so that its edges do not see each other; None
        for an image that repeats.
    """
    oversampling = max(1, ceil(highest_frequency * pixel_size / LARGEST_FREQUENCY - 1e-9))
    spacing = pixel_size / oversampling
    if rim is None:
        size, points = (shape[0] * oversampling, shape[1] * oversampling), (0, 0)
    else:
        # few different sizes, so that images of one batch share their transforms
        points = 8 * ceil(rim[0] / spacing / 8), 8 * ceil(rim[1] / spacing / 8)
        size = (
            fast_length(shape[0] * oversampling + 2 * points[0]),
            fast_length(shape[1] * oversampling + 2 * points[1]),
        )
    step = 0.5 * highest_frequency * spacing
    half = _aperture_steps(step * size[0], size[0]), _aperture_steps(step * size[1], size[1])
    return Grid(size, oversampling, points, half)


def _aperture_steps(radius: float, size: int) -> int:
    """A number of frequency steps above the aperture's radius, and low enough for twice as many on the grid."""
    return min(4 * ceil((radius + 1) / 4), (size - 1) // 4)


@lru_cache(maxsize=4096)
def fast_length(minimum: int) -> int:
    """Smallest even length from `minimum` on without prime factors above 5; a multiple of 16 where it is long."""
    step = 16 if minimum > 128 else 2
    length = step * -(-minimum // step)
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += step
