"""Images and sites from one pixel size to another, by one convention: the upper left corner stays where it is."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_stemlearn.errors import MicrographError

Positions = TypeVar("Positions", float, NDArray[np.floating], Tensor)


def resample(images: Tensor, from_pixel_size: float, to_pixel_size: float) -> Tensor:
    """Resample images; smoothed against aliasing where pixels grow, bicubic where they shrink.

    Positions follow ``y_new + 0.5 = (y_old + 0.5) * from / to`` (see `scale_positions`).

    Parameters
    ----------
    images
        Shape (..., y, x), float.
    from_pixel_size, to_pixel_size
        Side of a pixel before and after, in angstrom.

    Returns
    -------
    torch.Tensor
        Shape (..., `resampled_length` of y, of x).

    Raises
    ------
    MicrographError
        If less than one new pixel is left along an axis.
    """
    if from_pixel_size == to_pixel_size:
        return images
    factor = from_pixel_size / to_pixel_size
    shape = images.shape[-2:]
    if min(shape) * factor < 1:
        raise MicrographError(
            f"An image of {shape[0]} by {shape[1]} pixels of {from_pixel_size:g} angstrom is less than one pixel of "
            f"{to_pixel_size:g} angstrom wide or high."
        )
    size = [resampled_length(length, from_pixel_size, to_pixel_size) for length in shape]
    flat = images.reshape(-1, 1, *shape)
    done = functional.interpolate(
        flat, scale_factor=(factor, factor), mode="bicubic", align_corners=False, antialias=True
    )
    return done[..., : size[0], : size[1]].reshape(*images.shape[:-2], *size)


def resampled_length(length: int, from_pixel_size: float, to_pixel_size: float) -> int:
    """Pixels along an axis after `resample`: whole pixels only, at least one."""
    return max(int(length * (from_pixel_size / to_pixel_size)), 1)


def scale_positions(positions: Positions, from_pixel_size: float, to_pixel_size: float) -> Positions:
    """Positions in pixels (centre of the first pixel is 0) after `resample`."""
    return (positions + 0.5) * (from_pixel_size / to_pixel_size) - 0.5
