"""Settings of a CycleGAN training; free of torch, so that a form can show them at once."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from napari_stemlearn.folder_names import FolderName
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.learning.settings import MixtureSettings, Names
from napari_stemlearn.settings import Seed, Settings, quantity
from napari_stemlearn.structures.settings import StructureSettings


class GeneratorSettings(Settings):
    """The two generators."""

    kind: Literal["noise_shaping", "resnet", "unet"] = Field(
        "noise_shaping",
        description="noise_shaping: learns the change of the image and shapes fresh noise; resnet: residual blocks "
        "with resize-convolution; unet: as published.",
    )
    width: int = quantity(24, "1", "Channels of the finest level.", minimum=1, maximum=512)
    blocks: int = quantity(4, "1", "Residual blocks (resnet).", minimum=1, maximum=32)
    halvings: int = quantity(1, "1", "Halvings of the resolution (resnet).", minimum=0, maximum=5)
    levels: int = quantity(8, "1", "Halvings of the resolution (unet).", minimum=2, maximum=10)
    norm: Literal["none", "instance"] = Field(
        "none", description="Normalisation (resnet); 'none' translates a crop as it translates the whole image."
    )
    noise_channels: int = quantity(4, "1", "Channels of fresh noise (not unet).", minimum=0, maximum=16, advanced=True)
    residual: bool = Field(True, description="Learn the change of the image (resnet): positions stay from the start.")
    dropout: float = quantity(0.5, "1", "Dropout (unet).", minimum=0, maximum=0.9, advanced=True)

    def network_record(self) -> dict[str, Any]:
        """Record for `networks.generators.build_generator`."""
        names: tuple[str, ...] = ("width", "blocks", "noise_channels")
        if self.kind == "resnet":
            names = ("width", "blocks", "halvings", "norm", "noise_channels", "residual")
        if self.kind == "unet":
            published = {name: getattr(self, name) for name in ("width", "levels", "dropout")}
            return {"kind": self.kind, **published, "learnt_scale": True}
        return {"kind": self.kind, **{name: getattr(self, name) for name in names}}


class CriticSettings(Settings):
    """The four critics: two on images, two on Fourier amplitudes."""

    width: int = quantity(32, "1", "Channels after the first convolution.", minimum=1, maximum=512)
    layers: int = quantity(3, "1", "Halvings; 3 judges patches of 70 by 70 pixels.", minimum=1, maximum=6)
    norm: Literal["instance", "spectral", "none"] = Field(
        "spectral", description="Normalisation of the critics; 'instance' makes them blind to the level of noise."
    )
    fourier: bool = Field(True, description="Whether critics judge the Fourier amplitudes as well.")
    spectrum: Literal["standard", "paper"] = Field(
        "standard", description="standard: windowed, centred, each frequency standardised; paper: log power as it is."
    )


class LossWeights(Settings):
    """Weights of the parts of the generators' loss."""

    adversarial: float = quantity(1.0, "1", "Critics on images.", minimum=0)
    fourier: float = quantity(1.0, "1", "Critics on Fourier amplitudes.", minimum=0)
    cycle: float = quantity(10.0, "1", "There and back again: absolute difference.", minimum=0)
    identity: float = quantity(2.0, "1", "An image that has the look already stays as it is.", minimum=0)
    position: float = quantity(
        10.0, "1", "Mean shift of the translated crops against the simulated ones, in angstrom.", minimum=0
    )
    identity_norm: Literal["l1", "l2"] = Field("l1", description="Absolute or squared difference of the identity part.")
    smoothing: float = quantity(
        0.5,
        "angstrom",
        "Standard deviation of the Gaussian that smooths both images before the cycle and identity parts compare them: "
        "noise cannot come back as it was.",
        minimum=0,
        maximum=10,
    )
    target: Literal["lsgan", "sigmoid"] = Field(
        "lsgan", description="Least squares on the logits (Mao et al., ICCV 2017), or on their sigmoid as published."
    )


