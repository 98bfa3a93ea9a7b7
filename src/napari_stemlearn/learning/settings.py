"""Settings of a training; free of torch, so that a form can show them at once."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from napari_stemlearn.distributions import Distribution, Drawn
from napari_stemlearn.folder_names import FolderName
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.learning.truth_classes import unknown_name, unmade_class
from napari_stemlearn.settings import Seed, Settings, quantity
from napari_stemlearn.structures.presets import preset_named
from napari_stemlearn.structures.settings import StructureSettings, is_cif

LOSSES = ("cross_entropy", "dice", "focal", "heat_map")
"""Losses that can be mixed."""

STYLES = ("worn_microscope", "soft_detector", "harsh_export")
"""Named transformations that give images a style which no training image has."""


def _as_names(value: Any) -> Any:
    """Let one name, or names separated by commas, stand for a list."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_names)]


class MixtureSettings(Settings):
    """One part of the specimens that are drawn for training."""

    weight: float = quantity(1.0, "1", "How often this part is drawn, relative to the others.", minimum=0)
    crystals: Names = Field(
        (), description="Crystals of which each specimen draws one; empty takes the structure's own crystal."
    )
    structure: StructureSettings = Field(default_factory=StructureSettings, description="The specimen.")

    @field_validator("crystals")
    @classmethod
    def _known_crystals(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name if is_cif(name) else preset_named(name).name for name in value)


def _usual_classes() -> dict[str, tuple[str, ...]]:
    return {"vacancy1": ("vacancy1",), "vacancy2": ("vacancy2",)}


class TargetSettings(Settings):
    """What the network learns to mark."""

    classes: dict[str, Names] = Field(
        default_factory=_usual_classes,
        description="Classes of the model, each with the classes of the truth that it marks: defects (vacancy1, "
        "vacancy2, metal_vacancy, antisite, substitution, adatom), contents of columns (W, Se2), 'all columns' or "
        "'all defects'; with a stored set also classes of its own.",
    )
    radius: float = quantity(0.6, "angstrom", "Radius of the mark around each site.", minimum=0.05, maximum=5)
    shape: Literal["gaussian", "disc"] = Field(
        "gaussian", description="Mark with a Gaussian whose half height is at the radius, or with an even disc."
    )
    min_distance: float = quantity(
        1.0, "angstrom", "Two sites of one class are never closer.", minimum=0.1, maximum=20, advanced=True
    )
    exclusive: tuple[tuple[str, ...], ...] = Field(
        (), description="Groups of classes of which a place holds only one; the highest score wins."
    )

    @model_validator(mode="after")
    def _groups_of_classes(self) -> TargetSettings:
        if not self.classes:
            raise ValueError("at least one class is needed")
        for name, truth in self.classes.items():
            if not truth:
                raise ValueError(f"the class '{name}' marks nothing; name at least one class of the truth")
        for group in self.exclusive:
            for name in group:
                if name not in self.classes:
                    raise ValueError(f"exclusive names '{name}', which is none of {', '.join(self.classes)}")
        return self


class NetworkSettings(Settings):
    """Size of the residual U-Net."""

    width: int = quantity(16, "1", "Channels of the finest level; coarser ones have 2, 4, 8 … times.", minimum=1)
    levels: int = quantity(4, "1", "Resolutions, each half the one before.", minimum=1, maximum=8)
    dropout: float = quantity(0.0, "1", "Probability to drop a channel in training.", minimum=0, maximum=0.9)
    stem: int = quantity(
        2, "pixel", "Side of the pixel blocks folded into channels; 2 costs a quarter of 1.", minimum=1, maximum=4
    )


class NormalisationSettings(Settings):
    """How grey levels are normalised, in training and in finding."""

    kind: Literal["local", "frame"] = Field("local", description="By local or by frame mean and standard deviation.")
    window_angstrom: float = quantity(10.0, "angstrom", "Full width at half maximum of the local window.", minimum=0.5)
    floor: float = quantity(
        0.25, "1", "Lowest local contrast as a fraction of the frame's: keeps vacuum quiet.", minimum=0, maximum=1
    )


