"""Carbon on the specimen scatters as much as its thickness says; backgrounds are smooth."""

from __future__ import annotations

import numpy as np
import pytest
from microscopes import fractions, microscope

from napari_stemlearn.imaging.contamination import background, carbon_atoms, smooth_field, thickness_map
from napari_stemlearn.imaging.cross_sections import partial_cross_sections
from napari_stemlearn.imaging.simulate import PlainSpecimen, simulate_batch

CARBON = {"thickness": 20.0, "coverage": 0.5, "correlation_length": 20.0, "density": 0.1}
EMPTY = PlainSpecimen(np.zeros((0, 3)), np.zeros(0, dtype=int))


def test_fields_have_zero_mean_unit_variance_and_a_length() -> None:
    y, x = np.arange(0, 300, 2.0), np.arange(0, 360, 3.0)
    fields = np.stack([smooth_field(np.random.default_rng(seed), y, x, 25.0) for seed in range(60)])
    assert fields.shape == (60, 150, 120)
    assert fields.mean() == pytest.approx(0, abs=0.03)
    assert fields.std() == pytest.approx(1, abs=0.03)
    assert fields.std(axis=0).max() < 1.4
    near = (fields[:, 2:] * fields[:, :-2]).mean()
    far = (fields[:, 25:] * fields[:, :-25]).mean()
    assert near > 0.9
    assert abs(far) < 0.1


@pytest.mark.parametrize("coverage", [0.2, 0.7, 1.0])
def test_thickness_has_the_wanted_mean_and_coverage(coverage: float) -> None:
    y = np.arange(0, 400, 4.0)
    drawn = {**CARBON, "coverage": coverage}
    maps = np.stack([thickness_map(np.random.default_rng(seed), y, y, drawn) for seed in range(30)])
    assert maps.min() >= 0
    assert maps.mean() == pytest.approx(20, rel=0.08)
    assert (maps > 0).mean() == pytest.approx(coverage, abs=0.04)


def test_carbon_atoms_are_a_poisson_process_of_the_right_rate() -> None:
    size, spacing = (150, 217), 0.2
    counts = [len(carbon_atoms(np.random.default_rng(seed), size, spacing, CARBON)) for seed in range(300)]
    expected = 20 * 0.1 * size[0] * size[1] * spacing**2
    assert np.mean(counts) == pytest.approx(expected, rel=0.12)
    even = {**CARBON, "coverage": 1.0, "correlation_length": 20.0}
    index = carbon_atoms(np.random.default_rng(0), size, spacing, even)
    assert index.min() >= 0
    assert index.max() < size[0] * size[1]
    grid = np.bincount(index, minlength=size[0] * size[1]).reshape(size)
    # next to each other the numbers on grid points are independent: variance and mean agree
    pairs = grid[:, 1::2][:, :100] - grid[:, 0::2][:, :100]
    assert pairs.var() / 2 == pytest.approx(grid.mean(), rel=0.1)


def test_carbon_adds_its_cross_section() -> None:
    settings = microscope((96, 96), 0.2, contamination={"thickness": 30.0, "coverage": 1.0, "correlation_length": 15.0})
    seeds = list(range(40))
    batch = simulate_batch([EMPTY] * len(seeds), settings, seeds)
    mean = np.mean([fractions(image.numpy(), settings).mean() for image in batch.images])
    expected = 30 * 0.1 * partial_cross_sections([6], 80.0, 63.0, 200.0)[0]
    assert mean == pytest.approx(expected, rel=0.1)


def test_carbon_is_as_sharp_as_an_atom() -> None:
    settings = microscope((160, 160), 0.2, contamination={"thickness": 0.02, "coverage": 1.0})
    image = fractions(simulate_batch([EMPTY], settings, [1]).images[0].numpy(), settings)
    alone = PlainSpecimen(np.array([[16.0, 16.0, 0.0]]), np.array([6]))
    spot = fractions(simulate_batch([alone], microscope((160, 160), 0.2), [1]).images[0].numpy(), settings)
    assert image.max() == pytest.approx(spot.max(), rel=0.05)


def test_contrast_and_background() -> None:
    flat = microscope((64, 64), 0.2, contamination={"background": 0.01})
    image = fractions(simulate_batch([EMPTY], flat, [0]).images[0].numpy(), flat)
    np.testing.assert_allclose(image, 0.01, rtol=1e-5)
    drawn = {"background": 0.01, "background_variation": 0.2, "correlation_length": 10.0}
    maps = np.stack([background(np.random.default_rng(seed), (80, 90), 0.5, drawn) for seed in range(40)])
    assert maps.shape == (40, 80, 90)
    assert maps.mean() == pytest.approx(0.01, rel=0.03)
    assert maps.std() == pytest.approx(0.002, rel=0.1)
    assert np.abs(np.diff(maps, axis=1)).max() < 0.004
