"""How alike two sets of micrographs look: spectrum, grey levels, noise, and distances between network features."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, ndimage

from napari_stemlearn.errors import MicrographError

FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class Realism:
    """Distances between two sets of images of the same pixel size; 0 for equal sets.

    Parameters
    ----------
    spectrum
        `spectrum_distance`, in decades.
    grey_levels
        `grey_level_distance`, in standard deviations.
    noise
        `noise_distance`, a difference of correlation coefficients.
    """

    spectrum: float
    grey_levels: float
    noise: float

    def record(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


def _stack(images: FloatArray, name: str) -> FloatArray:
    stack = np.asarray(images, dtype=float)
    if stack.ndim == 2:
        stack = stack[None]
    if stack.ndim != 3 or min(stack.shape[-2:]) < 16:
        raise MicrographError(
            f"The {name} images have shape {stack.shape}; at least 16 by 16 pixels (n, y, x) are needed."
        )
    return stack


def _standardised(stack: FloatArray) -> FloatArray:
    mean = stack.mean(axis=(1, 2), keepdims=True)
    deviation = stack.std(axis=(1, 2), keepdims=True)
    if not np.all(deviation > 0):
        raise MicrographError("An image with one grey level everywhere cannot be compared.")
    return (stack - mean) / deviation


def radial_spectrum(images: FloatArray, bins: int = 48) -> tuple[FloatArray, FloatArray]:
    """Mean power over rings of equal width, of images standardised one by one and windowed (Hann).

    Parameters
    ----------
    images
        Shape (n, y, x) or (y, x).
    bins
        Number of rings from 0 to the Nyquist frequency.

    Returns
    -------
    frequency, power
        Shape (bins,); frequency in cycles a pixel, power NaN in rings that hold no wave of images so small.
    """
    stack = _standardised(_stack(images, "compared"))
    height, width = stack.shape[-2:]
    window = np.outer(np.hanning(height), np.hanning(width))
    power = np.abs(np.fft.rfft2(stack * window)) ** 2
    power = power.mean(axis=0) / (window**2).sum()
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(height), np.fft.rfftfreq(width), indexing="ij"))
    edges = np.linspace(0, 0.5, bins + 1)
    ring = np.clip(np.digitize(radius.ravel(), edges) - 1, 0, bins)
    waves = np.tile(_waves_of_half(width), (height, 1)).ravel()
    total = np.bincount(ring, waves * power.ravel(), bins + 1)[:bins]
    count = np.bincount(ring, waves, bins + 1)[:bins]
    mean = np.divide(total, count, where=count > 0, out=np.full(bins, np.nan))
    return (edges[1:] + edges[:-1]) / 2, mean


def _waves_of_half(width: int) -> FloatArray:
    """How many waves of the whole spectrum one in each column of ``rfft2`` stands for: itself and those left out."""
    waves = np.full(width // 2 + 1, 2.0)
    waves[0] = 1
    if width % 2 == 0:
        waves[-1] = 1
    return waves


def spectrum_distance(first: FloatArray, second: FloatArray, bins: int = 48) -> float:
    """Root mean square difference of the log10 radial power spectra, in decades.

    Parameters
    ----------
    first, second
        Images (n, y, x) of the same pixel size; their number and shape may differ.
    bins
        Rings; the innermost, which holds the background, is left out, and so are those without a wave of either set.
    """
    logs = [np.log10(np.maximum(radial_spectrum(images, bins)[1][1:], 1e-12)) for images in (first, second)]
    return float(np.sqrt(np.nanmean((logs[0] - logs[1]) ** 2)))


def grey_level_distance(first: FloatArray, second: FloatArray, points: int = 512) -> float:
    """Wasserstein-1 distance between the grey levels of standardised images, in standard deviations."""
    quantiles = (np.arange(points) + 0.5) / points
    levels = [np.quantile(_standardised(_stack(images, "compared")), quantiles) for images in (first, second)]
    return float(np.mean(np.abs(levels[0] - levels[1])))


def noise_autocorrelation(images: FloatArray, reach: int = 4) -> FloatArray:
    """Autocorrelation of what a 5 by 5 median filter removes, for shifts up to `reach` pixels.

    Returns
    -------
    numpy.ndarray
        Shape (2 reach + 1, 2 reach + 1); 1 in the centre. Afterglow shows along x, lines that flicker along x too.
    """
    stack = _stack(images, "compared")
    total = np.zeros((2 * reach + 1, 2 * reach + 1))
    for image in stack:
        noise = image - ndimage.median_filter(image, 5)
        noise = noise - noise.mean()
        spectrum = np.fft.rfft2(noise)
        correlation = np.fft.irfft2(np.abs(spectrum) ** 2, s=noise.shape)
        centre = correlation[0, 0]
        if centre <= 0:
            raise MicrographError("An image without noise has no noise autocorrelation.")
        rolled = np.roll(correlation, (reach, reach), axis=(0, 1))[: 2 * reach + 1, : 2 * reach + 1]
        total += rolled / centre
    return total / len(stack)


def noise_distance(first: FloatArray, second: FloatArray, reach: int = 4) -> float:
    """Root mean square difference of the noise autocorrelations, the centre left out."""
    difference = noise_autocorrelation(first, reach) - noise_autocorrelation(second, reach)
    return float(np.sqrt(np.sum(difference**2) / (difference.size - 1)))


def realism(first: FloatArray, second: FloatArray) -> Realism:
    """Distances between two sets of images (n, y, x) of the same pixel size.

    Raises
    ------
    MicrographError
        If an image is too small or has one grey level everywhere.
    """
    return Realism(
        spectrum=spectrum_distance(first, second),
        grey_levels=grey_level_distance(first, second),
        noise=noise_distance(first, second),
    )


def frechet_distance(first: FloatArray, second: FloatArray) -> float:
    """Frechet distance between Gaussians fitted to two sets of features (Heusel et al., NeurIPS 2017).

    Parameters
    ----------
    first, second
        Features (n, dimension); n should be well above the dimension, or the distance is biased upwards.

    Raises
    ------
    ValueError
        If the dimensions differ or a set has fewer than two rows.
    """
    _check_features(first, second)
    means = [features.mean(axis=0) for features in (first, second)]
    covariances = [np.cov(features, rowvar=False).reshape(features.shape[1], -1) for features in (first, second)]
    # the trace of the root of a product, by symmetric matrices alone: stable where few features vary
    values, vectors = linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    common = np.sqrt(np.maximum(linalg.eigvalsh(root @ covariances[1] @ root), 0)).sum()
    trace = np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * common
    return float(max(np.sum((means[0] - means[1]) ** 2) + trace, 0.0))


def kernel_distance(first: FloatArray, second: FloatArray) -> float:
    """Squared maximum mean discrepancy with the cubic kernel, unbiased (KID: Binkowski et al., ICLR 2018).

    Parameters
    ----------
    first, second
        Features (n, dimension); unbiased at small n, and may therefore be slightly negative.
    """
    _check_features(first, second)
    dimension = first.shape[1]

    def kernel(a: FloatArray, b: FloatArray) -> FloatArray:
        products: FloatArray = (a @ b.T / dimension + 1) ** 3
        return products

    own = []
    for features in (first, second):
        products = kernel(features, features)
        n = len(features)
        own.append((products.sum() - np.trace(products)) / (n * (n - 1)))
    return float(own[0] + own[1] - 2 * kernel(first, second).mean())


def kernel_distance_of_subsets(
    first: FloatArray, second: FloatArray, size: int = 100, seed: int = 0
) -> tuple[float, float, int]:
    """Mean `kernel_distance` of disjoint random subsets with its standard error.

    Parameters
    ----------
    first, second
        Features (n, dimension), at least four of each.
    size
        Rows of either set in a subset; fewer where there would be less than four subsets.
    seed
        For the choice of rows.

    Returns
    -------
    distance, standard error, rows in a subset
    """
    _check_features(first, second)
    rng = np.random.default_rng(seed)
    fewest = min(len(first), len(second))
    if fewest < 4:
        raise ValueError(f"there are {fewest} feature vectors; subsets need at least four of each set")
    size = max(min(size, fewest // 4), 2)
    rows = [rng.permutation(len(features))[: fewest // size * size].reshape(-1, size) for features in (first, second)]
    found = [kernel_distance(first[one], second[other]) for one, other in zip(*rows, strict=True)]
    return float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(len(found))), size


def _check_features(first: FloatArray, second: FloatArray) -> None:
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"features have shapes {first.shape} and {second.shape}; both must be (n, dimension)")
    if min(len(first), len(second)) < 2:
        raise ValueError("each set needs at least two feature vectors")
