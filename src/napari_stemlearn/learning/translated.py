"""Labelled crops that a trained generator gives the look of its day, made on the spot."""

from __future__ import annotations

import numpy as np
import torch

from napari_stemlearn.errors import ModelError
from napari_stemlearn.imaging.simulate import simulate_batch
from napari_stemlearn.imaging.specimen_margin import needed_margin
from napari_stemlearn.learning.crops import Crop, acquired_side, resampled_crop
from napari_stemlearn.learning.generator_cards import BY_A_SET, knows_no_simulation, read_generator_card
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.structure_mixture import StructureMixture
from napari_stemlearn.learning.translators import load_translator
from napari_stemlearn.structures.build import build


class TranslatedCrops:
    """Simulates what a generator learnt from, at its pixel size, and translates it.

    Parameters
    ----------
    settings
        Of the training; `data.generator` names the generator's folder.

    Raises
    ------
    ModelError
        If there is no generator, it cannot be loaded, or it learnt from a simulated stack.
    """

    def __init__(self, settings: SegmentationSettings) -> None:
        self.settings = settings
        # worker processes share the cores; the network's device is busy with learning
        self.translator = load_translator(settings.data.generator, "cpu")
        unknown = knows_no_simulation(read_generator_card(settings.data.generator), BY_A_SET)
        if unknown:
            raise ModelError(unknown)
        self._mixture = StructureMixture(self.translator.settings.structures)

    @property
    def pixel_size_range(self) -> tuple[float, float]:
        """The generator's pixel size, twice."""
        return self.translator.pixel_size, self.translator.pixel_size

    def crop(self, rng: np.random.Generator, size: int, *, stream: int) -> Crop:
        """Simulate, translate and resample a crop to the pixel size of the training."""
        translator, wanted = self.translator, self.settings.pixel_size
        acquired = translator.pixel_size
        side = acquired_side(size, acquired, wanted)
        extent = side * acquired
        imaging = translator.settings.imaging.model_copy(update={"shape": (side, side), "pixel_size": acquired})
        drawn = self._mixture.draw(rng)
        size_of = {"field_of_view": (extent, extent), "margin": max(drawn.margin, needed_margin(imaging))}
        structure = drawn.model_copy(update=size_of)
        specimen_seed, imaging_seed = (int(seed) for seed in rng.integers(2**31, size=2))
        batch = simulate_batch([build(structure, specimen_seed)], imaging, [imaging_seed])
        translated = torch.from_numpy(translator.translate(batch.images[0].numpy(), rng))
        return resampled_crop(translated, (batch.column_sites[0], batch.defect_sites[0]), acquired, wanted, size)
