"""Labelled crops simulated on the spot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_stemlearn.distributions import draw
from napari_stemlearn.imaging.preparation import needed_by_image
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.imaging.simulate import simulate_batch
from napari_stemlearn.learning.crops import HELD_OUT, THRESHOLDS, Crop, acquired_side, resampled_crop
from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.learning.settings import MixtureSettings, SegmentationSettings
from napari_stemlearn.learning.structure_mixture import StructureMixture
from napari_stemlearn.learning.translated import TranslatedCrops
from napari_stemlearn.learning.truth_classes import unmade_class
from napari_stemlearn.structures.build import build


class SimulatedCrops:
    """Draws specimens and microscope settings and simulates them.

    Parameters
    ----------
    settings
        Of the training.

    Raises
    ------
    ModelError
        If the generator that the settings name cannot be used.
    TrainingError
        If the generator simulates nothing of what is to be marked.
    """

    def __init__(self, settings: SegmentationSettings) -> None:
        self.settings = settings
        self._translated = TranslatedCrops(settings) if settings.data.generator else None
        self._mixture = StructureMixture(settings.structures)
        self.structures = self._structures()
        if self._translated:
            who = f"setting targets: the generator {settings.data.generator} simulates no specimen that"
            unmade = unmade_class(settings.targets.classes, self.structures, who, known=bool(settings.start_from))
            if unmade:
                raise TrainingError(f"{unmade[0].upper()}{unmade[1:]}.")

    def _structures(self) -> tuple[MixtureSettings, ...]:
        """Specimens of the training images, those of a generator among them, by their weights."""
        own = self.settings.structures
        if self._translated is None:
            return own
        part = self.settings.data.translated
        return _weighing(own, 1 - part) + _weighing(self._translated.translator.settings.structures, part)

    @property
    def pixel_size_range(self) -> tuple[float, float]:
        """Smallest and largest pixel size in angstrom at which images are simulated."""
        if self._translated is None:
            return self.settings.acquisition_range()
        low, high = self.settings.acquisition_range() if self.settings.data.translated < 1 else (np.inf, 0.0)
        size = self._translated.pixel_size_range[0]
        return min(low, size), max(high, size)

    def crop(self, rng: np.random.Generator, size: int, *, stream: int) -> Crop:
        """Simulate a crop at a drawn pixel size and resample it to that of the training."""
        settings = self.settings
        if self._translated and (stream in (HELD_OUT, THRESHOLDS) or rng.random() < settings.data.translated):
            return self._translated.crop(rng, size, stream=stream)
        held_out = settings.validation.held_out_imaging if stream in (HELD_OUT, THRESHOLDS) else None
        acquired = draw(settings.acquisition_pixel_size, rng, 0.01, 2.0)
        side = acquired_side(size, acquired, settings.pixel_size)
        imaging = _taken_at(held_out or settings.imaging, side, acquired)
        drawn = self._mixture.draw(rng)
        specimen_seed, imaging_seed = (int(seed) for seed in rng.integers(2**31, size=2))
        margin = max(drawn.margin, needed_by_image(imaging, imaging_seed))
        structure = drawn.model_copy(update={"field_of_view": (side * acquired, side * acquired), "margin": margin})
        batch = simulate_batch([build(structure, specimen_seed)], imaging, [imaging_seed])
        sites = (batch.column_sites[0], batch.defect_sites[0])
        return resampled_crop(batch.images[0], sites, acquired, settings.pixel_size, size)


def _weighing(parts: Sequence[MixtureSettings], whole: float) -> tuple[MixtureSettings, ...]:
    """Parts of a mixture with weights that sum to `whole`; none where that is nothing."""
    total = sum(part.weight for part in parts)
    return tuple(
        part.model_copy(update={"weight": whole * part.weight / total}) for part in parts if whole * part.weight > 0
    )


def _taken_at(imaging: ImagingSettings, side: int, pixel_size: float) -> ImagingSettings:
    # checked already: only shape and pixel size change, inside their bounds
    return imaging.model_copy(update={"shape": (side, side), "pixel_size": pixel_size})
