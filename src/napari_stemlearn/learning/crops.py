"""Labelled crops at the training pixel size, and how they become a batch for the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_stemlearn.imaging.sites_in_image import SitesInImage
from napari_stemlearn.learning.augmentation import Turn, change_levels, draw_turn
from napari_stemlearn.learning.settings import MixtureSettings, SegmentationSettings
from napari_stemlearn.learning.styles import STYLE_FUNCTIONS
from napari_stemlearn.learning.targets import sites_array
from napari_stemlearn.models.normalisation import normalise
from napari_stemlearn.models.resampling import resample, resampled_length, scale_positions

TRAINING, SAME_STYLE, HELD_OUT, THRESHOLDS = range(4)
"""Streams of random numbers: images of one are never those of another."""

SMALLEST_IMAGE = 16
"""Side in pixels below which no image is taken."""


class Crop(NamedTuple):
    """A square image at the training pixel size with its truth.

    Parameters
    ----------
    image
        Shape (y, x), float32, grey levels as they come.
    names
        Class of each site in the truth tables.
    y, x
        Positions in pixels of `image`.
    """

    image: Tensor
    names: list[str]
    y: NDArray[np.float64]
    x: NDArray[np.float64]


class LabelledBatch(NamedTuple):
    """What the network learns from.

    Parameters
    ----------
    images
        Normalised, float32, shape (batch, y, x).
    sites
        Rows (image, class index, y, x), positions in pixels.
    """

    images: NDArray[np.float32]
    sites: NDArray[np.float64]


class CropSource(Protocol):
    """Where labelled crops come from: simulation or a stored set."""

    @property
    def pixel_size_range(self) -> tuple[float, float]:
        """Smallest and largest acquisition pixel size in angstrom."""

    @property
    def structures(self) -> tuple[MixtureSettings, ...]:
        """Specimens that it simulates; those of the settings where it reads a set."""

    def crop(self, rng: np.random.Generator, size: int, *, stream: int) -> Crop:
        """Make a crop of `size` pixels a side, of the images that belong to `stream`."""


def acquired_side(size: int, acquired: float, pixel_size: float) -> int:
    """Pixels of `acquired` angstrom a side that give at least `size` pixels of `pixel_size`."""
    side = max(math.ceil(size * pixel_size / acquired - 1e-9), SMALLEST_IMAGE)
    while resampled_length(side, acquired, pixel_size) < size:
        side += 1
    return side


def resampled_crop(image: Tensor, sites: Sequence[SitesInImage], acquired: float, pixel_size: float, size: int) -> Crop:
    """Bring an image and its sites from `acquired` to `pixel_size` angstrom; `size` pixels of either side are kept."""
    kept = resample(image, acquired, pixel_size)[:size, :size].contiguous()
    y, x = scale_positions(np.concatenate([of.positions for of in sites]), acquired, pixel_size).T
    return Crop(kept, [name for of in sites for name in of.classes], y, x)


def random_numbers(seed: int, stream: int, index: int) -> np.random.Generator:
    """The random numbers of one crop; nothing else decides what it holds."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, index)))


def training_batch(source: CropSource, settings: SegmentationSettings, index: int) -> LabelledBatch:
    """Make one training batch, always the same for the same settings and index."""
    images, sites = [], []
    for number in range(settings.optimisation.batch_size):
        rng = random_numbers(settings.seed, TRAINING, index * settings.optimisation.batch_size + number)
        crop = source.crop(rng, settings.optimisation.crop, stream=TRAINING)
        image, y, x = _augmented(crop, settings, rng)
        sites.append(sites_array(number, crop.names, y, x, settings.targets.classes))
        images.append(image)
    return LabelledBatch(torch.stack(images).numpy(), np.concatenate(sites))


def _augmented(
    crop: Crop, settings: SegmentationSettings, rng: np.random.Generator
) -> tuple[Tensor, NDArray[np.float64], NDArray[np.float64]]:
    augmentation = settings.augmentation
    image = change_levels(crop.image, augmentation, rng)
    turn: Turn = draw_turn(augmentation, rng)
    y, x = turn.positions(crop.y, crop.x, (image.shape[0], image.shape[1]))
    image = normalise(turn.image(image), settings.pixel_size, settings.normalisation.record())
    return image * augmentation.drawn(rng)["contrast"], y, x


def validation_crops(source: CropSource, settings: SegmentationSettings, stream: int, count: int) -> list[Crop]:
    """Make the images of a validation stream, without augmentation; the held-out ones with their style applied."""
    style = STYLE_FUNCTIONS.get(settings.validation.held_out_style) if stream in (HELD_OUT, THRESHOLDS) else None
    crops = []
    for number in range(count):
        rng = random_numbers(settings.seed, stream, number)
        crop = source.crop(rng, settings.optimisation.crop, stream=stream)
        crops.append(crop if style is None else crop._replace(image=style(crop.image, rng)))
    return crops


def as_batch(crops: Sequence[Crop], settings: SegmentationSettings) -> LabelledBatch:
    """Normalise crops as they are."""
    images = torch.stack([crop.image for crop in crops])
    classes = settings.targets.classes
    sites = [sites_array(number, crop.names, crop.y, crop.x, classes) for number, crop in enumerate(crops)]
    normalised = normalise(images, settings.pixel_size, settings.normalisation.record())
    return LabelledBatch(normalised.numpy(), np.concatenate(sites))
