"""The simulated images of a CycleGAN, with their labels, made once at the experiment's pixel size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.imaging.simulate import simulate
from napari_stemlearn.imaging.specimen_margin import needed_margin
from napari_stemlearn.learning.grey_levels import GreyLevels, grey_levels_of
from napari_stemlearn.learning.settings import MixtureSettings
from napari_stemlearn.learning.structure_mixture import StructureMixture
from napari_stemlearn.structures.build import build


@dataclass(frozen=True)
class SimulatedImage:
    """An image (y, x) with its site tables."""

    image: NDArray[np.float32]
    columns: pd.DataFrame
    defects: pd.DataFrame


class SimulationPool:
    """Simulated images from which crops are drawn.

    Parameters
    ----------
    images
        Of one shape and pixel size.
    """

    def __init__(self, images: list[SimulatedImage]) -> None:
        self.images = images
        sample = np.concatenate([entry.image[::3, ::3].ravel() for entry in images])
        self.grey_levels: GreyLevels = grey_levels_of(sample)

    def crops(self, rng: np.random.Generator, count: int, size: int) -> Tensor:
        """Random crops (count, 1, size, size) with grey levels about -1 to 1."""
        cut = []
        for _ in range(count):
            image = self.images[int(rng.integers(len(self.images)))].image
            height, width = image.shape
            y, x = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
            cut.append(self.grey_levels.scaled(image[y : y + size, x : x + size]))
        return torch.from_numpy(np.stack(cut))[:, None]

    def first(self, count: int) -> NDArray[np.float32]:
        """The first images (n, y, x), at most `count`."""
        return np.stack([entry.image for entry in self.images[:count]])


def simulated_images(
    structures: tuple[MixtureSettings, ...],
    imaging: ImagingSettings,
    *,
    pixel_size: float,
    side: int,
    count: int,
    seed: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[SimulatedImage]:
    """Simulate images of `side` pixels at `pixel_size` angstrom; the same seed gives the same images."""
    extent = side * pixel_size
    taken = imaging.changed(shape=(side, side), pixel_size=pixel_size)
    margin, mixture = needed_margin(taken), StructureMixture(structures)
    for index in range(count):
        if should_stop():
            return
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
        drawn = mixture.draw(rng)
        size = {"field_of_view": (extent, extent), "margin": max(drawn.margin, margin)}
        structure = drawn.model_copy(update=size)
        labelled = simulate(build(structure, int(rng.integers(2**31))), taken, seed=int(rng.integers(2**31)))
        yield SimulatedImage(np.asarray(labelled.micrograph.data, dtype=np.float32), labelled.columns, labelled.defects)
