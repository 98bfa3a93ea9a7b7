"""An invisible watermark in the pixels of images that nobody measured: it survives crops, 8 bits, turns and mirrors.

A tile of 64 by 64 pixels is repeated over the image. Its waves are fine, so that atoms do not move, but not the finest
that pixels carry; their phases are random and fixed for good. It is far weaker than the image's own noise.

To find it, an image is flattened (lattice and contrast go), folded onto one tile, and the phases of its waves are
compared with those of the tile: over all shifts, the eight turns and both signs.

The false positive rate follows from the tile alone: whatever an image is, the phases of the tile are independent of it.
A sum of cosines of independent phases exceeds z standard deviations with a probability below exp(-z²/2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.micrograph import check_image, check_values

TILE = 64
"""Side of the repeated tile in pixels."""

STRENGTH = 0.13
"""Standard deviation of the watermark, relative to that of the image's own noise in the same waves."""

FLOOR = 0.005
"""Least standard deviation of the watermark, relative to that of the image: what an image without noise gets."""

THRESHOLD = 7.5
"""Score from which the watermark counts as present."""

LOOKED_AT = 16
"""Most frames of a stack that are looked at, spread evenly: together, then one by one."""

SMALLEST = 128
"""Side in pixels below which an image is too small for the watermark to show reliably."""

_TESTS = TILE * TILE * 8 * 2
"""Shifts, turns and signs that are looked at each time."""

_KEY = 20230529
_BAND = (0.22, 0.44)
"""Spatial frequencies of the watermark in cycles a pixel."""
_BLOCK = 128
_CHUNK = 512
_HOT = 5.0
"""Distances between the quartiles beyond them at which a pixel counts as hot."""
_PEAK = 3.0
"""Times the median that a wave may have before it counts as a lattice."""


@dataclass(frozen=True)
class WatermarkFinding:
    """What the pixels of an image say.

    Parameters
    ----------
    present
        Whether the watermark is there.
    score
        Strongest agreement in standard deviations of what chance gives.
    threshold
        Score from which it counts as present.
    shift
        Pixel (y, x) of the tile that the image begins with, as it lies now.
    quarter_turns
        By which the image was turned anticlockwise after it was marked, and after it was mirrored.
    mirrored
        Whether it was mirrored left to right.
    inverted
        Whether its contrast was inverted.
    large_enough
        Whether an absent watermark means anything: the image has at least `SMALLEST` pixels along y and x.
    """

    present: bool
    score: float
    threshold: float
    shift: tuple[int, int]
    quarter_turns: int
    mirrored: bool
    inverted: bool
    large_enough: bool


def false_positive_rate(score: float = THRESHOLD) -> float:
    """Upper bound of the probability that a file without the watermark reaches a score somewhere."""
    return min(1.0, (1 + LOOKED_AT) * _TESTS * exp(-0.5 * score**2))


def embed_watermark(
    image: NDArray[Any], *, strength: float = STRENGTH, floor: float = FLOOR, name: str = "image"
) -> NDArray[Any]:
    """Mark an image (y, x) or a stack (frame, y, x); every frame alike.

    Parameters
    ----------
    image
        Real numbers of any type; the type is kept. Whole numbers go to one of their two neighbours by chance, the same
        chance each time, so that a watermark finer than a grey level lasts.
    strength, floor
        As `STRENGTH` and `FLOOR`.
    name
        Of the image, for sentences.

    Raises
    ------
    MicrographError
        If it is no grey image, has NaN or infinite pixels, or one grey level: there a watermark has nowhere to hide.
    """
    check_image(image, name)
    if image.dtype == np.bool_:
        raise MicrographError(f"'{name}' is a mask of yes and no; a watermark needs grey levels.")
    if image.ndim == 3:
        return np.stack([_marked(np.asarray(frame), strength, floor, name) for frame in image])
    return _marked(np.asarray(image), strength, floor, name)


