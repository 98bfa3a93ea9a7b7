"""A simulated stack stands in place of settings: image and sites come together, and what cannot be used is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_stemlearn.datasets.creation import create_data_set
from napari_stemlearn.errors import FormatError, ModelError, SettingsError, StemlearnError
from napari_stemlearn.events import Done, Log
from napari_stemlearn.finding.gaussians import fit_gaussians
from napari_stemlearn.formats import read_micrograph, read_sites, write_sites, write_tiff
from napari_stemlearn.generation.generate import write_generated_set
from napari_stemlearn.generation.settings import GenerateSettings
from napari_stemlearn.learning.cyclegan import train_cyclegan
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.settings import MixtureSettings, SegmentationSettings
from napari_stemlearn.learning.simulated_stack import SimulatedStack, stored_frames
from napari_stemlearn.learning.suited_settings import settings_for_data_set, settings_for_generator
from napari_stemlearn.learning.translated import TranslatedCrops
from napari_stemlearn.learning.translators import load_translator
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import inside
from simulated_stacks import write_simulated_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two frames of 96 pixels of 0.2 angstrom."""
    return write_simulated_stack(tmp_path_factory.mktemp("stack") / "sim.tif")


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("experiment") / "day.tif"
    data = np.random.default_rng(0).poisson(50, (2, 96, 96)).astype(np.uint16)
    return write_tiff(path, Micrograph(data, 0.2, "day"))


