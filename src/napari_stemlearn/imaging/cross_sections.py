"""Partial cross sections of single atoms for an annular detector."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import j0

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.imaging.scattering import HEAVIEST, interaction_parameter, projected_potential, wavelength

_RADIUS_END = 6.0  # angstrom
_RADIUS_NODES = 960
_ANGLE_NODES = 48


def partial_cross_sections(
    numbers: ArrayLike, beam_energy: float, inner_angle: float, outer_angle: float
) -> NDArray[np.float64]:
    """Cross sections for scattering of one electron by one atom into an annular detector.

    The atom is a Moliere (eikonal) phase object of Kirkland's projected potential, so that heavy atoms are not
    over-stated as they are in the first Born approximation (Kirkland 2020, section 5.5; Moliere 1947).

    Parameters
    ----------
    numbers
        Atomic numbers, any shape.
    beam_energy
        In keV.
    inner_angle, outer_angle
        Of the detector, in mrad.

    Returns
    -------
    numpy.ndarray
        In square angstrom, the shape of `numbers`.

    Raises
    ------
    SettingsError
        If the angles are not in order or an atomic number is not between 1 and 103.
    """
    if not 0 <= inner_angle < outer_angle:
        raise SettingsError(
            f"The inner angle of the annular detector is {inner_angle:g} mrad and the outer {outer_angle:g} mrad; "
            "the inner must be the smaller."
        )
    numbers = np.asarray(numbers)
    if numbers.size == 0:
        return np.zeros(numbers.shape)
    present = np.flatnonzero(np.bincount(numbers.ravel().clip(0, HEAVIEST + 1), minlength=HEAVIEST + 2))
    if numbers.min() < 1 or present[-1] > HEAVIEST:
        raise SettingsError(
            f"Atomic numbers go from 1 to {HEAVIEST}; the specimen has {numbers.min()} to {numbers.max()}."
        )
    table = np.zeros(HEAVIEST + 1)
    for number in present:
        table[number] = _cross_section(int(number), float(beam_energy), float(inner_angle), float(outer_angle))
    return table[numbers]


@lru_cache(maxsize=65536)
def _cross_section(number: int, beam_energy: float, inner_angle: float, outer_angle: float) -> float:
    """Cross section of one element in square angstrom."""
    angles, angle_weights = _angle_nodes(inner_angle, outer_angle)
    kernel = _hankel_kernel(wavelength(beam_energy), inner_angle, outer_angle)
    phase = _projected_phase(number, beam_energy)
    real, imaginary = kernel @ np.sin(phase), kernel @ (1 - np.cos(phase))
    return float(2 * np.pi * (angle_weights * angles * (real**2 + imaginary**2)).sum())


def _angle_nodes(inner_angle: float, outer_angle: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Legendre angles in radian and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(_ANGLE_NODES)
    half = 0.5e-3 * (outer_angle - inner_angle)
    return 0.5e-3 * (outer_angle + inner_angle) + half * nodes, half * weights


@lru_cache(maxsize=1)
def _radius_nodes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Radii in angstrom, dense where the potential is steep, and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(_RADIUS_NODES)
    place = 0.5 * (nodes + 1)
    return _RADIUS_END * place**2, _RADIUS_END * weights * place


@lru_cache(maxsize=8)
def _hankel_kernel(wave: float, inner_angle: float, outer_angle: float) -> NDArray[np.float64]:
    """Matrix (angles, radii) of the Hankel transform from a phase function to a scattering amplitude."""
    angles, _ = _angle_nodes(inner_angle, outer_angle)
    radii, weights = _radius_nodes()
    return 2 * np.pi / wave * (weights * radii) * j0(2 * np.pi / wave * angles[:, None] * radii)


@lru_cache(maxsize=1024)
def _projected_phase(number: int, beam_energy: float) -> NDArray[np.float64]:
    """Phase in radian behind one atom at the radii of the quadrature."""
    return interaction_parameter(beam_energy) * projected_potential(number, _radius_nodes()[0])
