"""Weights of a trained model as the start of another training."""

from __future__ import annotations

import torch
from torch import nn

from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.models.store import load_model


def take_weights(network: nn.Module, settings: SegmentationSettings) -> None:
    """Put the weights of the model `settings.start_from` into a network of the same architecture.

    Raises
    ------
    ModelError
        If there is no such model.
    TrainingError
        If it is another network, or marks other classes.
    """
    model = load_model(settings.start_from, "cpu")
    wanted = list(settings.targets.classes)
    if list(model.card.classes) != wanted:
        raise TrainingError(
            f"The model '{settings.start_from}' marks {', '.join(model.card.classes)}; a training that starts from it "
            f"needs the same classes in the same order, not {', '.join(wanted)}."
        )
    try:
        network.load_state_dict(model.network.state_dict())
    except RuntimeError:
        has = ", ".join(f"{name} {value}" for name, value in model.card.network.items() if name != "kind")
        raise TrainingError(
            f"The model '{settings.start_from}' is another network than the settings describe; it has {has}."
        ) from None


@torch.no_grad()
def mix_weights(network: nn.Module, settings: SegmentationSettings) -> None:
    """Average the weights of a trained network with those that it started from (Wortsman et al., CVPR 2022).

    Raises
    ------
    ModelError
        If there is no such model any more.
    """
    start = load_model(settings.start_from, "cpu").network.state_dict()
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.lerp_(start[name].to(value), settings.kept_of_start)
