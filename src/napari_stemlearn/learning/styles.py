"""Named changes of style that no training image goes through: has a network learnt more than one look?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from napari_stemlearn.learning.augmentation import apply_gamma, blur


def worn_microscope(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Bright and dark lines, noise that is smooth over two pixels, an uneven sensitivity, dark grey levels spread."""
    height, width = image.shape
    contrast = image.std(correction=0)
    grain = blur(_noise((height, width), rng), rng.uniform(0.6, 1.2))
    lines = blur(_noise((height, 1), rng).expand(height, 8).contiguous(), 0.5)[:, :1]
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    slope = rng.uniform(-0.2, 0.2, size=2)
    uneven = 1 + float(slope[0]) * y + float(slope[1]) * x
    noisy = image * uneven + contrast * (rng.uniform(0.3, 0.8) * grain / grain.std() + rng.uniform(0.1, 0.3) * lines)
    return apply_gamma(noisy, rng.uniform(0.6, 0.8))


def soft_detector(image: Tensor, rng: np.random.Generator) -> Tensor:
    """A blur over about two pixels, after-glow along the lines, bright grey levels spread."""
    smooth = blur(image, rng.uniform(1.2, 2.0))
    glow = rng.uniform(0.2, 0.5)
    late = torch.zeros_like(smooth)
    for shift, part in ((1, 0.5), (2, 0.3), (3, 0.2)):
        late += part * torch.cat([smooth[:, :1].expand(-1, shift), smooth[:, :-shift]], dim=1)
    return apply_gamma((1 - glow) * smooth + glow * late, rng.uniform(1.3, 1.7))


def harsh_export(image: Tensor, rng: np.random.Generator) -> Tensor:
    """What an export to few grey levels does: the darkest and brightest parts cut off, 16 to 40 levels left."""
    low, high = np.quantile(image.numpy(), [rng.uniform(0.01, 0.08), rng.uniform(0.97, 0.995)])
    levels = int(rng.integers(16, 41))
    scaled = ((image - float(low)) / max(float(high - low), 1e-12)).clamp(0, 1)
    return (scaled * levels).round()


STYLE_FUNCTIONS: dict[str, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "worn_microscope": worn_microscope,
    "soft_detector": soft_detector,
    "harsh_export": harsh_export,
}
"""The functions behind the names in `ValidationSettings.held_out_style`: (y, x) image and random numbers to image."""


def _noise(shape: tuple[int, int], rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
