"""Wave aberrations as polynomials over the aperture; free of torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.imaging.settings import ABERRATIONS

ORDERS = np.array([n for n, m in ABERRATIONS.values() for _ in range(1 if m == 0 else 2)])
"""Order n of each part of `aberration_vector`."""

SYMMETRIES = np.array([m for _, m in ABERRATIONS.values() for _ in range(1 if m == 0 else 2)])
"""Symmetry m of each part of `aberration_vector`."""


def aberration_vector(drawn: Mapping[str, float]) -> NDArray[np.float64]:
    """Cosine and sine parts of all aberrations in angstrom, shape (25,), from coefficients and azimuths in degree."""
    parts = []
    for name, (_, m) in ABERRATIONS.items():
        value = drawn.get(name, 0.0)
        if m == 0:
            parts.append(value)
        else:
            turned = np.deg2rad(drawn.get(f"phi{name[1:]}", 0.0)) * m
            parts += [value * np.cos(turned), value * np.sin(turned)]
    return np.array(parts)


def aberration_polynomials(plane: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Polynomial of each part of `aberration_vector`: radius^(n + 1) / (n + 1) times cos or sin of m times the azimuth.

    Parameters
    ----------
    plane
        Places in the aperture as x + i y, in any unit.

    Returns
    -------
    numpy.ndarray
        Shape (25, …).
    """
    squared = plane.real**2 + plane.imag**2
    # the radius comes in even powers beside cos(m azimuth) radius^m; products cost a tenth of powers
    rings, turns = [np.ones_like(squared)], [np.ones_like(plane)]
    for _ in range(3):
        rings.append(rings[-1] * squared)
    for _ in range(6):
        turns.append(turns[-1] * plane)
    parts = []
    for n, m in ABERRATIONS.values():
        wave = turns[m] * (rings[(n + 1 - m) // 2] / (n + 1))
        parts.append(wave.real)
        if m:
            parts.append(wave.imag)
    return np.stack(parts)
