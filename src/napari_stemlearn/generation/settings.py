"""Settings of generated training data; free of torch, so that a form can show them at once."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from napari_stemlearn.folder_names import Name
from napari_stemlearn.generation.learnt_imaging import laid_over_learnt
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.learning.settings import MixtureSettings
from napari_stemlearn.settings import Seed, Settings, quantity
from napari_stemlearn.structures.settings import StructureSettings

TINY: dict[str, Any] = {
    "number": 2,
    "shape": (64, 64),
    "workers": 0,
    "device": "cpu",
}


class GenerateSettings(Settings):
    """Labelled micrographs in bulk, which a trained generator gives the look of the experiment."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": {}, "tiny": TINY}

    name: Name = Field("training data", description="Name of the data set.")
    generator: str = Field(
        "",
        description="Folder of a trained generator (generator.json, generator.safetensors); empty for plain "
        "simulations.",
    )
    number: int = quantity(100, "1", "Number of micrographs.", minimum=1, maximum=10_000_000)
    seed: Seed = quantity(
        0, "1", "Same seed and settings, same micrographs, whatever the number of workers.", minimum=0
    )
    device: str = Field("auto", description="Where each worker computes: auto, cpu, cuda:0, mps.")
    structures: tuple[MixtureSettings, ...] | None = Field(
        None,
        min_length=1,
        description="Specimens, mixed by weight; empty takes those that the generator learnt from.",
    )
    imaging: ImagingSettings | None = Field(
        None,
        description="The microscope; what is left out is as the generator learnt it. Its shape is set below, its "
        "pixel size by the generator.",
    )
    shape: tuple[int, int] = Field((512, 512), description="Height and width of the micrographs in pixels.")
    visible_mark: bool = Field(False, description="Draw a mark into each micrograph that says it is synthetic.")
    workers: int = quantity(
        -1,
        "1",
        "Processes on this computer; 0 makes the micrographs one after the other, -1 takes what this computer can.",
        minimum=-1,
        maximum=256,
        advanced=True,
    )
    scheduler: str = Field(
        "",
        description="Address of a dask scheduler, such as tcp://host:8786, whose workers are taken instead.",
        json_schema_extra={"advanced": True},
    )

    @field_validator("imaging", mode="before")
    @classmethod
    def _as_learnt(cls, value: Any, info: ValidationInfo) -> Any:
        """Parts of a microscope are laid over that of the generator; whole ones stay."""
        if not isinstance(value, dict):
            return value
        return laid_over_learnt(value, str(info.data.get("generator") or ""))

    @field_validator("shape")
    @classmethod
    def _image_shape(cls, value: tuple[int, int]) -> tuple[int, int]:
        if min(value) < 16 or max(value) > 16384:
            raise ValueError(f"a micrograph of {value[0]} by {value[1]} pixels; allowed: 16 to 16384 pixels")
        return value

    @field_validator("structures")
    @classmethod
    def _some_weight(cls, value: tuple[MixtureSettings, ...] | None) -> tuple[MixtureSettings, ...] | None:
        if value is not None and not any(part.weight > 0 for part in value):
            raise ValueError("at least one structure needs a weight above 0")
        return value


def usual_structures() -> tuple[MixtureSettings, ...]:
    """Specimens where neither the settings nor a generator name any."""
    return (MixtureSettings(structure=StructureSettings.preset("wse2")),)
