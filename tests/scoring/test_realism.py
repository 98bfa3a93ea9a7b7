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