class SurvivalSettings(Settings):
    """What a translation may do to the labels."""

    tolerance: float = quantity(0.3, "angstrom", "Largest shift of an atom that still counts as found.", minimum=0.01)
    recall: float = quantity(0.99, "1", "Least part of the atoms that must be found again.", minimum=0, maximum=1)
    displacement: float = quantity(0.05, "angstrom", "Largest mean shift.", minimum=0.001)
    defect_contrast: float = quantity(
        0.5, "1", "Least part of the defects' contrast that must be left.", minimum=0, maximum=1
    )
    images: int = quantity(4, "1", "Simulated images that are followed.", minimum=1, maximum=1000)
    repeats: int = quantity(
        8,
        "1",
        "Translations of each that are averaged, so that noise is not taken for a shift.",
        minimum=1,
        maximum=256,
    )


# 500,000 pairs of crops as in the published script, in batches of 32 as in the paper, 200 epochs of 2,500; the script
# has batches of 42
PAPER: dict[str, Any] = {
    "imaging": ImagingSettings.presets["paper"],
    "generator": {"kind": "unet", "width": 64, "levels": 8},
    "critic": {"width": 64, "norm": "instance", "spectrum": "paper"},
    "weights": {
        # the mean of the critics' losses, and ten times the mean of both cycles
        "adversarial": 0.5,
        "fourier": 0.5,
        "cycle": 5.0,
        "identity": 5.0,
        "position": 0.0,
        "identity_norm": "l2",
        "smoothing": 0.0,
        "target": "sigmoid",
    },
    "crop": 256,
    "batch_size": 32,
    "steps": 15625,
    "learning_rate": 2e-3,
    "beta1": 0.9,
    "gradient_clip": 0.0,
    "turns": "all",
    "align_lattice": False,
    "fit_cell": False,
    "replay": 0,
    "simulation_noise": 0.1,
    "every": 600,
    "precision": "32",
}

QUICK: dict[str, Any] = {
    "generator": {"width": 16, "blocks": 3},
    "critic": {"width": 16},
    "crop": 96,
    "batch_size": 4,
    "steps": 800,
    "learning_rate": 1e-3,
    "every": 100,
    "simulations": 64,
}

TINY: dict[str, Any] = {
    "generator": {"width": 4, "blocks": 1},
    "critic": {"width": 4, "layers": 1},
    "crop": 32,
    "batch_size": 2,
    "steps": 2,
    "every": 1,
    "simulations": 2,
    "device": "cpu",
    "precision": "32",
    "survival": {"images": 1, "repeats": 2},
}

ONE_IMAGE: dict[str, Any] = {
    **QUICK,
    # few crops are soon known by heart: less freedom, fewer steps
    "weights": {"identity": 5.0},
    "turns": "mirrors",
    "steps": 500,
}


