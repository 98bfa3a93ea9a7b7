"""Weights of a trained model as the start of another training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.starting_model import starting_problem
from napari_stemlearn.models.card import ModelCard
from napari_stemlearn.models.store import load_model

PARTS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Parts of the largest share of the start that are tried."""

COST = 0.01
"""What of the F1 on validation images a share of the start may cost."""


def take_weights(network: nn.Module, settings: SegmentationSettings) -> ModelCard:
    """Put the weights of the model `settings.start_from` into the network that the settings describe.

    Returns
    -------
    ModelCard
        Of that model.

    Raises
    ------
    ModelError
        If there is no such model.
    TrainingError
        If it is another network, or marks other classes.
    """
    model = load_model(settings.start_from, "cpu")
    problem = starting_problem(settings, model.card)
    if problem:
        raise TrainingError(problem)
    network.load_state_dict(model.network.state_dict())
    return model.card


@torch.no_grad()
def mix_weights(network: nn.Module, settings: SegmentationSettings, f1: Callable[[nn.Module], float]) -> float:
    """Average the weights of a trained network with those that it started from (Wortsman et al., CVPR 2022).

    What a few steps on one kind of images unlearn comes back so. Where the start confuses what the training has told
    apart, the mean of both confuses it as well; therefore no more is taken of it than costs next to nothing.

    Parameters
    ----------
    network
        The trained network; its weights are changed.
    settings
        With the model it started from, and the largest part of it.
    f1
        Tells how good a network is, on validation images.

    Returns
    -------
    float
        The part of the start that was taken: the largest of `PARTS` of `settings.kept_of_start` whose F1 is within
        `COST` of the best of them.

    Raises
    ------
    ModelError
        If there is no such model any more.
    """
    start = load_model(settings.start_from, "cpu").network.state_dict()
    learnt = {name: value.clone() for name, value in network.state_dict().items()}

    def mix(share: float) -> None:
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.lerp(learnt[name], start[name].to(value), share))

    reached = {}
    for share in sorted({part * settings.kept_of_start for part in PARTS}):
        mix(share)
        reached[share] = f1(network)
    taken = max(share for share, value in reached.items() if value >= max(reached.values()) - COST)
    mix(taken)
    return taken
