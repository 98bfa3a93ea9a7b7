"""How far an image, or each part of it, has moved against another: to first order and differentiable."""

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


def local_shifts(before: Tensor, after: Tensor, sigma: float, window: float) -> tuple[Tensor, Tensor]:
    """Shift of every part of each image of a batch, where both hold little noise.

    In a Gaussian window around each pixel, ``after`` is fitted by ``a before + b - a d . gradient(before)``: gain and
    background may change from place to place, only what has moved counts (Lucas and Kanade, IJCAI 1981).

    Parameters
    ----------
    before, after
        Shape (batch, 1, y, x).
    sigma
        Standard deviation in pixels of a Gaussian that smooths both first.
    window
        Standard deviation in pixels of the window.

    Returns
    -------
    shift
        Shape (batch, 2, y, x) in pixels along y and x; gradients flow to `after` alone.
    weight
        Shape (batch, 1, y, x): how much there is to tell a shift by, 0 to 1.
    """
    with torch.no_grad():
        still = blur(before, sigma)
        known = torch.cat([still, *torch.gradient(still, dim=(-2, -1))], dim=1)
        middle = blur(known, window)
        rows = [blur(known * known[:, [number]], window) - middle * middle[:, [number]] for number in range(3)]
        matrix = torch.stack(rows, dim=1).permute(0, 3, 4, 1, 2)
        contrast = matrix.diagonal(dim1=-2, dim2=-1)
        usual = contrast.mean(dim=(1, 2), keepdim=True)
        inverse = torch.linalg.inv(matrix + torch.diag_embed(1e-3 * usual.expand_as(contrast) + 1e-12))
        slopes = contrast[..., 1:].amin(dim=-1)
        weight = (slopes / usual[..., 1:].amin(dim=-1).clamp_min(1e-12)).clamp(0, 1)[:, None]
    moved = blur(after, sigma)
    products = blur(known * moved, window) - middle * blur(moved, window)
    gain, *change = (inverse @ products.permute(0, 2, 3, 1)[..., None])[..., 0].unbind(dim=-1)
    with torch.no_grad():
        # a place that has lost its contrast has no shift
        gain = torch.where(gain.abs() < 0.1, torch.full_like(gain, torch.inf), gain)
    return -torch.stack(change, dim=1) / gain[:, None], weight
