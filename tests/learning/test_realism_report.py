"""Feature distances are small between like looks, grow with the difference, and state what they were measured with."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.learning.features import load_features
from napari_stemlearn.learning.realism_report import compare_looks
from napari_stemlearn.scoring.realism import frechet_distance, kernel_distance_of_subsets


@pytest.fixture(scope="module")
def network():
    return load_features("cpu")


def lattice(seed: int, noise: float, blur: float = 1.5, count: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        y, x = np.mgrid[:192, :192] * 0.2 + rng.random(2)[:, None, None] * 3
        atoms = np.cos(2 * np.pi * x / 3.2) * np.cos(2 * np.pi * y / 2.8)
        images.append(ndimage.gaussian_filter(np.maximum(atoms, 0), blur) + noise * rng.normal(size=x.shape))
    return np.stack(images)


def test_like_looks_are_near_and_other_looks_are_far(network):
    same = compare_looks(lattice(0, 0.2), lattice(1, 0.2), 0.2, network=network)
    noisy = compare_looks(lattice(0, 0.2), lattice(1, 1.0), 0.2, network=network)
    assert abs(same.kid) < 5 * same.kid_error + 1e-4
    assert noisy.kid > 10 * abs(same.kid) + 3 * noisy.kid_error
    assert noisy.fid > 5 * same.fid
    assert noisy.spectrum > same.spectrum
    assert same.patches == (216, 216)


def test_gain_and_offset_do_not_count(network):
    images = lattice(0, 0.2)
    report = compare_looks(images, 300 + 40 * images, 0.2, network=network)
    assert report.fid == pytest.approx(0, abs=1e-3)
    assert abs(report.kid) < 1e-3


def test_the_report_states_network_layer_preprocessing_and_numbers(network):
    record = json.loads(json.dumps(compare_looks(lattice(0, 0.2, count=2), lattice(1, 0.2), 0.2).record()))
    assert "'columns'" in record["network"]
    assert "32 x 32 pixels of 0.2 angstrom" in record["network"]
    assert record["patches"] == [72, 216]
    assert record["fid"] is None, "72 patches are too few for 64 dimensions"
    assert record["subset"] == 18


def test_images_are_resampled_to_the_pixel_size_of_the_network(network):
    features = network.features(lattice(0, 0.2), 0.1)
    assert features.shape == (6 * 9, network.dimension)
    with pytest.raises(MicrographError, match="at least 128 by 128 are needed"):
        network.features(np.zeros((1, 100, 100)), 0.05)
    with pytest.raises(MicrographError, match="There are 2 patches to compare"):
        compare_looks(lattice(0, 0.2, count=2), lattice(1, 0.2), 0.04, network=network)


def test_kernel_distance_of_subsets_has_an_honest_error():
    rng = np.random.default_rng(0)
    draws = [kernel_distance_of_subsets(rng.normal(size=(200, 4)), rng.normal(size=(200, 4)), 50) for _ in range(40)]
    means, errors = np.array([draw[0] for draw in draws]), np.array([draw[1] for draw in draws])
    assert abs(means.mean()) < 3 * means.std() / np.sqrt(40)
    assert np.mean(errors) == pytest.approx(means.std(), rel=0.4)
    assert draws[0][2] == 50
    with pytest.raises(ValueError, match="at least four"):
        kernel_distance_of_subsets(np.zeros((3, 2)), np.zeros((9, 2)))


def test_frechet_distance_stands_features_that_never_vary():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(500, 3)), rng.normal(size=(500, 3))
    first[:, 2] = second[:, 2] = 1.0
    second[:, 0] *= 3
    assert frechet_distance(first, second) == pytest.approx(4.0, rel=0.15)
