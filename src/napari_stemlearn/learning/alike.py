"""Brings simulations and experiment close to each other before a generator learns what is left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_stemlearn.learning.grey_levels import GreyLevels

SMOOTHING = 0.5
"""Standard deviation in angstrom of the Gaussian that leaves the lattice and takes most of the noise."""

NOISE_ONLY = 0.38
"""Cycles a pixel beyond which an image of atoms at 0.1 to 0.25 angstrom a pixel holds noise alone."""


def white_noise_level(images: NDArray[np.floating]) -> float:
    """Standard deviation of the noise of images (n, y, x), from their power at the highest frequencies."""
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(side) for side in images.shape[-2:]), indexing="ij"))
    window = np.outer(*(np.hanning(side) for side in images.shape[-2:]))
    centred = (images - images.mean(axis=(-2, -1), keepdims=True)) * window
    power = (np.abs(np.fft.fft2(centred)) ** 2).mean(axis=0) / (window**2).sum()
    return float(np.sqrt(power[frequency > NOISE_ONLY].mean()))


def levels_like(simulated: NDArray[np.floating], experiment: NDArray[np.floating], pixel_size: float) -> GreyLevels:
    """Grey levels for simulations with which their lattice has the mean and contrast of the experiment's.

    Parameters
    ----------
    simulated
        Shape (n, y, x), in their own grey levels.
    experiment
        Shape (n, y, x), in the network's grey levels (about -1 to 1).
    pixel_size
        In angstrom.
    """
    sigma = SMOOTHING / pixel_size
    wanted_mean, wanted_contrast = _mean_and_contrast(experiment, sigma)
    mean, contrast = _mean_and_contrast(simulated, sigma)
    # scaled = (image - low) 2 / (high - low) - 1
    span = 2 * contrast / wanted_contrast
    low = mean - (wanted_mean + 1) * span / 2
    return GreyLevels(low, low + span)


def _mean_and_contrast(images: NDArray[np.floating], sigma: float) -> tuple[float, float]:
    smooth = np.stack([ndimage.gaussian_filter(np.asarray(image, dtype=float), sigma) for image in images])
    # what a Gaussian leaves of white noise
    noise = white_noise_level(images) ** 2 / (4 * np.pi * sigma**2)
    variance = float(np.mean(smooth.var(axis=(-2, -1))))
    return float(smooth.mean()), float(np.sqrt(max(variance - noise, 0.05 * variance, 1e-24)))
