"""How one micrograph of a set is made: everything that a worker needs, and nothing that depends on its neighbours."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.datasets.entry import Entry
from napari_stemlearn.distributions import Distribution
from napari_stemlearn.errors import ModelError, SettingsError
from napari_stemlearn.generation.settings import GenerateSettings, usual_structures
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.imaging.specimen_margin import needed_margin
from napari_stemlearn.learning.generator_cards import (
    GENERATOR_CARD,
    GENERATOR_WEIGHTS,
    knows_no_simulation,
    read_generator_card,
)
from napari_stemlearn.learning.settings import MixtureSettings
from napari_stemlearn.settings import Settings, laid_over

if TYPE_CHECKING:
    from napari_stemlearn.learning.translators import Translator

KNOWN_LEVELS = 1.5
"""A generator learnt from grey levels that it sees as -1 to 1; beyond this it has seen next to none."""


@dataclass(frozen=True)
class GeneratorFiles:
    """A trained generator as the content of its two files, so that it can be sent to other computers.

    Parameters
    ----------
    name
        Of the generator.
    pixel_size
        In angstrom.
    card, weights
        Content of the files.
    """

    name: str
    pixel_size: float
    card: bytes
    weights: bytes

    @property
    def digest(self) -> str:
        """Hash of both files."""
        return hashlib.sha256(self.card + self.weights).hexdigest()

    def record(self) -> dict[str, Any]:
        """Plain values for the data set."""
        return {"name": self.name, "pixel_size": self.pixel_size, "sha256": self.digest}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the pixels of every micrograph of a set.

    Parameters
    ----------
    structures
        Specimens, mixed by weight.
    imaging
        The microscope, with the shape and pixel size of the set.
    generator
        What translates the simulations, or None.
    seed
        Of the set.
    visible_mark
        Whether a mark is drawn into the pixels.
    device
        Where to compute.
    """

    structures: tuple[MixtureSettings, ...]
    imaging: ImagingSettings
    generator: GeneratorFiles | None
    seed: int
    visible_mark: bool
    device: str


def recipe_of(settings: GenerateSettings) -> Recipe:
    """Settle what the settings leave open, and read the generator.

    Raises
    ------
    ModelError
        If there is no such generator, or it cannot be read.
    SettingsError
        If the settings contradict each other.
    """
    folder = Path(settings.generator).expanduser()
    files = read_generator(folder) if settings.generator else None
    structures, imaging = settings.structures, settings.imaging
    pixel_size = None
    if files is not None:
        card = read_generator_card(folder)
        learnt, pixel_size = card["settings"], files.pixel_size
        unknown = knows_no_simulation(card, "give structures and imaging as they were in it")
        if unknown and (structures is None or imaging is None):
            raise SettingsError(unknown)
        try:
            if structures is None:
                structures = tuple(MixtureSettings.checked(part) for part in learnt["structures"])
            if imaging is None:
                imaging = ImagingSettings.checked(learnt["imaging"])
        except (KeyError, TypeError, SettingsError) as error:
            raise ModelError(
                f"The generator in {settings.generator} does not tell what it learnt from ({error}); "
                "give structures and imaging."
            ) from error
    imaging = imaging or ImagingSettings()
    imaging = imaging.changed(shape=settings.shape, pixel_size=pixel_size or imaging.pixel_size)
    return Recipe(
        structures or usual_structures(), imaging, files, settings.seed, settings.visible_mark, settings.device
    )


def read_generator(folder: str | Path) -> GeneratorFiles:
    """Read the files of a trained generator.

    Raises
    ------
    ModelError
        If there is none, or it cannot be read.
    """
    folder = Path(folder)
    card = read_generator_card(folder)
    try:
        content = [(folder / name).read_bytes() for name in (GENERATOR_CARD, GENERATOR_WEIGHTS)]
        return GeneratorFiles(str(card["name"]), float(card["pixel_size"]), *content)
    except FileNotFoundError as error:
        raise ModelError(f"The generator in {folder} has no {Path(str(error.filename)).name}.") from error
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise ModelError(f"The generator in {folder} cannot be read: {error}.") from error


