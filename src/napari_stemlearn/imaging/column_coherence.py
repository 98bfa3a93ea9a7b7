"""How two or three atoms above each other scatter together: at low angles in phase, and the upper ones as lenses."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_stemlearn.imaging.scattering import interaction_parameter, projected_potential, wavelength

FloatArray = NDArray[np.float64]

VIBRATION = 0.07
"""Root mean square vibration of an atom along an axis in angstrom, at room temperature."""

LONGEST = 3
"""Most atoms of a column whose scattering together is computed."""

_FIELD, _PIXELS = 16.0, 512
_HEIGHT_STEP = 0.25
_NUMBERS, _STEPS = 256, 1 << 32  # beyond any atomic number, beyond any distance
_QUANTILES = (np.arange(6) + 0.5) / 6
# by these, the first and the third of three atoms come to lie as far apart as any two that vibrate
_ORDER_BELOW, _SIDE_BELOW = [1, 4, 3, 0, 5, 2], np.array([-1.0, -1.0, 1.0, 1.0, -1.0, -1.0])


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
    """Factors on the cross sections of atoms in columns of two and three: what all scatter together, by what each does.

    A plane wave passes one atom after the other, with free space between them, and is measured in the annulus
    (multislice; Kirkland, Advanced Computing in Electron Microscopy, 2020, chapter 6), for several distances that
    vibrations put between the columns of the atoms (frozen phonons). At inner angles below 60 mrad the waves of all are
    nearly in phase (Jesson and Pennycook, Proc. R. Soc. A 441 (1993) 261), and of a column of two Se much less than
    half is left without one. All atoms of a column get the same factor. Columns are taken to lie along the beam.

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
        Shape (n,); 1 in columns of one atom, and of more than three: those stay as they are, for waves change too much
        on their way through them.
    """
    factors = np.ones(len(numbers))
    if not len(numbers) or not coherence:
        return factors
    order = np.lexsort((heights, columns))
    size = np.bincount(columns)[np.asarray(columns)[order]]
    for length in range(2, LONGEST + 1):
        chains = order[size == length].reshape(-1, length)
        steps = np.rint(np.diff(heights[chains], axis=1) / _HEIGHT_STEP).astype(int)
        examples, kinds = _alike(numbers[chains], steps)
        together = [
            _together(
                tuple(numbers[chains[example]].tolist()),
                tuple(steps[example].tolist()),
                round(beam_energy),
                inner_angle,
                outer_angle,
            )
            for example in examples
        ]
        factors[chains] = 1 + coherence * (np.array(together)[kinds, None] - 1)
    return factors


def _alike(numbers: NDArray[np.integer], steps: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """One chain of each kind, and the kind of each chain, by its atomic numbers and the steps between its atoms."""
    # one number a pair: rows are sorted many times more slowly
    pairs = [
        np.ravel_multi_index((numbers[:, place], numbers[:, place + 1], steps[:, place]), (_NUMBERS, _NUMBERS, _STEPS))
        for place in range(steps.shape[1])
    ]
    kinds = pairs[0]
    for pair in pairs[1:]:
        above, below = (np.unique(codes, return_inverse=True)[1] for codes in (kinds, pair))
        kinds = above * len(below) + below
    return np.unique(kinds, return_index=True, return_inverse=True)[1:]


def _together(
    numbers: tuple[int, ...], steps: tuple[int, ...], beam_energy: int, inner_angle: float, outer_angle: float
) -> float:
    """Intensity of all atoms in the annulus over the sum of each alone."""
    chain, *alone = (
        float(np.subtract(*np.interp([inner_angle, outer_angle], _edges(beam_energy), beyond)))
        for beyond in (
            _chain_beyond(numbers, steps, beam_energy),
            *(_atom_beyond(number, beam_energy) for number in numbers),
        )
    )
    return chain / sum(alone)


@lru_cache(maxsize=4096)
def _chain_beyond(numbers: tuple[int, ...], steps: tuple[int, ...], beam_energy: int) -> FloatArray:
    """Intensity of two or three atoms beyond each of `_edges`, mean over their vibrations."""
    # the distance of two atoms that both vibrate is drawn from a Rayleigh distribution
    apart = VIBRATION * np.sqrt(-4 * np.log(1 - _QUANTILES))
    places = np.cumsum([apart, apart[_ORDER_BELOW] * _SIDE_BELOW], axis=0)[: len(steps)]
    first, *rest = (_free_space(count, beam_energy) for count in steps)
    from_first = fft.ifft2(fft.fft2(_phase_object(numbers[0], 0.0, beam_energy)) * first)
    intensities = []
    for others in places.T:
        wave = from_first * _phase_object(numbers[1], float(others[0]), beam_energy)
        for number, place, space in zip(numbers[2:], others[1:], rest, strict=True):
            wave = fft.ifft2(fft.fft2(wave) * space) * _phase_object(number, float(place), beam_energy)
        intensities.append(_beyond(wave))
    return np.asarray(np.mean(intensities, axis=0))


def _free_space(steps: int, beam_energy: int) -> NDArray[np.complex128]:
    """What the way from one atom to the next does to the frequencies of a wave."""
    frequency = np.fft.fftfreq(_PIXELS, _FIELD / _PIXELS)
    squared = frequency[:, None] ** 2 + frequency[None, :] ** 2
    return np.asarray(np.exp(-1j * np.pi * wavelength(beam_energy) * squared * steps * _HEIGHT_STEP))


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
