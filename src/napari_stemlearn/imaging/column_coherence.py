"""How two atoms that lie one above the other scatter together: at low angles in phase, and the upper one as a lens."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_stemlearn.imaging.scattering import interaction_parameter, projected_potential, wavelength

FloatArray = NDArray[np.float64]

VIBRATION = 0.07
"""Root mean square vibration of an atom along an axis in angstrom, at room temperature."""

_FIELD, _PIXELS = 16.0, 512
_HEIGHT_STEP = 0.25
_NUMBERS, _STEPS = 256, 1 << 32  # beyond any atomic number, beyond any distance
_QUANTILES = (np.arange(6) + 0.5) / 6


def column_factors(
    numbers: NDArray[np.integer],
    heights: FloatArray,
    columns: NDArray[np.integer],
    *,
    beam_energy: float,
    inner_angle: float,
    outer_angle: float,
    coherence: float,
) -> FloatArray:
    """Factors on the cross sections of atoms in columns of two: what both scatter together, by what each does alone.

    A plane wave passes one atom, free space, and the other atom, and is measured in the annulus (multislice; Kirkland,
    Advanced Computing in Electron Microscopy, 2020, chapter 6), for several distances that vibrations put between the
    columns of both (frozen phonons). At inner angles below 60 mrad the waves of both are nearly in phase (Jesson and
    Pennycook, Proc. R. Soc. A 441 (1993) 261), and of a column of two Se much less than half is left without one.
    Columns are taken to lie along the beam.

    Parameters
    ----------
    numbers, heights, columns
        Atomic number, z in angstrom (the beam goes towards larger z), and index of the column of each atom, shape (n,).
    beam_energy
        In keV; it counts to 1 keV.
    inner_angle, outer_angle
        Of the annular detector, in mrad.
    coherence
        0 for atoms that scatter each on their own, 1 for what is computed.

    Returns
    -------
    numpy.ndarray
        Shape (n,); 1 in columns of one atom, and of more than two: through those, waves change too much.
    """
    factors = np.ones(len(numbers))
    if not len(numbers) or not coherence:
        return factors
    order = np.lexsort((heights, columns))
    size = np.bincount(columns)[np.asarray(columns)[order]]
    pairs = order[size == 2].reshape(-1, 2)
    steps = np.rint((heights[pairs[:, 1]] - heights[pairs[:, 0]]) / _HEIGHT_STEP).astype(int)
    # one number a pair: rows are sorted many times more slowly
    kinds = np.ravel_multi_index((*numbers[pairs].T, steps), (_NUMBERS, _NUMBERS, _STEPS))
    for kind in np.unique(kinds):
        upper, lower, step = (int(part) for part in np.unravel_index(kind, (_NUMBERS, _NUMBERS, _STEPS)))
        together = _together(upper, lower, step, round(beam_energy), inner_angle, outer_angle)
        factors[pairs[kinds == kind]] = 1 + coherence * (together - 1)
    return factors


def _together(upper: int, lower: int, steps: int, beam_energy: int, inner_angle: float, outer_angle: float) -> float:
    """Intensity of both atoms in the annulus over the sum of each alone."""
    both, *alone = (
        float(np.subtract(*np.interp([inner_angle, outer_angle], _edges(beam_energy), beyond)))
        for beyond in (
            _pair_beyond(upper, lower, steps, beam_energy),
            _atom_beyond(upper, beam_energy),
            _atom_beyond(lower, beam_energy),
        )
    )
    return both / sum(alone)


@lru_cache(maxsize=4096)
def _pair_beyond(upper: int, lower: int, steps: int, beam_energy: int) -> FloatArray:
    """Intensity of two atoms beyond each of `_edges`, mean over their vibrations."""
    frequency = np.fft.fftfreq(_PIXELS, _FIELD / _PIXELS)
    squared = frequency[:, None] ** 2 + frequency[None, :] ** 2
    free_space = np.exp(-1j * np.pi * wavelength(beam_energy) * squared * steps * _HEIGHT_STEP)
    between = fft.ifft2(fft.fft2(_phase_object(upper, 0.0, beam_energy)) * free_space)
    # the distance of two atoms that both vibrate is drawn from a Rayleigh distribution
    apart = VIBRATION * np.sqrt(-4 * np.log(1 - _QUANTILES))
    waves = (between * _phase_object(lower, float(distance), beam_energy) for distance in apart)
    return np.mean([_beyond(wave) for wave in waves], axis=0)


@lru_cache(maxsize=4096)
def _atom_beyond(number: int, beam_energy: int) -> FloatArray:
    return _beyond(_phase_object(number, 0.0, beam_energy))


def _phase_object(number: int, shift: float, beam_energy: int) -> NDArray[np.complex128]:
    """What an atom near the middle of the field does to a plane wave."""
    places = (np.arange(_PIXELS) - _PIXELS // 2 + 0.5) * _FIELD / _PIXELS
    # the lower half is the mirror image of the upper one
    radius = np.hypot(places[: _PIXELS // 2, None], places - shift)
    known = np.geomspace(1e-3, _FIELD, 2000)
    half = np.exp(
        1j * interaction_parameter(beam_energy) * np.interp(radius, known, projected_potential(number, known))
    )
    return np.concatenate([half, half[::-1]])


def _beyond(wave: NDArray[np.complex128]) -> FloatArray:
    """Intensity of a wave beyond each of `_edges`."""
    amplitude = fft.fft2(wave)
    intensity = amplitude.real**2 + amplitude.imag**2
    rings = np.bincount(_rings(), weights=intensity.ravel(), minlength=_PIXELS // 2 + 1)[1 : _PIXELS // 2]
    return np.append(np.cumsum(rings[::-1])[::-1], 0.0)


@lru_cache(maxsize=1)
def _rings() -> NDArray[np.intp]:
    """Ring of each frequency, counted from the first of `_edges`; 0 within it, and beyond the last one more."""
    steps = np.fft.fftfreq(_PIXELS, 1 / _PIXELS)
    ring = np.floor(np.hypot(steps[:, None], steps[None, :]) + 0.5).astype(np.intp)
    return np.minimum(ring, _PIXELS // 2).ravel()


def _edges(beam_energy: int) -> FloatArray:
    """Angles in mrad, as far apart as frequencies on the grid."""
    step = wavelength(beam_energy) * 1e3 / _FIELD
    return np.asarray((np.arange(_PIXELS // 2) + 0.5) * step, dtype=np.float64)
