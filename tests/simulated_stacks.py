"""Simulated stacks with their sites, for tests of what takes one in place of settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_stemlearn.datasets.settings import SimulateSettings
from napari_stemlearn.datasets.simulated import all_sites, simulate_one
from napari_stemlearn.formats import write_sites, write_tiff
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import concat_sites


def write_simulated_stack(
    path: Path, *, frames: int = 2, side: int = 96, pixel_size: float = 0.2, crystal: str = "WSe2"
) -> Path:
    """Write a stack NAME.tif without noise and NAME_sites.csv with all its columns and defects."""
    defects = [{"kind": "vacancy1", "probability": 0.1}] if crystal == "WSe2" else []
    settings = SimulateSettings.checked(
        {
            "structure": {"crystal": crystal, "defects": defects},
            "imaging": {"shape": (side, side), "pixel_size": pixel_size, "detector": {"counting_noise": False}},
        }
    )
    made = [simulate_one(settings, index)[0] for index in range(frames)]
    stack = Micrograph(np.stack([one.micrograph.frame(0) for one in made]).astype(np.float32), pixel_size, path.stem)
    sites = concat_sites([all_sites(one).assign(frame=index) for index, one in enumerate(made)])
    write_sites(path.with_name(f"{path.stem}_sites.csv"), sites, micrograph=stack)
    return write_tiff(path, stack)
