"""Settings of a set of simulated micrographs."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.settings import Settings, quantity
from napari_stemlearn.structures.settings import StructureSettings


class SimulateSettings(Settings):
    """How many labelled micrographs to simulate, and of what."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {}}

    number: int = quantity(10, "1", "Number of micrographs.", minimum=1, maximum=1_000_000)
    seed: int = quantity(0, "1", "Seed of the set: the same seed and settings give the same images.", minimum=0)
    device: str = Field("auto", description="Where to compute: auto, cpu, cuda:0, mps.")
    structure: StructureSettings = Field(default_factory=StructureSettings, description="What is in the specimen.")
    imaging: ImagingSettings = Field(default_factory=ImagingSettings, description="How it is imaged.")