class CycleGANSettings(Settings):
    """A CycleGAN between simulations and an unlabelled experimental stack (Khan et al., npj Comput. Mater. 2023)."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        "quick": QUICK,
        "paper": PAPER,
        "one-image": ONE_IMAGE,
        "tiny": TINY,
    }

    name: FolderName = Field("generator", description="Name of the generator.")
    experiment: Names = Field((), description="Files of the unlabelled experimental images or stacks.")
    pixel_size: float | None = quantity(
        None, "angstrom", "Pixel size of the experiment; empty takes the files' own.", minimum=0.01, maximum=2
    )
    simulated: Names = Field(
        (),
        description="Simulated images NAME.tif with NAME_sites.csv beside them, folders of such, or data sets, in the "
        "place of structures and imaging.",
    )
    structures: tuple[MixtureSettings, ...] = Field(
        default_factory=lambda: (MixtureSettings(structure=StructureSettings.preset("wse2")),),
        description="Specimens of the simulations; none where simulated images are given.",
    )
    imaging: ImagingSettings = Field(
        default_factory=lambda: ImagingSettings.preset("to_translate"),
        description="Microscope of the simulations, best without noise; its pixel size is set to the experiment's. Not "
        "used where simulated images are given.",
    )
    simulations: int = quantity(
        64,
        "1",
        "Simulated images to draw crops from; so many parts are cut out of a simulated stack.",
        minimum=1,
        maximum=100_000,
    )
    simulation_noise: float = quantity(
        0.05, "1", "Noise added to simulations (range -1 to 1), so that there is chance to shape.", minimum=0, maximum=2
    )
    generator: GeneratorSettings = Field(default_factory=GeneratorSettings, description="Generators.")
    critic: CriticSettings = Field(default_factory=CriticSettings, description="Critics.")
    weights: LossWeights = Field(default_factory=LossWeights, description="Parts of the loss.")
    crop: int = quantity(128, "pixel", "Side of the square crops.", minimum=32, maximum=1024)
    batch_size: int = quantity(8, "1", "Crops of each side in a batch.", minimum=1, maximum=1024)
    steps: int = quantity(4000, "1", "Batches to learn from.", minimum=1)
    learning_rate: float = quantity(
        2e-4, "1", "Learning rate of the first half; it then falls to nothing.", minimum=1e-8
    )
    beta1: float = quantity(0.5, "1", "First moment of Adam.", minimum=0, maximum=0.999, advanced=True)
    gradient_clip: float = quantity(
        10.0, "1", "Largest norm of the generators' gradient; 0 for any.", minimum=0, advanced=True
    )
    replay: int = quantity(50, "1", "Earlier translations that critics are shown again.", minimum=0, maximum=10_000)
    turns: Literal["none", "mirrors", "all"] = Field(
        "none",
        description="Mirror images, or those and quarter turns, of the crops; scan lines and what they do to noise "
        "turn with the crop.",
    )
    inversions: bool = Field(
        False, description="Invert grey levels of both sides at random.", json_schema_extra={"advanced": True}
    )
    every: int = quantity(200, "steps", "Steps between looks at realism and labels.", minimum=1)
    align_lattice: bool = Field(
        True,
        description="Turn and stretch simulated lattices as the spots of the experiment show, so that only the look is "
        "left to learn.",
    )
    fit_cell: bool = Field(
        True,
        description="Fit contrast and probe to the mean unit cell of the experiment as well; settings that are "
        "numbers stay, those that are drawn are fitted.",
    )
    check_likeness: bool = Field(
        True,
        description="Refuse an experiment whose spectrum shows another crystal or pixel size than the simulations.",
    )
    survival: SurvivalSettings = Field(default_factory=SurvivalSettings, description="Labels must survive.")
    device: str = Field("auto", description="auto, cpu, cuda:0 or mps.")
    precision: Literal["auto", "32", "bf16-mixed"] = Field("auto", description="Numbers that it computes with.")
    seed: Seed = quantity(0, "1", "Same seed and settings, same start and same images.", minimum=0)

    @model_validator(mode="before")
    @classmethod
    def _stack_in_place_of_structures(cls, values: Any) -> Any:
        # what is recorded must be what was learnt from
        return {**values, "structures": ()} if isinstance(values, dict) and values.get("simulated") else values

    @field_validator("structures")
    @classmethod
    def _some_specimen(cls, value: tuple[MixtureSettings, ...], info: ValidationInfo) -> tuple[MixtureSettings, ...]:
        if not value and not info.data.get("simulated"):
            raise ValueError("there is nothing to simulate; give at least one specimen, or a simulated stack")
        return value

    @model_validator(mode="after")
    def _crop_fits(self) -> CycleGANSettings:
        halvings = {"noise_shaping": 1, "resnet": self.generator.halvings, "unet": self.generator.levels}
        multiple = 2 ** halvings[self.generator.kind]
        if self.crop % multiple:
            raise ValueError(f"crop is {self.crop}; this generator needs a multiple of {multiple} pixels")
        return self