def make_image(recipe: Recipe, index: int) -> Entry:
    """Make micrograph number `index`: on a CPU always the same pixels, whoever makes it and in whatever order.

    Raises
    ------
    SettingsError, ModelError
        If the specimen cannot be built or the image cannot be translated.
    """
    from napari_stemlearn.datasets.simulated import all_sites
    from napari_stemlearn.devices import choose_device
    from napari_stemlearn.imaging.simulate import simulate
    from napari_stemlearn.learning.structure_mixture import StructureMixture
    from napari_stemlearn.marking import beneath_visible_mark, draw_visible_mark, embed_watermark
    from napari_stemlearn.structures.build import build

    imaging = recipe.imaging
    seeds = np.random.SeedSequence(recipe.seed, spawn_key=(index,)).generate_state(4)
    field_of_view = tuple(side * imaging.pixel_size for side in imaging.shape)
    device = str(choose_device(recipe.device))
    with one_thread():
        structure = StructureMixture(recipe.structures).draw(np.random.default_rng(int(seeds[0])))
        margin = max(structure.margin, needed_margin(imaging))
        structure = structure.changed(field_of_view=field_of_view, margin=margin)
        specimen = build(structure, int(seeds[1]))
        labelled = simulate(specimen, imaging, int(seeds[2]), device)
        pixels = labelled.micrograph.frame(0).astype(np.float32)
        parameters: dict[str, Any] = {
            "structure_seed": int(seeds[1]),
            "imaging_seed": int(seeds[2]),
            "structure": {**plain_values(structure), **specimen.drawn},
            "imaging": laid_over(ImagingSettings, plain_values(imaging), labelled.drawn),
        }
        if recipe.generator is not None:
            translator = _translator(recipe.generator, device)
            beyond = np.abs(translator.simulation_levels.scaled(pixels)) > KNOWN_LEVELS
            pixels = _translated(translator, recipe.generator.name, pixels, int(seeds[3]))
            parameters["translation_seed"] = int(seeds[3])
            parameters["translation"] = {
                "generator": recipe.generator.name,
                "noise": translator.noise,
                "beyond_known_levels": float(beyond.mean()),
            }
        pixels = embed_watermark(pixels, name=f"image {index}")
        sites = all_sites(labelled)
        if recipe.visible_mark:
            pixels = draw_visible_mark(pixels, name=f"image {index}")
            # what nobody can see is no label
            y, x = sites[["y", "x"]].to_numpy(dtype=float).T
            sites = sites[~beneath_visible_mark(y, x, imaging.shape)].reset_index(drop=True)
    return replace(Entry.of(pixels, sites, parameters, pixel_size=imaging.pixel_size), notes=labelled.notes)


def plain_values(settings: Settings) -> dict[str, Any]:
    """Fields that hold one value for all images; shape and lists of parts are left out."""
    values: dict[str, Any] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, Settings):
            values[name] = plain_values(value)
        elif isinstance(value, (bool, int, float, str)) and not isinstance(value, Distribution):
            values[name] = value
        elif name == "zone_axis" and value is not None:
            values[name] = " ".join(map(str, value))
    return values


_alone = threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread, and one image at a time.

    Sums in another order would give other last digits, and the random numbers of torch belong to the whole process.
    """
    import torch

    with _alone:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


_loaded: dict[tuple[str, str], Translator] = {}


def _translator(files: GeneratorFiles, device: str) -> Translator:
    """The generator on a device, loaded once in each process."""
    from napari_stemlearn.learning.translators import load_translator

    key = (files.digest, device)
    if key not in _loaded:
        with tempfile.TemporaryDirectory(prefix="stemlearn-") as folder:
            (Path(folder) / GENERATOR_CARD).write_bytes(files.card)
            (Path(folder) / GENERATOR_WEIGHTS).write_bytes(files.weights)
            try:
                translator = load_translator(folder, device)
            except ModelError as error:
                raise ModelError(str(error).replace(f"in {folder}", f"'{files.name}'")) from error
        _loaded.clear()
        _loaded[key] = translator
    return _loaded[key]


def _translated(translator: Translator, name: str, pixels: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    try:
        return translator.translate(pixels, np.random.default_rng(seed))
    except RuntimeError as error:
        if "adding" not in str(error) and "Expected more than 1" not in str(error):
            raise
        height, width = pixels.shape
        raise SettingsError(
            f"Micrographs of {height} by {width} pixels are too small for the generator '{name}'; "
            "choose a larger shape."
        ) from error
