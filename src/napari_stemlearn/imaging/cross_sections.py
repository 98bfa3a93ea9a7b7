"""Partial cross sections of single atoms for an annular detector."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicHermiteSpline
from scipy.special import j0

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.imaging.scattering import HEAVIEST, interaction_parameter, projected_potential, wavelength

_RADIUS_END = 6.0  # angstrom
_RADIUS_PANELS, _RADIUS_NODES = 50, 24
_PANEL_NODES = 5

SMALLEST_ANGLE, LARGEST_ANGLE = 0.5, 600.0
"""Range of detector angles in mrad."""

_EDGES = np.geomspace(SMALLEST_ANGLE, LARGEST_ANGLE, 57) * 1e-3


def partial_cross_sections(
    numbers: ArrayLike, beam_energy: float, inner_angle: float, outer_angle: float
) -> NDArray[np.float64]:
    """Cross sections for scattering of one electron by one atom into an annular detector.

    The atom is a Moliere (eikonal) phase object of Kirkland's projected potential, so that heavy atoms are not
    over-stated as they are in the first Born approximation (Moliere, Z. Naturforsch. 2a (1947) 133; Kirkland 2020,
    chapter 5).

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
        If the angles are not in order or in range, or an atomic number is not between 1 and 103.
    """
    if not SMALLEST_ANGLE <= inner_angle < outer_angle <= LARGEST_ANGLE:
        raise SettingsError(
            f"The inner angle of the annular detector is {inner_angle:g} mrad and the outer {outer_angle:g} mrad; "
            f"the inner must be the smaller, and both between {SMALLEST_ANGLE:g} and {LARGEST_ANGLE:g} mrad."
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
    angles = np.log(np.array([inner_angle, outer_angle]) * 1e-3)
    for number in present:
        inner, outer = np.exp(_beyond(int(number), float(beam_energy))(angles))
        table[number] = inner - outer
    return table[numbers]


def contrast_factor(numbers: ArrayLike, change: ArrayLike) -> NDArray[np.float64]:
    """Factor on the cross sections of elements for a change of the contrast: (Z/40) to the power of `change`."""
    return (np.asarray(numbers) / 40.0) ** np.asarray(change)


@lru_cache(maxsize=1024)
def _beyond(number: int, beam_energy: float) -> CubicHermiteSpline:
    """Logarithm of the cross section (square angstrom) beyond an angle, over the logarithm of the angle (radian).

    Integrated once for an element and beam, so that angles which differ from image to image cost nothing.
    """
    angles, weights, kernel = _quadrature(beam_energy)
    phase = interaction_parameter(beam_energy) * projected_potential(number, _radius_nodes()[0])
    amplitude = (kernel @ np.sin(phase)) ** 2 + (kernel @ (1 - np.cos(phase))) ** 2
    slope = 2 * np.pi * angles**2 * amplitude  # of the cross section over the logarithm of the angle
    n_edges = len(_EDGES)
    panels = (slope[n_edges:].reshape(-1, _PANEL_NODES) * weights).sum(axis=1)
    # beyond the last angle as Rutherford scatters, with the inverse fourth power
    beyond = 0.5 * slope[n_edges - 1] + np.append(np.cumsum(panels[::-1])[::-1], 0)
    return CubicHermiteSpline(np.log(_EDGES), np.log(beyond), -slope[:n_edges] / beyond)


@lru_cache(maxsize=16)
def _quadrature(beam_energy: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Angles in radian (all edges, then the nodes between them), weights in a panel, and the Hankel transform.

    The transform is the matrix (angles, radii) from a phase function to a scattering amplitude in angstrom.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_PANEL_NODES)
    half = 0.5 * np.log(_EDGES[1] / _EDGES[0])
    between = np.sqrt(_EDGES[1:] * _EDGES[:-1])[:, None] * np.exp(half * nodes)
    angles = np.concatenate([_EDGES, between.ravel()])
    radii, radius_weights = _radius_nodes()
    wave = wavelength(beam_energy)
    kernel = 2 * np.pi / wave * (radius_weights * radii) * j0(2 * np.pi / wave * angles[:, None] * radii)
    return angles, half * weights, kernel


@lru_cache(maxsize=1)
def _radius_nodes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Radii in angstrom, dense where the potential is steep, and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(_RADIUS_NODES)
    place = ((np.arange(_RADIUS_PANELS)[:, None] + 0.5 * (nodes + 1)) / _RADIUS_PANELS).ravel()
    return _RADIUS_END * place**2, _RADIUS_END * np.tile(weights, _RADIUS_PANELS) / _RADIUS_PANELS * place
