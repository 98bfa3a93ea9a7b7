"""Where columns are seen when the probe is not symmetric."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.imaging.aberrations import ORDERS, SYMMETRIES, aberration_polynomials, aberration_vector
from napari_stemlearn.imaging.gaussian_width import SIGMA_OF_FWHM
from napari_stemlearn.imaging.scattering import wavelength

POINTS, RADIUS = 64, 14
"""Side of the grid on which the probe is looked at, and the aperture's radius in its frequency steps."""

ATOM = 0.25
"""Standard deviation in angstrom of what an atom adds to the width of its image: scattering, and pixels."""


def seen_shift(drawn: Mapping[str, float]) -> tuple[float, float]:
    """How far (y, x) in angstrom from its place an atom is seen: the brightest point of its image.

    Coma moves the probe, more so or the other way round beside astigmatism. Nobody who looks at an image can tell that
    from another place of the specimen. Probes that look the same when turned by half a turn move nothing, so only
    aberrations of odd symmetry count.

    Parameters
    ----------
    drawn
        Names and units of `ProbeSettings`.
    """
    vector = aberration_vector(drawn)
    if not vector[SYMMETRIES % 2 == 1].any():
        return 0.0, 0.0
    wave, aperture = wavelength(drawn["beam_energy"]), 1e-3 * drawn["convergence_semiangle"]
    inside, polynomials = _aperture()
    chi = (2 * np.pi / wave * vector * aperture ** (ORDERS + 1)) @ polynomials
    pupil = np.zeros((POINTS, POINTS), dtype=complex)
    # the conjugate wave: the atom is seen by a probe that moves over it
    pupil[inside] = np.exp(1j * chi)
    density = np.abs(np.fft.ifft2(pupil)) ** 2
    step = RADIUS * wave / (POINTS * aperture)
    smear = np.hypot(np.hypot(ATOM, drawn.get("rms_displacement", 0.0)), drawn.get("source_fwhm", 0.0) * SIGMA_OF_FWHM)
    frequency = np.exp(-2 * (np.pi * smear / step * np.fft.fftfreq(POINTS)) ** 2)
    image = np.fft.ifft2(np.fft.fft2(density) * frequency[:, None] * frequency).real
    y, x = (step * place for place in _brightest(image))
    return y, x


@lru_cache(maxsize=1)
def _aperture() -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which frequencies pass a round aperture of radius 1, and the aberration polynomials there."""
    steps = np.fft.fftfreq(POINTS, 1 / POINTS) / RADIUS
    plane = steps[None, :] + 1j * steps[:, None]
    inside = np.abs(plane) <= 1
    return inside, aberration_polynomials(plane[inside])


def _brightest(image: NDArray[np.float64]) -> tuple[float, float]:
    """Place (y, x) of the maximum of a periodic image in points from its first, between the points by parabolas."""
    top = np.unravel_index(int(image.argmax()), image.shape)
    place = []
    for axis, at in enumerate(top):
        line = np.take(image, top[1 - axis], axis=1 - axis)
        before, there, after = line[at - 1], line[at], line[(at + 1) % POINTS]
        exact = at + 0.5 * (after - before) / (2 * there - before - after)
        place.append(float((exact + POINTS / 2) % POINTS - POINTS / 2))
    return place[0], place[1]