@pytest.fixture(scope="module")
def generator(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator that learnt for two steps from a stack without defects: nothing is asked of it."""
    folder = tmp_path_factory.mktemp("run")
    *_, done = train_cyclegan(tiny(experiment, write_simulated_stack(folder / "sim.tif", crystal="Au")), folder)
    return Path(done.result["generator"])


def tiny(experiment: Path, *simulated: Path, **changes) -> CycleGANSettings:
    easy = {"survival.recall": 0.0, "survival.displacement": 10.0}
    given = {"experiment": [str(experiment)], "simulated": [str(path) for path in simulated]}
    return CycleGANSettings.preset("tiny").changed(**{**given, **easy, **changes})


def opened(*paths: Path, pixel_size: float = 0.2, crop: int = 32, count: int = 4) -> SimulatedStack:
    frames = stored_frames([str(path) for path in paths])
    return SimulatedStack(frames, "sim", pixel_size=pixel_size, crop=crop, count=count)


def stack_as_data_set(stack: Path, path: Path) -> Path:
    micrograph, sites = read_micrograph(stack), read_sites(stack.with_name(f"{stack.stem}_sites.csv"))
    data_set = create_data_set(path, shape=micrograph.shape, pixel_size=0.2, synthetic=True)
    for frame in range(micrograph.n_frames):
        data_set.add(micrograph.frame(frame), sites[sites["frame"] == frame].assign(frame=0))
    data_set.close()
    return path


# --- images and sites -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixel_size", [0.13, 0.2, 0.27])
def test_image_and_sites_come_together_at_any_pixel_size(stack, pixel_size):
    """Columns lie where the labels say, measured in the image that was cut out and resampled."""
    found = opened(stack, pixel_size=pixel_size, count=3)
    assert ("image and sites are resampled" in found.remark) == (pixel_size != 0.2)
    images = list(found.images(min(96, found.smallest)))
    assert len(images) == 3
    for image in images:
        table = image.columns[inside(image.columns, image.image.shape, border=2.0 / pixel_size)]
        assert len(table) > 3
        y, x = table["y"].to_numpy(), table["x"].to_numpy()
        fits = fit_gaussians(image.image, y, x, sigma=0.45 / pixel_size, radius=0.8 / pixel_size)
        off = np.hypot(fits.y - y, fits.x - x) * pixel_size
        assert np.median(off) < 0.03
        np.testing.assert_allclose(table["y_angstrom"], table["y"] * pixel_size)


def test_the_same_seed_cuts_the_same_images_and_defects_are_known_in_their_columns(stack):
    one, other = (list(opened(stack, count=6).images(64)) for _ in range(2))
    assert all(np.array_equal(a.image, b.image) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one[0].image, one[2].image)
    for image in one:
        vacancies = image.defects[image.defects["class"] == "vacancy1"]
        assert (image.columns["defect"] == "vacancy1").sum() == len(vacancies)
    assert sum(len(image.defects) for image in one) > 0
    # pixels as large as those of the experiment stay as they are
    whole = read_micrograph(stack)
    assert any(np.isin(one[0].image, whole.frame(frame)).all() for frame in range(2))


def test_files_folders_and_data_sets_give_the_same(stack, tmp_path):
    data_set = stack_as_data_set(stack, tmp_path / "sim.stemset")
    of_file, of_folder, of_set = (list(opened(path).images(64)) for path in (stack, stack.parent, data_set))
    for one, other, third in zip(of_file, of_folder, of_set, strict=True):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.image, third.image)
        assert one.columns[["y", "x", "class", "defect"]].equals(third.columns[["y", "x", "class", "defect"]])
    assert len(opened(stack, data_set).frames) == 4


def test_sites_without_a_kind_are_told_apart_by_their_class(stack, tmp_path):
    copy = write_tiff(tmp_path / "sim.tif", read_micrograph(stack))
    sites = read_sites(stack.with_name("sim_sites.csv"))
    write_sites(tmp_path / "sim_sites.csv", sites.drop(columns="kind"))
    assert opened(copy).counts == opened(stack).counts
    assert set(opened(copy).counts["defects"]) == {"vacancy1"}


# --- what cannot be used ----------------------------------------------------------------------------------------------


def bad_stack(folder: Path, stack: Path, *, data=None, pixel_size=0.2, sites=None) -> Path:
    micrograph = read_micrograph(stack)
    path = write_tiff(
        folder / "bad.tif", Micrograph(np.asarray(micrograph.data) if data is None else data, pixel_size, "bad")
    )
    if sites is not None:
        table = read_sites(stack.with_name("sim_sites.csv"))
        write_sites(folder / "bad_sites.csv", sites(table))
    return path


def same(table):
    return table


def holes(data):
    data = np.array(data)
    data[:, 5, 5] = np.nan
    return data


BAD = {
    "no sites": ({}, r"bad\.tif has no sites: bad_sites\.csv is missing"),
    "other frames": (
        {"sites": lambda table: table.assign(frame=table["frame"] * 7)},
        r"bad_sites\.csv has sites of frame 7, counted from 0, but 'bad' has 2 frames",
    ),
    "a frame without sites": (
        {"sites": lambda table: table[table["frame"] == 0]},
        r"'bad, frame 1' has no columns among its sites; .* the sites of all its columns",
    ),
    "defects alone": ({"sites": lambda table: table[table["kind"] == "defect"]}, "has no columns among its sites"),
    "no pixel size": ({"pixel_size": None, "sites": same}, "pixel size of 'bad' is not known"),
    "too coarse": ({"pixel_size": 0.5, "sites": same}, r"pixels of 0\.5 angstrom.*too coarse.*at most 0\.4"),
    "too small": (
        {"pixel_size": 0.05, "sites": same},
        r"'bad, frame \d' \(96 by 96 pixels of 0\.05 angstrom\) has 24 pixels of the experiment's 0\.2.*crops of 32",
    ),
    "one grey level": ({"data": np.ones((2, 96, 96), np.float32), "sites": same}, "one grey level"),
    "NaN": ({"data": holes(np.ones((2, 96, 96), np.float32)), "sites": same}, "NaN"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_stack_that_cannot_be_used_is_one_sentence_and_nothing_is_written(case, stack, experiment, tmp_path):
    values, words = BAD[case]
    path = bad_stack(tmp_path, stack, **values)
    with pytest.raises(StemlearnError, match=words):
        list(train_cyclegan(tiny(experiment, path), tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_what_is_not_there_is_named(stack, tmp_path):
    with pytest.raises(FormatError, match=r"gone\.tif does not exist"):
        opened(tmp_path / "gone.tif")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StemlearnError, match="holds no images"):
        opened(tmp_path / "empty")


def test_a_stack_of_another_crystal_is_refused(tmp_path):
    experiment = write_simulated_stack(tmp_path / "day.tif", frames=1, side=200)
    for crystal, words in (("graphene", r"do not match.*the simulated stack other\.tif at"), ("WSe2", "")):
        other = write_simulated_stack(tmp_path / "other.tif", frames=1, side=200, crystal=crystal)
        if words:
            with pytest.raises(StemlearnError, match=words):
                list(train_cyclegan(tiny(experiment, other), tmp_path / "run"))
            continue
        events = train_cyclegan(tiny(experiment, other), tmp_path / "run")
        said = next(event.message for event in events if isinstance(event, Log) and "spectrum" in event.message)
        assert said == "The spectrum of the experiment matches that of stack other.tif."
        events.close()


# --- training ---------------------------------------------------------------------------------------------------------


def test_settings_know_the_stack_and_no_structures(experiment, stack):
    settings = tiny(experiment, stack)
    assert settings.structures == ()
    assert CycleGANSettings.checked(settings.record()) == settings
    with pytest.raises(SettingsError, match="at least one specimen, or a simulated stack"):
        settings.changed(simulated=[])


def test_a_generator_learns_from_a_stack_of_another_pixel_size_and_resumes(experiment, tmp_path):
    stack = write_simulated_stack(tmp_path / "fine.tif", pixel_size=0.15, crystal="Au")
    asked = iter([False] * 3 + [True])
    settings = tiny(experiment, stack)
    first = list(train_cyclegan(settings, tmp_path / "run", should_stop=lambda: next(asked)))
    said = [event.message for event in first if isinstance(event, Log)]
    assert "Simulated images are cut out of 2 frames of fine.tif." in said
    assert any("pixels of 0.15 angstrom: image and sites are resampled to the 0.2" in one for one in said)
    assert first[-1].stopped
    done = list(train_cyclegan(settings, tmp_path / "run", resume=True))[-1]
    assert isinstance(done, Done)
    card = json.loads((Path(done.result["generator"]) / "generator.json").read_text())
    assert card["settings"]["simulated"] == [str(stack)]
    assert card["settings"]["structures"] == []
    assert card["simulated_stack"]["pixel_sizes"] == [0.15, 0.15]
    assert sum(card["simulated_stack"]["columns"].values()) > 10
    assert done.result["labels_recall"] >= 0


# --- using the generator ----------------------------------------------------------------------------------------------


def test_the_generator_translates_but_knows_nothing_to_simulate(generator, tmp_path):
    assert load_translator(generator, "cpu").translate(np.ones((40, 40), np.float32)).shape == (40, 40)
    sentence = r"'generator' learnt from a simulated stack \(sim\.tif\), so it does not know what to simulate"
    settings = GenerateSettings.preset("tiny", generator=str(generator))
    part = MixtureSettings().record()
    for lacking in ({}, {"structures": [part]}, {"imaging": {}}):
        with pytest.raises(SettingsError, match=f"{sentence}; give structures and imaging"):
            list(write_generated_set(settings.changed(**lacking), tmp_path / "set.stemset"))
    assert not (tmp_path / "set.stemset").exists()
    *_, done = write_generated_set(settings.changed(structures=[part], imaging={}), tmp_path / "set.stemset")
    assert done.result["images"] == 2
    assert settings_for_data_set(done.result["data_set"], preset="tiny").pixel_size == pytest.approx(0.2)
    with pytest.raises(ModelError, match=f"{sentence}; make a set of training data"):
        settings_for_generator(generator)
    with pytest.raises(ModelError, match=sentence):
        TranslatedCrops(SegmentationSettings.preset("tiny").changed(**{"data.generator": str(generator)}))
