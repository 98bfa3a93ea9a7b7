"""How a single atom scatters a fast electron."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from scipy.special import k0

ELECTRON_REST_ENERGY = 510.99895
"""In keV."""

PLANCK_TIMES_LIGHT_SPEED = 12.398419843
"""In keV angstrom."""

BOHR_RADIUS = 0.529177210903
"""In angstrom."""

ELEMENTARY_CHARGE = 14.3996454779
"""In volt angstrom (Gauss units: e squared over the charge unit)."""

HEAVIEST = 103
"""Last atomic number with a scattering factor."""


def wavelength(beam_energy: float) -> float:
    """Relativistic wavelength in angstrom of electrons of `beam_energy` keV."""
    return PLANCK_TIMES_LIGHT_SPEED / float(np.sqrt(beam_energy * (2 * ELECTRON_REST_ENERGY + beam_energy)))


def band_limit(beam_energy: float, convergence_semiangle: float) -> float:
    """Highest spatial frequency in an image, in 1/angstrom: twice the aperture's radius (keV, mrad)."""
    return 2e-3 * convergence_semiangle / wavelength(beam_energy)


def interaction_parameter(beam_energy: float) -> float:
    """Phase in radian for each volt angstrom of projected potential (Kirkland 2020, chapter 5)."""
    relativistic = (ELECTRON_REST_ENERGY + beam_energy) / (2 * ELECTRON_REST_ENERGY + beam_energy)
    return 2 * np.pi / (wavelength(beam_energy) * beam_energy * 1e3) * relativistic


@cache
def kirkland_table() -> NDArray[np.float64]:
    """Parameters of the scattering factors, shape (104, 4, 3): a, b, c, d for each atomic number; row 0 is empty."""
    table = np.zeros((HEAVIEST + 1, 4, 3))
    lines = files("napari_stemlearn.imaging").joinpath("kirkland.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.reader(line for line in lines if not line.startswith("#"))
    next(rows)
    for row in rows:
        table[int(row[0])] = np.array(row[2:], dtype=float).reshape(4, 3)
    return table


def scattering_factor(number: int, frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """First Born scattering factor in angstrom at spatial frequencies in 1/angstrom (Kirkland 2020, appendix C)."""
    a, b, c, d = kirkland_table()[number][:, :, None]
    squared = np.asarray(frequency, dtype=float)[None, :] ** 2
    return (a / (squared + b) + c * np.exp(-d * squared)).sum(axis=0)


def projected_potential(number: int, radius: NDArray[np.float64]) -> NDArray[np.float64]:
    """Potential of one atom projected along the beam, in volt angstrom, at radii in angstrom (Kirkland, as above)."""
    a, b, c, d = kirkland_table()[number][:, :, None]
    radius = np.asarray(radius, dtype=float)[None, :]
    lorentzians = 4 * np.pi**2 * a * k0(2 * np.pi * radius * np.sqrt(b))
    gaussians = 2 * np.pi**2 * c / d * np.exp(-(np.pi**2) * radius**2 / d)
    return BOHR_RADIUS * ELEMENTARY_CHARGE * (lorentzians + gaussians).sum(axis=0)