class OptimisationSettings(Settings):
    """Steps, batches, learning rate and loss."""

    steps: int = quantity(6000, "1", "Batches to learn from.", minimum=1)
    batch_size: int = quantity(16, "1", "Crops in a batch.", minimum=1, maximum=4096)
    crop: int = quantity(128, "pixel", "Side of the square crops at the training pixel size.", minimum=16, maximum=2048)
    learning_rate: float = quantity(5e-3, "1", "Highest learning rate.", minimum=1e-8, maximum=10)
    schedule: Literal["one_cycle", "cosine", "constant"] = Field(
        "one_cycle", description="one_cycle rises for a tenth of the steps, then falls to nothing; cosine only falls."
    )
    weight_decay: float = quantity(1e-4, "1", "Decoupled weight decay.", minimum=0, maximum=1, advanced=True)
    gradient_clip: float = quantity(1.0, "1", "Largest norm of the gradient; 0 for any.", minimum=0, advanced=True)
    ema: float = quantity(
        0.995, "1", "The weights that are kept are averages that keep this part a step.", minimum=0, maximum=0.99999,
        advanced=True,
    )  # fmt: skip
    loss: dict[str, float] = quantity(
        {"cross_entropy": 1.0}, "1", "Losses and their weights: cross_entropy, dice, focal, heat_map.", minimum=0
    )
    report_every: int = quantity(20, "steps", "Steps between reports of the training loss.", minimum=1, advanced=True)
    focal_gamma: float = quantity(2.0, "1", "Focusing of the focal loss.", minimum=0, maximum=10, advanced=True)
    positive_weight: float = quantity(
        1.0, "1", "Cross-entropy and focal loss of marked pixels count this many times.", minimum=0.01, maximum=1000,
        advanced=True,
    )  # fmt: skip

    @field_validator("loss")
    @classmethod
    def _known_losses(cls, value: dict[str, float]) -> dict[str, float]:
        for name in value:
            if name not in LOSSES:
                raise ValueError(f"there is no loss '{name}'; choose from {', '.join(LOSSES)}")
        if sum(value.values()) <= 0:
            raise ValueError("at least one loss needs a weight above 0")
        return value


class AugmentationSettings(Settings):
    """Changes of the images, drawn for each crop; flips and turns move the sites exactly."""

    flips: bool = Field(True, description="Mirror at both axes.")
    quarter_turns: bool = Field(True, description="Turn by 0, 90, 180 or 270 degrees.")
    gamma: Drawn = quantity("log_uniform(0.7, 1.4)", "1", "Power of the grey levels.", minimum=0.1, maximum=10)
    contrast: Drawn = quantity(
        "log_uniform(0.8, 1.25)", "1", "Factor on the normalised grey levels.", minimum=0.05, maximum=20
    )
    blur: Drawn = quantity(0.0, "pixel", "Standard deviation of a Gaussian blur.", minimum=0, maximum=20)
    noise: Drawn = quantity(
        0.0, "1", "Standard deviation of added noise, relative to that of the image.", minimum=0, maximum=10
    )
    inversion: float = quantity(0.0, "1", "Probability to invert the grey levels.", minimum=0, maximum=1)


class ValidationSettings(Settings):
    """Images that are never learnt from: some of the training's own style, some of a style that it never sees."""

    every: int = quantity(500, "steps", "Steps between validations.", minimum=1)
    images: int = quantity(48, "1", "Images of each style, the same ones every time.", minimum=1, maximum=10_000)
    threshold_images: int = quantity(
        256,
        "1",
        "Images of the held-out style on which thresholds are chosen at the end.",
        minimum=1,
        maximum=10_000,
    )
    tolerance: float = quantity(0.6, "angstrom", "Largest distance of a found site from a true one.", minimum=0.01)
    border: float = quantity(2.0, "angstrom", "Sites nearer to the rim do not count.", minimum=0)
    held_out_style: Literal["imaging", "unchanged", "worn_microscope", "soft_detector", "harsh_export"] = Field(
        "worn_microscope",
        description="A named transformation of the images, or the imaging settings given below; 'unchanged' takes "
        "other images of the same style, for a network that is meant for the one look that it learns from.",
    )
    held_out_imaging: ImagingSettings | None = Field(
        None,
        description="How images of the held-out style are taken, a microscope of its own: what is left out is as "
        "usual, not as in the training; empty takes that of the training.",
    )
    held_out_folder: str = Field("", description="For a stored set: folder of labelled images of another style.")

    @model_validator(mode="after")
    def _style_is_given(self) -> ValidationSettings:
        if self.held_out_style == "imaging" and self.held_out_imaging is None and not self.held_out_folder:
            raise ValueError("held_out_style 'imaging' needs held_out_imaging")
        return self


class DataSettings(Settings):
    """Where the labelled images come from."""

    source: Literal["simulation", "folder"] = Field(
        "simulation", description="Simulate while training, or read a stored set."
    )
    folder: str = Field(
        "",
        description="Stored set: a data set NAME.stemset, or a folder of images NAME.tif, each with its sites "
        "NAME_sites.csv.",
    )
    where: str = Field(
        "",
        description="Data set: query for the images to learn from, such as 'dose between 1e4 and 5e4 and class has "
        "vacancy1'; empty takes all.",
    )
    held_out_fraction: float = quantity(
        0.2, "1", "Stored set: part of the images kept for validation.", minimum=0.01, maximum=0.9
    )
    generator: str = Field(
        "",
        description="Simulation: folder of a trained generator; it simulates what it learnt from and gives it the look "
        "of its day.",
    )
    translated: float = quantity(
        1.0,
        "1",
        "With a generator: part of the images that it translates; the others are simulated as set.",
        minimum=0,
        maximum=1,
    )
    workers: int = quantity(
        -1, "1", "Processes that make images; 0 makes them in between, -1 takes what this computer can.", minimum=-1,
        maximum=256, advanced=True,
    )  # fmt: skip

    @model_validator(mode="after")
    def _folder_is_given(self) -> DataSettings:
        if self.source == "folder" and not self.folder:
            raise ValueError("source 'folder' needs the folder of the stored set")
        if self.where and self.source != "folder":
            raise ValueError("where chooses images of a data set; with source 'simulation' leave it empty")
        if self.source == "folder" and self.generator:
            raise ValueError("a generator translates simulations; with source 'folder' leave it empty")
        return self


