"""Looks at what a CycleGAN has learnt: labels, likeness to the experiment, and pictures of both directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_stemlearn.events import Event, Metric, preview
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.cyclegan_trainer import Trainer
from napari_stemlearn.learning.features import load_features
from napari_stemlearn.learning.label_survival import LabelSurvival, follow_labels, label_survival, translations
from napari_stemlearn.learning.realism_report import compare_looks
from napari_stemlearn.learning.simulation_pool import SimulationPool
from napari_stemlearn.learning.translators import Translator
from napari_stemlearn.scoring.realism import realism

COMPARED = 32
"""Images of either side that are compared for the generator's card."""

MORE_REPEATS = 4
"""So many times the translations are averaged before labels count as lost."""


@dataclass(frozen=True)
class Look:
    """What one look found.

    Parameters
    ----------
    refused
        One sentence where labels are lost, else an empty text.
    distance
        From the translations to the experiment.
    events
        The measures, and pictures of both directions.
    """

    refused: str
    distance: float
    events: tuple[Event, ...]


def look_at(trainer: Trainer, patches: NDArray[np.float32]) -> Look:
    """Measure label survival and distance to the experiment, and picture both directions.

    Parameters
    ----------
    trainer
        Of the training.
    patches
        Of the experiment (n, y, x).
    """
    translator = trainer.translator()
    survival = survival_of(translator, trainer.pool, trainer.settings)
    measured = realism(patches, translator.translate_stack(trainer.pool.first(len(patches))))
    metric = Metric(trainer.step, {**survival.record(), **{f"realism_{k}": v for k, v in measured.record().items()}})
    return Look(
        refused=survival.problem(trainer.settings.survival),
        distance=measured.spectrum + measured.grey_levels + measured.noise,
        events=(metric, *_pictures(trainer)),
    )


def _pictures(trainer: Trainer) -> list[Event]:
    """One crop of either side, translated, and translated back, with their Fourier amplitudes."""
    generators, size = trainer.networks.generators, trainer.experiment.pixel_size
    with torch.no_grad():
        simulated, real = (images[:1] for images in trainer.batch())
        there = {"simulation": generators["to_experiment"](simulated), "experiment": generators["to_simulation"](real)}
        back = {
            "simulation": generators["to_simulation"](there["simulation"]),
            "experiment": generators["to_experiment"](there["experiment"]),
        }
    events: list[Event] = []
    for name, first in {"simulation": simulated, "experiment": real}.items():
        rows = [image.float().cpu().numpy()[0, 0] for image in (first, there[name], back[name])]
        events.append(preview(f"{name}: input, translated, cycled", np.stack(rows), trainer.step, size))
        amplitudes = [np.log10(np.abs(np.fft.fftshift(np.fft.fft2(row - row.mean()))) + 1e-3) for row in rows]
        events.append(preview(f"{name}: Fourier amplitudes", np.stack(amplitudes).astype(np.float32), trainer.step))
    return events


def survival_of(translator: Translator, pool: SimulationPool, settings: CycleGANSettings) -> LabelSurvival:
    """Label survival over a few simulated images.

    Where it falls short, more translations are averaged before anybody believes it: it may be their noise.
    """
    survival, repeats = _survival_of(translator, pool, settings, settings.survival.repeats), settings.survival.repeats
    if survival.problem(settings.survival):
        survival = _survival_of(translator, pool, settings, MORE_REPEATS * repeats)
    return survival


def _survival_of(
    translator: Translator, pool: SimulationPool, settings: CycleGANSettings, repeats: int
) -> LabelSurvival:
    tolerance = settings.survival.tolerance
    followed = []
    for entry in pool.images[: settings.survival.images]:
        translated = translations(translator.translate, entry.image, repeats)
        followed.append(
            follow_labels(entry.image, translated, entry.columns, entry.defects, translator.pixel_size, tolerance)
        )
    return label_survival(followed, tolerance)


def compared_looks(trainer: Trainer, translator: Translator, side: int) -> dict[str, Any]:
    """Reports on how like the experiment simulations and generated images look, as plain values.

    Parameters
    ----------
    trainer
        Of the training.
    translator
        The generator that is kept.
    side
        Of the images in pixels.

    Raises
    ------
    MicrographError
        If images are too small or too few for it.
    """
    settings, experiment = trainer.settings, trainer.experiment
    simulated = trainer.pool.first(COMPARED)
    area = sum(micrograph.shape[0] * micrograph.shape[1] for micrograph, _ in experiment.frames)
    count = int(np.clip(area // side**2, 4, COMPARED))
    patches = experiment.patches(np.random.default_rng(settings.seed), count, side)
    generated = translator.translate_stack(simulated, np.random.default_rng(settings.seed))
    network = load_features(settings.device)
    return {
        name: compare_looks(patches, images, experiment.pixel_size, network=network).record()
        for name, images in (("simulated", simulated), ("generated", generated))
    }
