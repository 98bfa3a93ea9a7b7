"""A generator that learnt nothing, for tests of what uses one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.grey_levels import GreyLevels
from napari_stemlearn.learning.translators import Translator, save_translator
from napari_stemlearn.networks.generators import build_generator

MEASURED = {
    "labels": {"labels_recall": 0.995, "labels_displacement": 0.031},
    "realism": {"spectrum": 0.1},
    "realism_of_simulation": {"spectrum": 2.0},
}


def untrained_generator(folder: Path, pixel_size: float = 0.25, **changes: Any) -> Path:
    """Write the folder of a small generator with random weights."""
    settings = CycleGANSettings.preset("tiny").changed(name="day_x", experiment=["day_x.tif"], **changes)
    torch.manual_seed(0)
    network = build_generator(settings.generator.network_record())
    levels = GreyLevels(0.0, 100.0), GreyLevels(10.0, 60.0)
    translator = Translator(network, *levels, pixel_size, 0.05, settings, torch.device("cpu"))
    return save_translator(folder, translator, settings, MEASURED)
