"""Geometric augmentation moves image and sites alike; grey levels change without moving anything."""

import itertools

import numpy as np
import pytest
import torch

from napari_stemlearn.learning.augmentation import Turn, apply_gamma, blur, change_levels, draw_turn
from napari_stemlearn.learning.settings import AugmentationSettings
from napari_stemlearn.learning.styles import STYLE_FUNCTIONS
from napari_stemlearn.learning.targets import draw_targets

TURNS = [Turn(*given) for given in itertools.product(range(4), (False, True), (False, True))]


def _spots(y, x, shape):
    sites = np.stack([np.zeros_like(y), np.zeros_like(y), y, x], axis=1)
    return draw_targets(sites, (1, 1, *shape), radius=2.3).maps[0, 0]


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_sites_follow_their_spots_to_float_precision(turn):
    rng, shape = np.random.default_rng(0), (30, 44)
    y, x = rng.uniform(9, 21, size=3), rng.uniform(9, 35, size=3)
    turned = turn.image(_spots(y, x, shape))
    moved = turn.positions(y, x, shape)
    torch.testing.assert_close(turned, _spots(*moved, tuple(turned.shape)), rtol=0, atol=3e-6)


def test_all_eight_turns_are_drawn_and_switches_hold():
    rng, corner = np.random.default_rng(1), torch.arange(4.0).view(2, 2)
    drawn = {tuple(draw_turn(AugmentationSettings(), rng).image(corner).ravel().tolist()) for _ in range(200)}
    assert len(drawn) == 8
    still = AugmentationSettings(flips=False, quarter_turns=False)
    assert {draw_turn(still, rng) for _ in range(50)} == {Turn()}


def test_grey_levels_change_reproducibly():
    image = torch.rand(32, 32)
    settings = AugmentationSettings(blur="uniform(0, 1)", noise=0.2, inversion=0.5)
    first, second, other = (change_levels(image, settings, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_blur_keeps_mean_and_centre():
    image = _spots(np.array([20.25]), np.array([18.5]), (40, 40))
    smooth = blur(image, 1.5)
    assert float(smooth.sum()) == pytest.approx(float(image.sum()), rel=1e-5)
    rows = torch.arange(40.0)
    assert float((smooth.sum(1) * rows).sum() / smooth.sum()) == pytest.approx(20.25, abs=1e-3)
    assert smooth.max() < image.max()


def test_gamma_and_inversion():
    image = torch.rand(16, 16) * 50 - 20
    bent = apply_gamma(image, 2.0)
    assert (float(bent.min()), float(bent.max())) == pytest.approx((float(image.min()), float(image.max())), abs=1e-4)
    assert float(bent.mean()) < float(image.mean())
    inverted = change_levels(image, AugmentationSettings(gamma=1.0, inversion=1.0), np.random.default_rng(0))
    torch.testing.assert_close(inverted, -image)


@pytest.mark.parametrize("name", sorted(STYLE_FUNCTIONS))
def test_a_style_changes_the_look_and_not_the_place(name):
    image = _spots(np.array([30.3]), np.array([25.6]), (64, 64)) + 0.1 * torch.rand(64, 64)
    styled = STYLE_FUNCTIONS[name](image, np.random.default_rng(3))
    assert not torch.equal(styled, image)
    there = np.unravel_index(int(blur(styled, 2.0).argmax()), styled.shape)
    assert np.hypot(there[0] - 30.3, there[1] - 25.6) < 2
    assert torch.equal(styled, STYLE_FUNCTIONS[name](image, np.random.default_rng(3)))


def test_blur_is_not_shortened_by_mixed_precision():
    image = torch.rand(1, 1, 32, 32)
    whole = blur(image, 1.5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(blur(image, 1.5), whole)
        assert blur(image.bfloat16(), 1.5).dtype == torch.float32
