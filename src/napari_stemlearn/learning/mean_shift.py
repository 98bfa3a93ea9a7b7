"""How far a whole image has moved against another, to first order and differentiable."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_stemlearn.learning.augmentation import blur


def mean_shift(before: Tensor, after: Tensor, sigma: float) -> Tensor:
    """Shift of each image of a batch, from the slope of the cross-correlation at its origin.

    If ``after`` is ``a before(r - d)`` plus noise and a background, the covariance of ``after - a before`` with the
    gradient of ``before`` is ``-a d`` times the gradient's mean square. The noise of single atoms averages out over the
    image.

    Parameters
    ----------
    before, after
        Shape (batch, 1, y, x).
    sigma
        Standard deviation in pixels of a Gaussian that smooths both first.

    Returns
    -------
    Tensor
        Shape (batch, 2): shift in pixels along y and x; gradients flow to `after` alone.
    """
    with torch.no_grad():
        still = blur(before, sigma)
        still = still - still.mean(dim=(-2, -1), keepdim=True)
        slopes = torch.cat(torch.gradient(still, dim=(-2, -1)), dim=1)
        slopes = slopes - slopes.mean(dim=(-2, -1), keepdim=True)
    moved = blur(after, sigma)
    moved = moved - moved.mean(dim=(-2, -1), keepdim=True)
    with torch.no_grad():
        gain = (still * moved).mean(dim=(-2, -1)) / still.square().mean(dim=(-2, -1)).clamp_min(1e-12)
        scale = gain * slopes.square().mean(dim=(-2, -1))
        # an image that has lost its contrast has no shift
        least = 1e-3 * slopes.square().mean(dim=(-2, -1)) + 1e-12
        scale = torch.where(scale.abs() < least, least, scale)
        unmoved = gain[..., None, None] * still
    # an image has a covariance with its own slopes where it ends; only what has changed tells of a shift
    return -(slopes * (moved - unmoved)).mean(dim=(-2, -1)) / scale
