"""Realism distances are zero for like sets and grow with what they are meant to see."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.scoring.realism import (
    frechet_distance,
    grey_level_distance,
    kernel_distance,
    noise_autocorrelation,
    noise_distance,
    radial_spectrum,
    realism,
    spectrum_distance,
)


def lattice(seed: int, noise: float = 0.3, blur: float = 0.0, count: int = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :96]
    images = np.cos(2 * np.pi * x / 8) + np.cos(2 * np.pi * y / 8) + noise * rng.normal(size=(count, 96, 96))
    return ndimage.gaussian_filter(images, (0, 0, blur)) if blur else images


def test_same_style_is_near_and_other_style_is_far():
    same = realism(lattice(0), lattice(1))
    noisier = realism(lattice(0), lattice(1, noise=1.5))
    assert same.spectrum < 0.1 < noisier.spectrum
    assert same.grey_levels < 0.02 < noisier.grey_levels
    assert realism(lattice(0), lattice(0)).record() == {"spectrum": 0, "grey_levels": 0, "noise": 0}


def test_noise_correlation_sees_afterglow():
    assert noise_distance(lattice(0, 1.0), lattice(1, 1.0)) < 0.02
    assert noise_distance(lattice(0, 1.0), lattice(1, 1.0, blur=1.0)) > 0.05
    correlation = noise_autocorrelation(lattice(1, 1.0, blur=1.0))
    assert correlation[4, 4] == pytest.approx(1)
    assert correlation[4, 5] > correlation[5, 4] + 0.2


def test_radial_spectrum_has_its_peak_at_the_lattice_frequency():
    frequency, power = radial_spectrum(lattice(0))
    assert abs(frequency[1:][np.argmax(power[1:])] - 1 / 8) < 0.02


@pytest.mark.parametrize("shape", [(128, 128), (96, 97), (64, 80)])
def test_radial_spectrum_counts_every_wave_once(shape):
    rng = np.random.default_rng(0)
    # lines of different brightness: all their power lies where x does not change
    images = rng.normal(size=(4, *shape)) + rng.normal(size=(4, shape[0], 1))
    power = radial_spectrum(images)[1]
    standard = (images - images.mean((1, 2), keepdims=True)) / images.std((1, 2), keepdims=True)
    window = np.outer(*(np.hanning(side) for side in shape))
    whole = (np.abs(np.fft.fft2(standard * window)) ** 2).mean(0) / (window**2).sum()
    radius = np.hypot(*np.meshgrid(*(np.fft.fftfreq(side) for side in shape), indexing="ij"))
    edges = np.linspace(0, 0.5, 49)
    for low, high, mean in zip(edges[:-1], edges[1:], power, strict=True):
        ring = (radius >= low) & (radius < high)
        assert mean == pytest.approx(whole[ring].mean() if ring.any() else np.nan, nan_ok=True)


def test_images_of_another_size_are_no_other_look():
    rng = np.random.default_rng(0)
    small, large = rng.normal(size=(40, 32, 32)), rng.normal(size=(10, 64, 64))
    # rings that no wave of the smaller ones falls into say nothing
    assert spectrum_distance(small, large) < 0.1


def test_brightness_and_contrast_do_not_count():
    assert grey_level_distance(lattice(0), 100 + 7 * lattice(0)) == pytest.approx(0, abs=1e-9)
    assert spectrum_distance(lattice(0), 100 + 7 * lattice(0)) == pytest.approx(0, abs=1e-9)


def test_feature_distances_match_closed_forms():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(4000, 3))
    second = rng.normal(size=(4000, 3))
    second[:, 0] += 2.0
    assert frechet_distance(first, second) == pytest.approx(4.0, rel=0.05)
    assert abs(kernel_distance(first, rng.normal(size=(4000, 3)))) < 0.02
    assert kernel_distance(first, second) > 0.5


def test_refusals():
    with pytest.raises(MicrographError, match="one grey level"):
        spectrum_distance(np.ones((2, 32, 32)), lattice(0))
    with pytest.raises(MicrographError, match="at least 16 by 16"):
        realism(np.ones((2, 8, 8)), lattice(0))
    with pytest.raises(ValueError, match="n, dimension"):
        kernel_distance(np.zeros((3, 2)), np.zeros((3, 4)))
