"""Simulations and experiment are brought together before a generator learns."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_stemlearn.learning.alike import levels_like, white_noise_level


@pytest.fixture(scope="module")
def lattice():
    y, x = np.mgrid[:192, :192] * 0.2
    return np.stack([np.cos(2 * np.pi * y / 2.8) * np.cos(2 * np.pi * (x + shift) / 3.2) for shift in (0.0, 0.7)])


@pytest.mark.parametrize("level", [0.05, 0.5])
def test_noise_is_told_from_the_lattice(lattice, level):
    noise = np.random.default_rng(0).normal(0, level, lattice.shape)
    assert white_noise_level(lattice + noise) == pytest.approx(level, rel=0.05)


def test_simulations_get_the_contrast_and_mean_of_the_experiment(lattice):
    rng = np.random.default_rng(0)
    experiment = 0.2 * lattice - 0.4 + rng.normal(0, 0.3, lattice.shape)
    simulated = 3000 * lattice + 7000
    scaled = levels_like(simulated, experiment, 0.2).scaled(simulated)
    assert scaled.mean() == pytest.approx(-0.4, abs=0.01)
    assert scaled.std() == pytest.approx((0.2 * lattice).std(), rel=0.05)


def test_blurred_noise_is_not_taken_for_white_noise(lattice):
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, lattice.shape), (0, 2, 2))
    assert white_noise_level(lattice + noise) < 0.02
