"""Losses have the values of their papers, and their minimum at the truth."""

import math

import pytest
import torch

from napari_stemlearn.learning.losses import cross_entropy, dice, focal, heat_map, mixed_loss
from napari_stemlearn.learning.settings import LOSSES
from napari_stemlearn.learning.targets import Targets, draw_targets


def _targets():
    return draw_targets([[0, 0, 8, 8], [1, 1, 5.5, 9.2]], (2, 2, 16, 16), radius=2.0)


def _logits(targets):
    return torch.logit(targets.maps.clamp(1e-4, 1 - 1e-4))


@pytest.mark.parametrize("name", LOSSES)
def test_truth_costs_less_than_anything_near_it(name):
    targets = _targets()
    best = mixed_loss(_logits(targets), targets, {name: 1.0})
    for shift in ((0, 3), (3, 0)):
        moved = torch.roll(_logits(targets), shift, dims=(-2, -1))
        assert mixed_loss(moved, targets, {name: 1.0}) > best
    assert mixed_loss(torch.zeros_like(targets.maps), targets, {name: 1.0}) > best


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_for_extreme_logits(name):
    targets = _targets()
    logits = torch.full_like(targets.maps, 80.0)
    logits[..., ::2] = -80.0
    logits.requires_grad_()
    mixed_loss(logits, targets, {name: 1.0}).backward()
    assert torch.isfinite(logits.grad).all()


def test_values_by_hand():
    maps = torch.tensor([1.0, 0.5, 0.0]).view(1, 1, 1, 3)
    targets = Targets(maps, maps == 1)
    logits = torch.logit(torch.tensor([0.8, 0.3, 0.1])).view(1, 1, 1, 3)
    entropy = [-math.log(0.8), -0.5 * math.log(0.3) - 0.5 * math.log(0.7), -math.log(0.9)]
    assert float(cross_entropy(logits, targets)) == pytest.approx(sum(entropy) / 3, rel=1e-5)
    weighted = [3 * entropy[0], 2 * entropy[1], entropy[2]]
    assert float(cross_entropy(logits, targets, 3.0)) == pytest.approx(sum(weighted) / 3, rel=1e-5)
    wrong = [0.2, 0.2, 0.1]
    expected = sum(w**2 * e for w, e in zip(wrong, entropy, strict=True)) / 1.5
    assert float(focal(logits, targets)) == pytest.approx(expected, rel=1e-5)
    expected = -(0.2**2 * math.log(0.8) + 0.5**4 * 0.3**2 * math.log(0.7) + 0.1**2 * math.log(0.9))
    assert float(heat_map(logits, targets)) == pytest.approx(expected, rel=1e-5)
    expected = 1 - (2 * (0.8 + 0.15) + 1) / (0.64 + 0.09 + 0.01 + 1.25 + 1)
    assert float(dice(logits, targets)) == pytest.approx(expected, rel=1e-5)


def test_a_mixture_is_the_weighted_sum():
    targets = _targets()
    logits = torch.randn_like(targets.maps)
    weights = {"cross_entropy": 1.0, "dice": 0.5, "focal": 0.0, "heat_map": 2.0}
    single = sum(weight * mixed_loss(logits, targets, {name: 1.0}) for name, weight in weights.items())
    torch.testing.assert_close(mixed_loss(logits, targets, weights), single)
