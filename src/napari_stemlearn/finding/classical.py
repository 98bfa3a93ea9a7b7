"""The classical finder: Laplacian of Gaussian at the columns' width, threshold from the image's own noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_laplace, uniform_filter

from napari_stemlearn.finding.column_radius import measure_texture
from napari_stemlearn.finding.frame_reader import FrameReader
from napari_stemlearn.finding.peaks import local_maxima
from napari_stemlearn.finding.score_maps import ScoreMaps
from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.finding.tiles import Span, plan_tiles

NOISE_FACTOR, LATTICE_NOISE_FACTOR = 4.0, 3.0
"""A column must exceed so many standard deviations of the filtered noise; fewer in a lattice, whose columns leave noise
little room: between them the filter answers below zero."""

WEAKEST = 0.1
"""And this part of the strong columns (their 95th percentile)."""

NEIGHBOURHOOD = 30.0
"""Side of the square, in standard deviations of a column, whose noise single atoms must exceed."""

SAMPLE = 1024
"""Side in pixels of the part of a frame that width and noise are measured on."""

_TRUNCATE = 5.0


def filtered(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Scale-normalised negative Laplacian of Gaussian (Lindeberg 1998): bright blobs of that sigma become peaks."""
    return -(sigma**2) * gaussian_laplace(image, sigma, mode="reflect", truncate=_TRUNCATE)


def sample_of(reader: FrameReader) -> NDArray[np.float32]:
    """The frame, or of a large one the liveliest of nine parts."""
    height, width = reader.shape
    parts = (
        reader.read(slice(y, min(y + SAMPLE, height)), slice(x, min(x + SAMPLE, width)))
        for y in _starts(height)
        for x in _starts(width)
    )
    return max(parts, key=lambda part: float(np.var(part)))


def _starts(side: int) -> list[int]:
    return [0] if side <= SAMPLE else [int(start) for start in np.linspace(0, side - SAMPLE, 3)]


def noise_of_filtered(image: NDArray[np.floating], sigma: float) -> float:
    """Standard deviation of what the filter makes of everything that is no lattice.

    The median of each ring of the power spectrum leaves the Bragg spots out and keeps noise of any colour.
    """
    height, width = image.shape
    taper = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[None, 1:-1]
    power = np.abs(fft.fft2((image - image.mean()) * taper)) ** 2 / np.sum(taper**2)
    frequency = np.hypot(fft.fftfreq(height)[:, None], fft.fftfreq(width)[None, :])
    square = (2 * np.pi * frequency * sigma) ** 2
    passed = (square * np.exp(-0.5 * square)) ** 2
    ring = np.rint(frequency * min(height, width)).astype(int).ravel()
    order = np.argsort(ring, kind="stable")
    values, transfer = power.ravel()[order], passed.ravel()[order]
    edges = np.flatnonzero(np.diff(ring[order])) + 1
    total = sum(
        float(np.median(part)) / np.log(2) * float(weight.sum())
        for part, weight in zip(np.split(values, edges), np.split(transfer, edges), strict=True)
    )
    return float(np.sqrt(total / (height * width)))


def classical_maps(reader: FrameReader, pixel_size: float, settings: FindSettings) -> ScoreMaps:
    """Score maps of the classical finder: 0.5 at the automatic threshold, towards 1 for stronger columns.

    Parameters
    ----------
    reader
        The frame.
    pixel_size
        In angstrom.
    settings
        Column radius, polarity, tile.
    """
    sign = 1.0 if settings.polarity == "bright" else -1.0
    sample = sample_of(reader)
    notes = []
    texture = measure_texture(sample, pixel_size)
    radius = settings.column_radius
    if radius is None:
        radius = texture.column_radius
        if texture.is_lattice:
            notes.append(f"The column radius was measured as {radius:.2f} angstrom.")
        else:
            notes.append(
                f"No lattice was seen; a column radius of {radius:.2f} angstrom was taken: give it if it is known."
            )
    sigma = radius / np.sqrt(2) / pixel_size
    if sigma < 0.6:
        notes.append(f"The columns are narrower than the pixels of {pixel_size:g} angstrom; positions will be coarse.")
        sigma = 0.6
    response = sign * filtered(sample, sigma)
    y, x = local_maxima(response, 0.0)
    strong = float(np.quantile(response[y, x], 0.95)) if len(y) else 0.0
    factor = LATTICE_NOISE_FACTOR if texture.is_lattice else NOISE_FACTOR
    threshold = max(factor * noise_of_filtered(sample, sigma), WEAKEST * strong, 1e-9)
    # without a lattice the noise is that of the neighbourhood: it follows the dose and the support's own texture
    around = 0 if texture.is_lattice else 2 * int(NEIGHBOURHOOD * sigma / 2) + 1
    halo = int(np.ceil(_TRUNCATE * sigma)) + 2 + around // 2
    height, width = reader.shape

    def window(y: Span, x: Span) -> NDArray[np.float32]:
        wide_y, wide_x = y.grown(halo, height), x.grown(halo, width)
        block = reader.read(slice(wide_y.start, wide_y.stop), slice(wide_x.start, wide_x.stop))
        strength = sign * filtered(block, sigma)
        limit: NDArray[np.float32] | float = threshold
        if around:
            mean_square = np.maximum(uniform_filter(strength.astype(float) ** 2, around, mode="reflect"), 0)
            limit = np.maximum(threshold, factor * np.sqrt(mean_square)).astype(np.float32)
        strength = np.maximum(strength, 0)
        return (strength / (strength + limit))[y.within(wide_y), x.within(wide_x)][None]

    tiles = plan_tiles(reader.shape, settings.tile)
    return ScoreMaps(reader.shape, pixel_size, tiles, window, max(sigma, 1.0), tuple(notes))
