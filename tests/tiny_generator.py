"""A generator that was never trained, in a folder like a trained one."""

from __future__ import annotations

from pathlib import Path

import torch

from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.grey_levels import GreyLevels
from napari_stemlearn.learning.translators import Translator, save_translator
from napari_stemlearn.networks.generators import build_generator

PIXEL_SIZE = 0.25


def write_tiny_generator(folder: Path, *, seed: int = 0, brightest: float = 40.0, kind: str = "resnet") -> Path:
    """Write a small network with random weights.

    Parameters
    ----------
    folder
        Made.
    seed
        Of the weights.
    brightest
        Grey level of simulations that it knows as the brightest.
    kind
        Of the network.
    """
    settings = CycleGANSettings.preset("tiny", name="tiny generator", pixel_size=PIXEL_SIZE)
    if kind == "unet":
        unet = {"kind": "unet", "width": 2, "levels": 6, "dropout": 0.0}
        settings = settings.changed(generator=unet, crop=64)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_generator(settings.generator.network_record())
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, 0, 0.05)
    levels = GreyLevels(0.0, brightest), GreyLevels(100.0, 200.0)
    translator = Translator(network, *levels, PIXEL_SIZE, 0.1, settings, torch.device("cpu"))
    settings = (
        settings.changed(generator={"kind": "unet", "width": 2, "levels": 6, "dropout": 0.0}, crop=64)
        if kind == "unet"
        else settings
    )
    return save_translator(folder, translator, settings, {})