def find_watermark(image: NDArray[Any]) -> WatermarkFinding:
    """Look for the watermark in an image (y, x) or a stack (frame, y, x), which may be mapped or lazy.

    Parameters
    ----------
    image
        Real numbers; pixels that are NaN or infinite count as average. Of a stack, `LOOKED_AT` frames are looked at
        together, and one by one where that shows nothing: an aligned stack has moved frames.

    Raises
    ------
    MicrographError
        If it is no grey image.
    """
    check_image(image)
    large_enough = min(int(length) for length in image.shape[-2:]) >= SMALLEST
    if image.ndim == 2:
        return _finding(_folded(np.asarray(image)), large_enough)
    count = int(image.shape[0])
    chosen = np.unique(np.linspace(0, count - 1, min(count, LOOKED_AT)).round().astype(int))
    folded = [_folded(np.asarray(image[index])) for index in chosen]
    together = _finding(np.sum(folded, axis=0), large_enough)
    if together.present or count == 1:
        return together
    return max((together, *(_finding(one, large_enough) for one in folded)), key=lambda finding: finding.score)


# --- the tile ---------------------------------------------------------------------------------------------------------


def _in_band(shape: tuple[int, int], *, half: bool = False) -> NDArray[np.bool_]:
    """Which waves of an image carry the mark, ordered as by ``fft2`` or, `half`, as by ``rfft2``."""
    along_x = np.fft.rfftfreq(shape[1]) if half else np.fft.fftfreq(shape[1])
    radius = np.hypot(np.fft.fftfreq(shape[0])[:, None], along_x[None])
    return np.asarray((radius >= _BAND[0]) & (radius <= _BAND[1]))


@lru_cache(maxsize=1)
def _tile() -> NDArray[np.float64]:
    """The tile: mean 0, standard deviation 1, all waves of the band equally strong."""
    # the raw numbers of PCG64 are the same on every machine and in every version
    raw = np.random.PCG64(_KEY).random_raw(TILE * TILE).reshape(TILE, TILE) / 2.0**64
    spectrum = np.fft.fft2(raw - raw.mean())
    tile = np.fft.ifft2(np.where(_in_band((TILE, TILE)), spectrum / np.maximum(np.abs(spectrum), 1e-12), 0)).real
    return np.asarray(tile / tile.std())


@lru_cache(maxsize=1)
def _turned_phases() -> NDArray[np.complex128]:
    """Conjugate phases of the tile's waves in its eight turns (8, y, x); 0 outside the band."""
    turned = [np.rot90(side, turns) for side in (_tile(), np.fliplr(_tile())) for turns in range(4)]
    spectra = np.fft.fft2(np.stack(turned))
    return np.where(_in_band((TILE, TILE)), np.conj(spectra) / np.maximum(np.abs(spectra), 1e-12), 0)


# --- embedding --------------------------------------------------------------------------------------------------------


