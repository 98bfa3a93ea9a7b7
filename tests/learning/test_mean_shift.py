"""The shift of whole images and of their parts, to first order and differentiable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_stemlearn.learning.mean_shift import local_shifts, mean_shift


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


def test_each_part_tells_its_own_shift_through_gain_and_background(image):
    y, x = np.mgrid[:128, :128].astype(float)
    shift = np.stack([0.4 * np.sin(x / 30), 0.3 * np.cos(y / 25)])
    moved = ndimage.map_coordinates(image, [y - shift[0], x - shift[1]], order=3, mode="reflect")
    moved = (1 + 0.3 * np.sin(y / 40)) * moved + 0.2 * np.cos(x / 40)
    found, weight = local_shifts(as_tensor(image), as_tensor(moved), 2.0, 6.0)
    told = (weight[0, 0] > 0.5).numpy() & (abs(y - 63.5) < 50) & (abs(x - 63.5) < 50)
    assert told.mean() > 0.3
    assert np.median(np.abs(found[0].numpy() - shift)[:, told]) < 0.03


def test_brighter_atoms_have_not_moved(image):
    atoms = np.zeros((128, 128))
    atoms[::10, ::12] = 1.0
    brighter = atoms.copy()
    brighter[::20, ::12] = 1.6
    before, after = (10 * ndimage.gaussian_filter(entry, 2.0) for entry in (atoms, brighter))
    found, weight = local_shifts(as_tensor(before), as_tensor(after), 1.0, 5.0)
    near = np.zeros((128, 128), bool)
    near[20:-20:10, 24:-20:12] = True
    assert float(found[0].norm(dim=0)[torch.from_numpy(near)].max()) < 0.15


def test_following_its_gradient_takes_local_shifts_away(image):
    moved = as_tensor(ndimage.shift(image, (0.0, 0.5), order=3, mode="reflect")).requires_grad_()

    def loss_of(after):
        shift, weight = local_shifts(as_tensor(image), after, 2.4, 6.0)
        return (weight * shift.norm(dim=1, keepdim=True)).sum() / weight.sum()

    loss = loss_of(moved)
    loss.backward()
    after = (moved - 2.0 * moved.grad / moved.grad.norm()).detach()
    assert loss_of(after) < loss.detach()
