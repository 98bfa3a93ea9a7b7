"""A generator that was never trained, in a folder like a trained one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.grey_levels import GreyLevels
from napari_stemlearn.learning.translators import Translator, save_translator
from napari_stemlearn.networks.generators import build_generator

PIXEL_SIZE = 0.25

MEASURED = {
    "labels": {"labels_recall": 0.995, "labels_displacement": 0.031},
    "realism": {"spectrum": 0.1},
    "realism_of_simulation": {"spectrum": 2.0},
}
"""What such a card tells."""

UNET = {"generator": {"kind": "unet", "width": 2, "levels": 6, "dropout": 0.0}, "crop": 64}
"""Settings of the network that needs larger crops."""


def untrained_generator(
    folder: Path, pixel_size: float = PIXEL_SIZE, *, seed: int = 0, brightest: float = 100.0, **changes: Any
) -> Path:
    """Write a small network with random weights that change images.

    Parameters
    ----------
    folder
        Made.
    pixel_size
        In angstrom.
    seed
        Of the weights.
    brightest
        Grey level of simulations that it knows as the brightest.
    **changes
        Of its settings.
    """
    settings = CycleGANSettings.preset("tiny").changed(name="day_x", experiment=["day_x.tif"], **changes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_generator(settings.generator.network_record())
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, 0, 0.05)
    levels = GreyLevels(0.0, brightest), GreyLevels(100.0, 200.0)
    translator = Translator(network, *levels, pixel_size, 0.1, settings, torch.device("cpu"))
    return save_translator(folder, translator, settings, MEASURED)
