"""Changes of training images: exact mirrors and quarter turns with their sites, and changes of grey levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_stemlearn.learning.settings import AugmentationSettings


@dataclass(frozen=True)
class Turn:
    """Quarter turns (y towards x, as `numpy.rot90`), then mirrors.

    Parameters
    ----------
    quarters
        0 to 3.
    flip_y, flip_x
        Mirror along that axis, after the turn.
    """

    quarters: int = 0
    flip_y: bool = False
    flip_x: bool = False

    def image(self, image: Tensor) -> Tensor:
        """Move the pixels of (..., y, x)."""
        turned = torch.rot90(image, self.quarters, dims=(-2, -1))
        axes = [axis for axis, flip in ((-2, self.flip_y), (-1, self.flip_x)) if flip]
        return torch.flip(turned, axes) if axes else turned

    def positions(self, y: NDArray, x: NDArray, shape: tuple[int, int]) -> tuple[NDArray, NDArray]:
        """Move positions in an image of `shape` (y, x) before the turn."""
        height, width = shape
        for _ in range(self.quarters % 4):
            y, x = width - 1 - x, y
            height, width = width, height
        return (height - 1 - y if self.flip_y else y), (width - 1 - x if self.flip_x else x)


def draw_turn(settings: AugmentationSettings, rng: np.random.Generator) -> Turn:
    """Draw one of the eight (or fewer) turns."""
    quarters, flips = int(rng.integers(4)), rng.integers(2, size=2).astype(bool)
    return Turn(
        quarters if settings.quarter_turns else 0,
        bool(flips[0]) and settings.flips,
        bool(flips[1]) and settings.flips,
    )


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (..., y, x) with `sigma` pixels, mirrored at the rim; never in bfloat16."""
    if sigma <= 0:
        return image
    image = image.to(torch.promote_types(image.dtype, torch.float32))
    reach = min(int(np.ceil(3 * sigma)), min(image.shape[-2:]) - 1)
    offsets = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-offsets.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    flat = functional.pad(image.reshape(-1, 1, *image.shape[-2:]), (reach,) * 4, mode="reflect")
    with torch.autocast(image.device.type, enabled=False):
        flat = functional.conv2d(functional.conv2d(flat, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return flat.reshape(image.shape)


def apply_gamma(image: Tensor, gamma: float) -> Tensor:
    """Raise the grey levels, brought to 0 … 1, to a power; darkest and brightest stay where they are."""
    low, high = image.min(), image.max()
    if gamma == 1 or low == high:
        return image
    return low + (high - low) * ((image - low) / (high - low)).clamp(0, 1).pow(gamma)


def change_levels(image: Tensor, settings: AugmentationSettings, rng: np.random.Generator) -> Tensor:
    """Draw and apply the changes of grey levels that come before normalisation: blur, gamma, noise, inversion.

    Parameters
    ----------
    image
        One image (y, x), float.
    """
    drawn = settings.drawn(rng)
    image = apply_gamma(blur(image, drawn["blur"]), drawn["gamma"])
    if drawn["noise"] > 0:
        noise = torch.from_numpy(rng.standard_normal(tuple(image.shape), dtype=np.float32))
        image = image + drawn["noise"] * image.std(correction=0) * noise.to(image.device)
    return -image if rng.random() < settings.inversion else image
