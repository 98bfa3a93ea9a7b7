"""A weak contrast on high grey levels survives the way to the network, and ordinary images keep every bit."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemlearn.learning.experiment import Experiment
from napari_stemlearn.learning.grey_levels import GreyLevels
from napari_stemlearn.micrograph import Micrograph

PEDESTAL = 30_000_000


@pytest.mark.parametrize("kind", [np.int32, np.float64])
def test_an_experiment_on_a_high_pedestal_keeps_its_contrast(kind):
    # single precision knows 3e7 to two grey levels
    levels = np.random.default_rng(0).integers(0, 20, (3, 96, 96)).astype(kind)
    plain, raised = (Experiment([Micrograph(data, 0.2, "stack")], 32) for data in (levels, levels + kind(PEDESTAL)))
    assert (raised.grey_levels.low, raised.grey_levels.high) == (PEDESTAL, PEDESTAL + 19)
    crops = [found.crops(np.random.default_rng(1), 4).numpy() for found in (plain, raised)]
    assert crops[1].dtype == np.float32
    assert len(np.unique(crops[1])) == 20
    np.testing.assert_allclose(crops[1], crops[0], atol=1e-6)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_ordinary_images_are_scaled_in_single_precision(kind):
    images = (np.random.default_rng(0).random((32, 32)) * 200 + 40).astype(kind)
    known = GreyLevels(43.7, 201.3)
    before = (images.astype(np.float32) - known.low) * np.float32(2 / (known.high - known.low)) - 1
    assert np.array_equal(known.scaled(images), before.astype(np.float32))
