"""The mean unit cell of a frame, as Fourier coefficients of its lattice: free of noise, and of where the lattice lies.

Windows of a frame see the same cell at other places. The phases of two basis reflections tell where, in every window;
taken out of all others, what is left is the same everywhere and can be averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

WINDOW = 30.0
"""Side of a window in angstrom: many cells, and short enough that the scan hardly bends in it."""

MOST_ORDER = 8
"""Highest index of a reflection."""

STRONGEST = 8
"""Reflections among which the basis is looked for."""


@dataclass(frozen=True)
class MeanCell:
    """Fourier coefficients of the mean cell, relative to the mean grey level.

    Parameters
    ----------
    indices
        Of the reflections in the reciprocal lattice of the crystal, shape (n, 2).
    coefficients
        Complex, shape (n,); the two basis reflections are real and positive.
    errors
        Standard errors of the mean over windows, shape (n,).
    basis
        Positions of the two basis reflections.
    """

    indices: NDArray[np.int64]
    coefficients: ComplexArray
    errors: FloatArray
    basis: tuple[int, int]

    def placed(self, coefficients: ComplexArray) -> ComplexArray:
        """Move a cell, shape (…, n), so that its basis reflections are real as here."""
        return _placed(coefficients, self.indices, self.basis)


def reflections(reciprocal: FloatArray, highest: float) -> NDArray[np.int64]:
    """Indices of one half of all reflections up to a frequency in 1/angstrom; rows of `reciprocal` are (x, y)."""
    order = np.arange(-MOST_ORDER, MOST_ORDER + 1)
    indices = np.array([(h, k) for h in order for k in order if h > 0 or (h == 0 and k > 0)])
    return indices[np.hypot(*(indices @ reciprocal).T) < highest]


def mean_cell(
    image: NDArray[np.generic], pixel_size: float, reciprocal: FloatArray, indices: NDArray[np.int64]
) -> MeanCell | None:
    """Measure the mean cell of a frame.

    Parameters
    ----------
    image
        Shape (y, x).
    pixel_size
        In angstrom.
    reciprocal
        Basis of the reciprocal lattice as it lies in the image: rows (x, y) in 1/angstrom.
    indices
        Reflections, shape (n, 2); see `reflections`.

    Returns
    -------
    MeanCell or None
        None where no two of the reflections span the lattice.
    """
    values = np.asarray(image, dtype=float)
    # single bright atoms belong to no cell
    values = np.clip(values, *np.quantile(values, [0.001, 0.999]))
    length = min(round(WINDOW / pixel_size), *values.shape)
    window = np.outer(np.hanning(length), np.hanning(length))
    window /= window.sum()
    frequencies = indices @ reciprocal
    places = np.arange(length) * pixel_size
    along_x, along_y = (np.exp(-2j * np.pi * np.outer(part, places)) for part in frequencies.T)
    coefficients, means = [], []
    for top in _starts(values.shape[0], length):
        for left in _starts(values.shape[1], length):
            part = values[top : top + length, left : left + length]
            mean = float((part * window).sum())
            weighed = (part - mean) * window
            coefficients.append(((along_y @ weighed) * along_x).sum(axis=1))
            means.append(mean)
    found = np.array(coefficients)
    basis = _basis(found, indices)
    if basis is None:
        return None
    placed = _placed(found, indices, basis)
    # neighbouring windows overlap by half, so about half of them count
    errors = placed.std(axis=0) / np.sqrt(max(len(placed) / 2, 1))
    level = float(np.mean(means))
    return MeanCell(indices, placed.mean(axis=0) / level, errors / abs(level), basis)


def _starts(extent: int, length: int) -> NDArray[np.int64]:
    """First pixels of windows that overlap by half and cover the extent."""
    return np.linspace(0, extent - length, max(int(np.ceil(2 * (extent - length) / length)) + 1, 1)).astype(np.int64)


def _basis(coefficients: ComplexArray, indices: NDArray[np.int64]) -> tuple[int, int] | None:
    """The two reflections that span the lattice of which the weaker one is strongest."""
    amplitude = np.sqrt((np.abs(coefficients) ** 2).mean(axis=0))
    strong = np.argsort(-amplitude, kind="stable")[:STRONGEST]
    pairs = [
        (min(amplitude[one], amplitude[other]), int(one), int(other))
        for place, one in enumerate(strong)
        for other in strong[:place]
        if abs(indices[one, 0] * indices[other, 1] - indices[one, 1] * indices[other, 0]) == 1
    ]
    return max(pairs)[1:] if pairs else None


def _placed(coefficients: ComplexArray, indices: NDArray[np.int64], basis: tuple[int, int]) -> ComplexArray:
    """Take the place of the lattice out of phases."""
    multiples = np.rint(indices @ np.linalg.inv(indices[list(basis)].astype(float)))
    phases = np.angle(coefficients[..., list(basis)]) @ multiples.T
    return coefficients * np.exp(-1j * phases)