def _usual_specimens() -> tuple[MixtureSettings, ...]:
    defects = [{"kind": "vacancy1", "probability": 0.04}, {"kind": "vacancy2", "probability": 0.01}]
    return (MixtureSettings(structure=StructureSettings(crystal="WSe2", defects=defects)),)


TINY: dict[str, Any] = {
    "network": {"width": 4, "levels": 2, "stem": 2},
    "optimisation": {"steps": 2, "batch_size": 2, "crop": 32},
    "validation": {"every": 2, "images": 2, "threshold_images": 2},
    "data": {"workers": 0},
    "acquisition_pixel_size": 0.2,
    "device": "cpu",
    "precision": "32",
}

QUICK: dict[str, Any] = {
    "imaging": ImagingSettings.presets["varied"],
    "acquisition_pixel_size": "log_uniform(0.1, 0.3)",
    "network": {"width": 12, "levels": 4},
    "optimisation": {"steps": 1200, "batch_size": 16},
    "validation": {"every": 200, "images": 16, "threshold_images": 32},
}

DEFAULT: dict[str, Any] = {
    "imaging": ImagingSettings.presets["varied"],
    "acquisition_pixel_size": "log_uniform(0.08, 0.42)",
}


class SegmentationSettings(Settings):
    """A training of a network that marks sites in images."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {"default": DEFAULT, "quick": QUICK, "tiny": TINY}

    name: FolderName = Field("model", description="Name of the model.")
    description: str = Field("", description="One sentence about the model.")
    structures: tuple[MixtureSettings, ...] = Field(
        default_factory=_usual_specimens, min_length=1, description="Specimens, mixed by weight."
    )
    imaging: ImagingSettings = Field(
        default_factory=ImagingSettings, description="The microscope; its shape and pixel size are set by the training."
    )
    pixel_size: float = quantity(
        0.2, "angstrom", "Pixel size that the network sees; images are resampled to it.", minimum=0.01, maximum=2
    )
    acquisition_pixel_size: Drawn = quantity(
        0.2, "angstrom", "Pixel size at which images are taken, before they are resampled.", minimum=0.01, maximum=2
    )
    start_from: str = Field(
        "", description="Model whose weights it starts from, by name or folder; it needs the same network and classes."
    )
    kept_of_start: float = quantity(
        0.5,
        "1",
        "Largest part of the weights of start_from in the finished model; the rest is what was learnt. It keeps what "
        "is known of other images; less is taken where it would cost more than 0.01 of F1 on validation images.",
        minimum=0,
        maximum=1,
    )
    targets: TargetSettings = Field(default_factory=TargetSettings, description="What is marked.")
    normalisation: NormalisationSettings = Field(
        default_factory=NormalisationSettings, description="Grey levels before the network."
    )
    network: NetworkSettings = Field(default_factory=NetworkSettings, description="The network.")
    optimisation: OptimisationSettings = Field(default_factory=OptimisationSettings, description="How it learns.")
    augmentation: AugmentationSettings = Field(
        default_factory=AugmentationSettings, description="Changes of the training images."
    )
    validation: ValidationSettings = Field(
        default_factory=ValidationSettings, description="Images that are never learnt from."
    )
    data: DataSettings = Field(default_factory=DataSettings, description="Where images come from.")
    device: str = Field("auto", description="auto, cpu, cuda:0 or mps.")
    precision: Literal["auto", "32", "bf16-mixed"] = Field(
        "auto", description="Numbers that it computes with; auto takes bf16-mixed where the device is made for it."
    )
    seed: Seed = quantity(0, "1", "Same seed and settings, same images and the same start.", minimum=0)

    @model_validator(mode="after")
    def _targets_can_occur(self) -> SegmentationSettings:
        if self.data.source == "folder":
            return self
        unknown = unknown_name(self.targets.classes)
        # what a generator simulates stands on its card, which is read when the training opens
        unmade = ""
        if not self.data.generator:
            known = bool(self.start_from)
            unmade = unmade_class(self.targets.classes, self.structures, "no structure", known=known)
        if unknown or unmade:
            raise ValueError(f"targets: {unknown or unmade}")
        if not any(part.weight > 0 for part in self.structures):
            raise ValueError("structures: at least one needs a weight above 0")
        return self

    def acquisition_range(self) -> tuple[float, float]:
        """Smallest and largest pixel size in angstrom at which training images are taken."""
        value = self.acquisition_pixel_size
        return value.extent() if isinstance(value, Distribution) else (float(value), float(value))
