"""The model whose weights a training starts from: whether both fit, and settings that fit it; free of torch."""

from __future__ import annotations

from typing import Any

from napari_stemlearn.learning.settings import NetworkSettings, SegmentationSettings
from napari_stemlearn.models.card import ModelCard

WITHOUT_WEIGHTS = ("dropout",)
"""Settings of a network that change no weight of it."""


def starting_problem(settings: SegmentationSettings, card: ModelCard) -> str | None:
    """Why a training cannot start from the weights of a model, or None.

    Parameters
    ----------
    settings
        Of the training.
    card
        Of the model.
    """
    wanted = list(settings.targets.classes)
    if list(card.classes) != wanted:
        return (
            f"The model '{card.name}' marks {', '.join(card.classes)}, this training {', '.join(wanted)}; "
            "to start from its weights both need the same classes in the same order."
        )
    # what a card does not name is as by default
    network = {**NetworkSettings().record(), **card.network}
    for name, value in settings.network.record().items():
        if name not in WITHOUT_WEIGHTS and network[name] != value:
            return (
                f"The model '{card.name}' has a network of {name} {network[name]}, this training one of {value}; "
                "to start from its weights both need the same."
            )
    return None


def like_model(card: ModelCard) -> dict[str, Any]:
    """Plain settings of a training that can start from the weights of a model: its network, targets, grey levels."""
    trained = SegmentationSettings().record()
    kept = {name: value for name, value in card.network.items() if name in trained["network"]}
    classes = {name: [name] for name in card.classes}
    changes = {
        "network": {**trained["network"], **kept},
        "targets": {**trained["targets"], "classes": classes},
        "normalisation": card.normalisation.model_dump(),
    }
    before = card.settings or {}
    if list((before.get("targets") or {}).get("classes") or ()) == list(card.classes):
        changes["targets"] = before["targets"]
    return changes
