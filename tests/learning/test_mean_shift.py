"""The shift of whole images, to first order and differentiable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_stemlearn.learning.mean_shift import mean_shift


@pytest.fixture(scope="module")
def image():
    return 10 * ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(128, 128)), 2.5)


def as_tensor(image):
    return torch.from_numpy(np.asarray(image, dtype=np.float32))[None, None]


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, -0.2), (-1.0, 0.5)])
@pytest.mark.parametrize("gain", [0.6, -0.6])
def test_it_is_found_through_noise_contrast_and_background(image, shift, gain):
    moved = gain * ndimage.shift(image, shift, order=3, mode="reflect") + 0.3
    noisy = moved + np.random.default_rng(1).normal(0, 0.3, image.shape)
    found = mean_shift(as_tensor(image), as_tensor(noisy), 2.4)[0]
    assert found.numpy() == pytest.approx(shift, abs=0.06)


def test_following_its_gradient_takes_the_shift_away(image):
    moved = as_tensor(ndimage.shift(image, (0.0, 0.5), order=3, mode="reflect")).requires_grad_()
    loss = mean_shift(as_tensor(image), moved, 2.4).norm()
    loss.backward()
    direction = moved.grad / moved.grad.norm()
    after = mean_shift(as_tensor(image), (moved - 0.5 * direction).detach(), 2.4).norm()
    assert after < loss.detach()


def test_an_image_without_contrast_has_no_shift(image):
    found = mean_shift(as_tensor(image), torch.zeros(1, 1, 128, 128), 2.4)
    assert torch.equal(found, torch.zeros(1, 2))
