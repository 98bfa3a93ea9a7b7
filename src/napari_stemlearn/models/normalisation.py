"""Grey levels before the network: the same function in training and in finding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from napari_stemlearn.models.card import NormalisationRecord

_PASSES = 2
_SMALLEST = 1e-12


class Halo(NamedTuple):
    """What a tile needs so that its inside gets the same numbers as in the whole frame.

    Parameters
    ----------
    pixels
        Margin around the tile.
    multiple
        Tiles must begin at multiples of this many pixels.
    """

    pixels: int
    multiple: int


def as_record(record: NormalisationRecord | Mapping[str, Any] | None) -> NormalisationRecord:
    """The record of a card, of plain values, or the default."""
    if record is None:
        return NormalisationRecord()
    return record if isinstance(record, NormalisationRecord) else NormalisationRecord(**record)


def _window(pixel_size: float, record: NormalisationRecord) -> tuple[int, int]:
    """Reduction factor and odd box width, in reduced pixels, whose passes make the window."""
    window = record.window_angstrom / pixel_size
    reduction = 1
    while reduction < 8 and window >= 16 * reduction:
        reduction *= 2
    sigma = window / 2.355 / reduction
    width = (12 * sigma**2 / _PASSES + 1) ** 0.5  # variance of a box of w pixels: (w^2 - 1) / 12
    return reduction, max(2 * round((width - 1) / 2) + 1, 3)


def halo(pixel_size: float, record: NormalisationRecord | Mapping[str, Any] | None) -> Halo:
    """Margin and alignment of tiles for the ``local`` kind; nothing for ``frame``."""
    record = as_record(record)
    if record.kind == "frame":
        return Halo(0, 1)
    reduction, width = _window(pixel_size, record)
    return Halo(reduction * (2 * _PASSES * (width // 2) + 2), reduction)


def _smooth(images: Tensor, width: int) -> Tensor:
    """Smooth a batch (n, 1, y, x) with repeated boxes; at the rim over the pixels that are there."""
    for _ in range(_PASSES):
        for kernel, padding in (((1, width), (0, width // 2)), ((width, 1), (width // 2, 0))):
            images = functional.avg_pool2d(images, kernel, 1, padding, count_include_pad=False)
    return images


def _statistics(images: Tensor, pixel_size: float, record: NormalisationRecord) -> tuple[Tensor, Tensor, int]:
    """Reduced local mean and variance of a batch (n, 1, y, x), and the reduction."""
    reduction, width = _window(pixel_size, record)
    mean, square = images, torch.zeros_like(images)
    if reduction > 1:
        mean = functional.avg_pool2d(images, reduction, ceil_mode=True, count_include_pad=False)
        blocks = mean.repeat_interleave(reduction, -2).repeat_interleave(reduction, -1)
        deviation = images - blocks[..., : images.shape[-2], : images.shape[-1]]
        square = functional.avg_pool2d(deviation.square_(), reduction, ceil_mode=True, count_include_pad=False)
    local_mean = _smooth(mean, width)
    # around the local mean, so that a slope of the background does not count as contrast
    return local_mean, _smooth(square + (mean - local_mean).square_(), width), reduction


def _enlarge(reduced: Tensor, reduction: int, shape: torch.Size) -> Tensor:
    if reduction == 1:
        return reduced
    enlarged = functional.interpolate(reduced, scale_factor=float(reduction), mode="bilinear", align_corners=False)
    return enlarged[..., : shape[0], : shape[1]]


def frame_scale(images: Tensor, pixel_size: float, record: NormalisationRecord | Mapping[str, Any] | None) -> Tensor:
    """The frame's own contrast, which `normalise` needs when it is given tiles of a frame.

    Parameters
    ----------
    images
        Whole frames, shape (..., y, x), float.
    pixel_size
        Side of a pixel in angstrom.
    record
        The card's normalisation.

    Returns
    -------
    torch.Tensor
        Shape (...): root mean square of the local standard deviation, slow changes left out.
    """
    record = as_record(record)
    flat = images.reshape(-1, 1, *images.shape[-2:])
    if record.kind == "frame":
        return flat.std(dim=(1, 2, 3), correction=0).reshape(images.shape[:-2])
    variance = _statistics(flat - flat.mean(dim=(-2, -1), keepdim=True), pixel_size, record)[1]
    return variance.mean(dim=(1, 2, 3)).sqrt().reshape(images.shape[:-2])


def normalise(
    images: Tensor,
    pixel_size: float,
    record: NormalisationRecord | Mapping[str, Any] | None = None,
    *,
    scale: Tensor | float | None = None,
    mean: Tensor | float | None = None,
) -> Tensor:
    """Bring grey levels to mean 0 and standard deviation 1, locally or over the frame.

    Parameters
    ----------
    images
        Shape (..., y, x), float, at `pixel_size`.
    pixel_size
        Side of a pixel in angstrom (that of the network's training).
    record
        The card's normalisation; None for the default.
    scale
        For tiles: `frame_scale` of the whole frame, shape (...) or one number. Left out, it is that of `images`.
    mean
        For tiles of the ``frame`` kind: the frame's mean. Left out, it is that of `images`.

    Returns
    -------
    torch.Tensor
        Same shape. A constant image becomes 0 everywhere.
    """
    record = as_record(record)
    flat = images.reshape(-1, 1, *images.shape[-2:])
    if mean is None:
        mean = flat.mean(dim=(-2, -1), keepdim=True)
    elif isinstance(mean, Tensor):
        mean = mean.reshape(-1, 1, 1, 1)
    # the variance of a small contrast on a large pedestal would drown in float32 rounding
    flat = flat - mean
    if scale is not None and isinstance(scale, Tensor):
        scale = scale.reshape(-1, 1, 1, 1)
    if record.kind == "frame":
        if scale is None:
            scale = flat.std(dim=(1, 2, 3), correction=0, keepdim=True)
        done = flat / torch.as_tensor(scale, dtype=flat.dtype, device=flat.device).clamp(min=_SMALLEST)
        return done.reshape(images.shape)
    local_mean, variance, reduction = _statistics(flat, pixel_size, record)
    if scale is None:
        scale = variance.mean(dim=(1, 2, 3), keepdim=True).sqrt()
    lowest = torch.as_tensor(scale, dtype=flat.dtype, device=flat.device) * record.floor
    deviation = torch.maximum(variance.sqrt(), lowest.expand_as(variance)).clamp(min=_SMALLEST)
    shape = images.shape[-2:]
    done = (flat - _enlarge(local_mean, reduction, shape)) / _enlarge(deviation, reduction, shape)
    return done.reshape(images.shape)
