"""The model that a training of a network leaves: the best weights, their thresholds and scores, and the card."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from napari_stemlearn.learning.checkpoints import checkpoint_path, read_checkpoint, restore_network
from napari_stemlearn.learning.crops import THRESHOLDS, Crop, CropSource, validation_crops
from napari_stemlearn.learning.segmentation_trainer import Trainer
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.starting_weights import mix_weights
from napari_stemlearn.learning.validation import evaluate, scores_of_styles
from napari_stemlearn.models.card import SYNTHETIC_NOTE, ModelCard, NormalisationRecord
from napari_stemlearn.models.store import save_model
from napari_stemlearn.networks.residual_unet import ResidualUNet


def result_of_best(trainer: Trainer, source: CropSource, folder: Path) -> dict[str, Any]:
    """Write the model of the best validation so far, as what is told at the end; nothing where there was none."""
    path = checkpoint_path(folder, "best")
    if not path.exists():
        return {}
    tensors, values = read_checkpoint(path)
    restore_network("averaged", trainer.averaged.network, tensors)
    return _write_model(trainer, source, folder, values["thresholds"], values["scores"])


def finish(trainer: Trainer, source: CropSource, same_style: list[Crop], folder: Path) -> dict[str, Any]:
    """Choose thresholds for the best weights on fresh images of the held-out style and write the model."""
    settings = trainer.settings
    tensors, _ = read_checkpoint(checkpoint_path(folder, "best"))
    restore_network("averaged", trainer.averaged.network, tensors)
    crops = validation_crops(source, settings, THRESHOLDS, settings.validation.threshold_images)
    kept = 0.0
    if settings.start_from and settings.kept_of_start:
        network = trainer.averaged.network
        kept = mix_weights(network, settings, lambda mixed: evaluate(mixed, crops, settings, trainer.device).f1)
    held_out = evaluate(trainer.averaged.network, crops, settings, trainer.device)
    same = evaluate(trainer.averaged.network, same_style, settings, trainer.device)
    thresholds = held_out.thresholds(trainer.thresholds_of_start)
    scores = scores_of_styles(settings, thresholds, held_out, same)
    return _write_model(trainer, source, folder, thresholds, scores, kept=kept)


def _note(settings: SegmentationSettings, start: ModelCard | None, kept: float) -> str:
    """What the model learnt from; that no experiment was used is said only where it is known."""
    if settings.data.source != "simulation":
        note = f"Trained on the stored set {settings.data.folder}."
    elif settings.data.generator:
        note = (
            f"Trained on simulated images with the look that {settings.data.generator} has learnt from experimental "
            "ones; no hand label was used."
        )
    else:
        note = SYNTHETIC_NOTE
    if start is not None:
        if note == SYNTHETIC_NOTE and not start.note.startswith(note):
            note = "Trained on simulated images."
        part = f"; a part of {kept:g} of them is kept" if kept else ""
        note += f" It started from the weights of {settings.start_from}{part}."
    return note


def _write_model(
    trainer: Trainer,
    source: CropSource,
    folder: Path,
    thresholds: dict[str, float],
    scores: list[dict[str, Any]],
    *,
    kept: float = 0.0,
) -> dict[str, Any]:
    settings = trainer.settings
    network = trainer.averaged.network
    assert isinstance(network, ResidualUNet)
    card = ModelCard(
        name=settings.name,
        description=settings.description,
        classes=tuple(settings.targets.classes),
        pixel_size=settings.pixel_size,
        pixel_size_range=source.pixel_size_range,
        normalisation=NormalisationRecord(**settings.normalisation.record()),
        network=network.record(),
        target_radius=settings.targets.radius,
        thresholds=thresholds,
        min_distance=settings.targets.min_distance,
        exclusive=settings.targets.exclusive,
        # with a generator, what it simulates is what was learnt from
        settings={**settings.record(), "structures": [part.record() for part in source.structures]},
        seed=settings.seed,
        versions={
            "napari-stemlearn": version("napari-stemlearn"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        scores=tuple(scores),  # type: ignore[arg-type]
        note=_note(settings, trainer.start, kept),
    )
    result = folder / "result"
    card = save_model(result, network, card)
    return {"model": str(result), "thresholds": thresholds, "scores": card.record()["scores"]}
