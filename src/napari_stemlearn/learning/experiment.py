"""The unlabelled experimental images of a CycleGAN: checked once, cut into crops without loading them whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.learning.grey_levels import GreyLevels, grey_levels_of
from napari_stemlearn.micrograph import Micrograph, check_values

SAMPLED_PIXELS = 1_000_000
"""Pixels looked at for the grey levels."""


class Experiment:
    """Frames of one microscope and one day, at one pixel size.

    Parameters
    ----------
    micrographs
        Images and stacks, in memory or memory-mapped.
    crop
        Side of the crops in pixels.
    pixel_size
        In angstrom; None takes that of the micrographs.

    Raises
    ------
    MicrographError
        If there is none, a frame is smaller than a crop, has one grey level or NaN, or pixel sizes differ.
    """

    def __init__(self, micrographs: Sequence[Micrograph], crop: int, pixel_size: float | None = None) -> None:
        if not micrographs:
            raise MicrographError("There is no experimental image to learn from; choose a stack or files.")
        self.crop = crop
        self.frames: list[tuple[Micrograph, int]] = []
        sizes: set[float] = set()
        samples = []
        total = sum(micrograph.n_frames for micrograph in micrographs)
        for micrograph in micrographs:
            if pixel_size is None:
                sizes.add(round(micrograph.require_pixel_size(), 6))
            if min(micrograph.shape) < crop:
                height, width = micrograph.shape
                raise MicrographError(
                    f"'{micrograph.name}' has frames of {height} by {width} pixels; crops of {crop} pixels need larger "
                    "ones, so choose a smaller crop."
                )
            for index in range(micrograph.n_frames):
                frame = micrograph.frame(index)
                check_values(frame, f"{micrograph.name}, frame {index}" if micrograph.is_stack else micrograph.name)
                step = max(int(np.sqrt(frame.size * total / SAMPLED_PIXELS)), 1)
                samples.append(frame[::step, ::step].astype(np.float32).ravel())
                self.frames.append((micrograph, index))
        if len(sizes) > 1 and max(sizes) / min(sizes) > 1.02:
            raise MicrographError(
                f"The experimental images have pixels of {min(sizes):g} to {max(sizes):g} angstrom; "
                "one pixel size is needed."
            )
        self.pixel_size = float(pixel_size) if pixel_size is not None else float(np.mean(list(sizes)))
        self.grey_levels: GreyLevels = grey_levels_of(np.concatenate(samples))

    def crops(self, rng: np.random.Generator, count: int, size: int | None = None) -> Tensor:
        """Random crops (count, 1, size, size) with grey levels about -1 to 1."""
        size = size or self.crop
        cut = []
        for _ in range(count):
            micrograph, index = self.frames[int(rng.integers(len(self.frames)))]
            height, width = micrograph.shape
            y, x = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
            data = micrograph.data[index] if micrograph.is_stack else micrograph.data
            cut.append(self.grey_levels.scaled(np.asarray(data[y : y + size, x : x + size])))
        return torch.from_numpy(np.stack(cut))[:, None]

    def patches(self, rng: np.random.Generator, count: int, size: int) -> NDArray[np.float32]:
        """Patches (count, size, size) for comparing looks."""
        return self.crops(rng, count, min(size, *self.smallest_frame())).numpy()[:, 0]

    def smallest_frame(self) -> tuple[int, int]:
        """Smallest height and width among the frames."""
        shapes = [micrograph.shape for micrograph, _ in self.frames]
        return min(shape[0] for shape in shapes), min(shape[1] for shape in shapes)
