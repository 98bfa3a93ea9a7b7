"""Images with a lattice and noise to mark."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def lattice(shape: tuple[int, int] = (256, 256), *, noise: float = 12.0, period: float = 9.3) -> NDArray[np.float32]:
    """Columns of 100 grey levels on a background of 40, with noise."""
    yy, xx = np.mgrid[: shape[0], : shape[1]] / period
    waves = np.cos(2 * np.pi * yy) * np.cos(2 * np.pi * (0.3 * yy + xx))
    noisy = np.random.default_rng(1).normal(scale=noise, size=shape) if noise else 0
    return (40 + 100 * np.exp(4 * (waves - 1)) + noisy).astype(np.float32)
