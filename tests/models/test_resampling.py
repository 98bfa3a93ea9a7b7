"""Image and sites move together between pixel sizes."""

import numpy as np
import pytest
import torch

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.models.resampling import resample, scale_positions


def _spot(shape, y, x, sigma):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return torch.tensor(np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2)), dtype=torch.float32)


def _centroid(image):
    weights = image.double().clamp(min=0.05 * float(image.max())) - 0.05 * float(image.max())
    rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in image.shape), indexing="ij")
    return float((weights * rows).sum() / weights.sum()), float((weights * columns).sum() / weights.sum())


@pytest.mark.parametrize(("before", "after"), [(0.1, 0.2), (0.083, 0.2), (0.38, 0.2), (0.2, 0.1), (0.2074, 0.2)])
def test_a_spot_lands_where_its_site_does(before, after):
    shape, y, x = (97, 120), 43.27, 71.81
    sigma = 1.5 * max(after / before, 1)
    resampled = resample(_spot(shape, y, x, sigma), before, after)
    expected = tuple(scale_positions(np.array([y, x]), before, after))
    assert _centroid(resampled) == pytest.approx(expected, abs=1e-2)


def test_there_and_back_is_the_same_position():
    positions = np.array([0.0, 3.7, 100.25])
    there = scale_positions(positions, 0.1, 0.23)
    np.testing.assert_allclose(scale_positions(there, 0.23, 0.1), positions, atol=1e-12)


def test_shrinking_does_not_alias():
    stripes = torch.tensor([1.0, -1.0]).repeat(64).expand(128, 128)
    assert float(resample(stripes, 0.1, 0.37).abs()[8:-8, 8:-8].max()) < 0.06


def test_batches_and_equal_sizes():
    images = torch.rand(2, 3, 40, 50)
    assert resample(images, 0.2, 0.2) is images
    assert resample(images, 0.1, 0.2).shape == (2, 3, 20, 25)
    assert resample(torch.rand(1, 4, 4), 0.05, 0.2).shape == (1, 1, 1)
    with pytest.raises(MicrographError, match=r"2 by 400 pixels of 0\.05 angstrom is less than one pixel of 0\.2"):
        resample(torch.rand(1, 2, 400), 0.05, 0.2)
