"""Crystal and pixel size of an experiment are compared with the simulations, whatever rotation and noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from data_folder import data_folder
from napari_stemlearn.finding.bragg_spots import bragg_spots
from napari_stemlearn.formats import read_micrograph
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.imaging.simulate import simulate
from napari_stemlearn.learning.experiment import Experiment
from napari_stemlearn.learning.likeness import likeness, likeness_to_crystals, reference_images
from napari_stemlearn.learning.settings import MixtureSettings
from napari_stemlearn.structures.build import build
from napari_stemlearn.structures.settings import StructureSettings

MIXTURES = {
    name: (MixtureSettings(structure=StructureSettings.preset(preset)),)
    for name, preset in {"WSe2": "wse2", "graphene": "graphene", "SrTiO3": "srtio3"}.items()
}


def image(preset: str, rotation: float, noise: float, size: float = 0.2, side: int = 224) -> np.ndarray:
    structure = StructureSettings.preset(preset).changed(rotation=rotation, field_of_view=(side * size, side * size))
    imaging = ImagingSettings.checked(
        {
            "shape": (side, side),
            "pixel_size": size,
            "probe": {"source_fwhm": 1.0},
            "detector": {"counting_noise": False},
        }
    )
    clean = np.asarray(simulate(build(structure, 1), imaging, seed=1).micrograph.data, dtype=float)
    return clean + noise * clean.std() * np.random.default_rng(0).normal(size=clean.shape)


@pytest.fixture(scope="module")
def references():
    return {name: list(reference_images(mixture, 0.2)) for name, mixture in MIXTURES.items()}


@pytest.mark.parametrize(("rotation", "noise"), [(0.0, 0.0), (17.0, 2.0)])
@pytest.mark.parametrize(("name", "preset"), [("WSe2", "wse2"), ("graphene", "graphene"), ("SrTiO3", "srtio3")])
def test_rotation_and_noise_do_not_matter_but_the_crystal_does(name, preset, rotation, noise, references):
    shown = image(preset, rotation, noise)
    for other, images in references.items():
        found = likeness([shown], images, 0.2)
        assert found.judged
        assert bool(found.problem()) == (other != name), (other, found)


def test_rings_are_measured_in_inverse_angstrom(references):
    found = likeness([image("wse2", 5.0, 0.5)], references["graphene"], 0.2)
    assert found.experiment_rings[:2] == pytest.approx([0.352, 0.609], rel=0.02)
    assert found.simulation_rings[:2] == pytest.approx([0.469, 0.813], rel=0.02)
    assert "rings at 0.35, 0.61" in found.problem()
    assert "the simulated graphene at 0.47, 0.81" in found.problem()


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_wrong_pixel_size_is_refused_and_the_right_one_named(factor):
    found = likeness([image("wse2", 5.0, 0.5)], reference_images(MIXTURES["WSe2"], 0.2 * factor), 0.2 * factor)
    assert "wrong pixel size" in found.problem()
    assert found.pixel_size * found.fitting_scale == pytest.approx(0.2, rel=0.02)


def test_calibrations_may_be_a_little_wrong():
    for factor in (0.97, 1.03):
        images = reference_images(MIXTURES["WSe2"], 0.2 * factor)
        assert likeness([image("wse2", 5.0, 0.5)], images, 0.2 * factor).problem() == ""


def test_one_crystal_of_a_mixture_is_enough(references):
    images = [*references["graphene"], *references["WSe2"]]
    found = likeness([image("wse2", 40.0, 1.0)], images, 0.2)
    assert (found.crystal, found.problem()) == ("WSe2", "")


def test_images_without_a_crystal_are_not_judged(references):
    """White noise, amorphous speckle, and scan lines that flicker."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(200, 200))
    lines = noise + 5 * rng.normal(size=(200, 1))
    found = likeness([noise, ndimage.gaussian_filter(noise, 3) + 0.05 * noise[::-1], lines], references["WSe2"], 0.2)
    assert not found.judged
    assert found.problem() == ""
    assert len(bragg_spots(noise, 0.2).frequency) == 0


@pytest.mark.parametrize(
    ("file", "crystal"),
    [
        ("wse2-virtual/day_a/stack.tif", "WSe2"),
        ("wse2-virtual/day_b/stack.tif", "WSe2"),
        ("wse2-ti-doped-labelled/ti2_adf2.tif", "WSe2"),
        ("wse2-cr-doped-labelled/cr9_adf2.tif", "WSe2"),
        ("wse2-v-doped-adf/adf_1397.tif", "WSe2"),
        ("graphene-atoms-nn-labelled/gb_6nm.tif", "graphene"),
        ("graphene-4dstem-derived/g109_adf.tif", "graphene"),
        ("srtio3-haadf/sto_team05.tif", "SrTiO3"),
    ],
)
def test_measured_images(file, crystal):
    experiment = Experiment([read_micrograph(data_folder(*file.split("/")))], crop=64)
    assert likeness_to_crystals(experiment, MIXTURES[crystal]).problem() == ""
    for other in MIXTURES.keys() - {crystal}:
        assert "do not match" in likeness_to_crystals(experiment, MIXTURES[other]).problem()
