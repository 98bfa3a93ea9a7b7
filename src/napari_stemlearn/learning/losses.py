"""Losses for independent classes of marked pixels, alone or mixed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from napari_stemlearn.learning.targets import Targets


def cross_entropy(logits: Tensor, targets: Targets, positive_weight: float = 1.0) -> Tensor:
    """Mean binary cross-entropy with soft targets; marked pixels count `positive_weight` times."""
    weight = 1 + (positive_weight - 1) * targets.maps
    return functional.binary_cross_entropy_with_logits(logits, targets.maps, weight)


def dice(logits: Tensor, targets: Targets) -> Tensor:
    """One minus the Dice overlap of each class over the batch, squares in the denominator.

    Milletari et al., 3DV 2016; its minimum for soft targets is at the target itself.
    """
    probability, maps = logits.sigmoid(), targets.maps
    axes = (0, 2, 3)
    overlap = 2 * (probability * maps).sum(axes) + 1
    return (1 - overlap / (probability.square().sum(axes) + maps.square().sum(axes) + 1)).mean()


def focal(logits: Tensor, targets: Targets, gamma: float = 2.0, positive_weight: float = 1.0) -> Tensor:
    """Cross-entropy weighted by how wrong a pixel is, to the power `gamma`, per marked area.

    Lin et al., ICCV 2017, for soft targets as by Li et al., NeurIPS 2020 (quality focal loss).
    """
    maps = targets.maps
    weight = (logits.sigmoid() - maps).abs().pow(gamma) * (1 + (positive_weight - 1) * maps)
    entropy = functional.binary_cross_entropy_with_logits(logits, maps, reduction="none")
    return (weight * entropy).sum() / maps.sum().clamp(min=1)


def heat_map(logits: Tensor, targets: Targets) -> Tensor:
    """Penalty-reduced focal loss on Gaussian heat maps, alpha 2 and beta 4 (Zhou et al., "Objects as Points", 2019).

    Pixels nearest to a site are positive; the others are negative, less so the nearer they are to one.
    """
    log_is, log_is_not = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    positive = torch.where(targets.centres, log_is_not.exp().square() * log_is, 0.0)
    negative = torch.where(targets.centres, 0.0, (1 - targets.maps).pow(4) * log_is.exp().square() * log_is_not)
    return -(positive.sum() + negative.sum()) / targets.centres.sum().clamp(min=1)


def mixed_loss(
    logits: Tensor,
    targets: Targets,
    weights: Mapping[str, float],
    *,
    focal_gamma: float = 2.0,
    positive_weight: float = 1.0,
) -> Tensor:
    """Sum of the named losses times their weights.

    Parameters
    ----------
    logits
        Shape (batch, class, y, x); computed with as float32.
    targets
        From `draw_targets`.
    weights
        Of ``cross_entropy``, ``dice``, ``focal`` and ``heat_map``.
    focal_gamma, positive_weight
        As in the single losses.
    """
    logits = logits.float()
    losses = {
        "cross_entropy": lambda: cross_entropy(logits, targets, positive_weight),
        "dice": lambda: dice(logits, targets),
        "focal": lambda: focal(logits, targets, focal_gamma, positive_weight),
        "heat_map": lambda: heat_map(logits, targets),
    }
    return torch.stack([weight * losses[name]() for name, weight in weights.items() if weight > 0]).sum()