def _marked(frame: NDArray[Any], strength: float, floor: float, name: str) -> NDArray[Any]:
    check_values(frame, name)
    # single precision would lose the mark beside a large constant
    values = frame.astype(np.float64)
    height, width = frame.shape
    mark = np.tile(_tile(), (-(-height // TILE), -(-width // TILE)))[:height, :width]
    values += mark * np.maximum(strength * _noise(values), floor * values.std())
    if np.issubdtype(frame.dtype, np.floating):
        return values.astype(frame.dtype)
    limits = np.iinfo(frame.dtype)
    chance = np.random.PCG64(_KEY + 1).random_raw(frame.size).reshape(frame.shape) / 2.0**64
    return np.clip(np.floor(values + chance), limits.min, limits.max).astype(frame.dtype)


def _noise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation of the noise in the mark's band at every pixel, from blocks; lattices hardly count."""
    from scipy.fft import rfft2

    sides = tuple(min(_BLOCK, length) for length in values.shape)
    starts = [
        np.unique(np.linspace(0, length - side, -(-length // side)).round().astype(int))
        for length, side in zip(values.shape, sides, strict=True)
    ]
    band = _in_band((sides[0], sides[1]), half=True)
    levels = np.zeros((len(starts[0]), len(starts[1])))
    if band.any():
        window = np.hanning(sides[0] + 2)[1:-1, None] * np.hanning(sides[1] + 2)[None, 1:-1]
        # the median of the power of noise is ln 2 of its mean, and the peaks of a lattice do not reach it
        factor = _in_band((sides[0], sides[1])).mean() / np.log(2) / np.sum(window**2)
        for row, y in enumerate(starts[0]):
            blocks = np.stack([values[y : y + sides[0], x : x + sides[1]] for x in starts[1]])
            blocks = (blocks - blocks.mean(axis=(1, 2), keepdims=True)) * window
            powers = np.abs(rfft2(blocks)[:, band]) ** 2
            levels[row] = np.sqrt(factor * np.median(powers, axis=1))
    along_y, along_x = (
        np.stack([np.interp(np.arange(length), start + (side - 1) / 2, one) for one in np.eye(len(start))], axis=1)
        for length, start, side in zip(values.shape, starts, sides, strict=True)
    )
    return np.asarray(along_y @ levels @ along_x.T)


# --- finding ----------------------------------------------------------------------------------------------------------


def _folded(frame: NDArray[Any]) -> NDArray[np.float64]:
    """The flattened frame added up on one tile."""
    folded = np.zeros((TILE, TILE))
    for top, bottom in _cuts(frame.shape[0]):
        for left, right in _cuts(frame.shape[1]):
            part = _flattened(frame[top:bottom, left:right].astype(np.float64))
            padded = np.pad(part, [(top % TILE, -bottom % TILE), (left % TILE, -right % TILE)])
            folded += padded.reshape(padded.shape[0] // TILE, TILE, padded.shape[1] // TILE, TILE).sum(axis=(0, 2))
    return folded


def _cuts(length: int) -> list[tuple[int, int]]:
    """Begin and end of parts of about `_CHUNK` pixels: each is flattened by itself, which bounds the memory."""
    edges = np.linspace(0, length, max(1, round(length / _CHUNK)) + 1).round().astype(int)
    return [(int(begin), int(end)) for begin, end in pairwise(edges)]


def _flattened(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What an image has in the mark's band when the peaks of a lattice are cut down and contrast is evened out."""
    from scipy.fft import irfft2, rfft2
    from scipy.ndimage import gaussian_filter

    finite = np.isfinite(values)
    band = _in_band((values.shape[0], values.shape[1]), half=True)
    if not finite.any() or not band.any():
        return np.zeros(values.shape)
    values = np.where(finite, values, values[finite].mean())
    lower, upper = np.percentile(values, (25, 75))
    if upper > lower:
        # a hot pixel would be all that is left
        values = np.clip(values, lower - _HOT * (upper - lower), upper + _HOT * (upper - lower))
    spread = float(np.ptp(values))
    if spread == 0:
        return np.zeros(values.shape)
    spectrum = np.where(band, rfft2((values - values.mean()) / spread), 0)
    size = np.abs(spectrum)
    limit = _PEAK * float(np.median(size[band]))
    spectrum *= np.divide(limit, size, where=size > limit, out=np.ones_like(size))
    flat = irfft2(spectrum, s=values.shape)
    local = np.sqrt(gaussian_filter(flat**2, 12, mode="nearest"))
    even = flat / np.maximum(local, 0.05 * local.max() + 1e-12)
    return np.where(finite, np.clip(even, -3, 3), 0)


def _finding(folded: NDArray[np.float64], large_enough: bool) -> WatermarkFinding:
    spectrum = np.fft.fft2(folded)
    size = np.abs(spectrum)
    # a wave that the image does not have at all has no phase
    there = _in_band((TILE, TILE)) & (size > 1e-9 * size.max())
    phases = np.where(there, spectrum / np.where(there, size, 1), 0)
    sums = np.fft.ifft2(phases * _turned_phases()).real * TILE * TILE
    # waves come in pairs: half as many are independent, and each counts twice with a variance of one half
    scores = sums / np.sqrt(max(int(there.sum()), 1))
    turn, row, column = (int(entry) for entry in np.unravel_index(int(np.abs(scores).argmax()), scores.shape))
    score = float(scores[turn, row, column])
    return WatermarkFinding(
        present=abs(score) >= THRESHOLD,
        score=abs(score),
        threshold=THRESHOLD,
        shift=(-row % TILE, -column % TILE),
        quarter_turns=turn % 4,
        mirrored=turn >= 4,
        inverted=score < 0,
        large_enough=large_enough,
    )
