"""Label survival sees what a translation does to atoms and defects, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.imaging.simulate import simulate
from napari_stemlearn.learning.cyclegan_settings import SurvivalSettings
from napari_stemlearn.learning.label_survival import follow_labels, label_survival, translations
from napari_stemlearn.structures.build import build
from napari_stemlearn.structures.settings import StructureSettings

SIZE = 0.2
ALLOWED = SurvivalSettings()


@pytest.fixture(scope="module")
def labelled():
    structure = StructureSettings.preset("wse2", field_of_view=(32.0, 32.0)).changed(
        defects=[{"kind": "vacancy1", "probability": 0.08}, {"kind": "antisite", "probability": 0.04, "atoms": "both"}]
    )
    imaging = ImagingSettings.checked(
        {"shape": (160, 160), "pixel_size": SIZE, "probe": {"source_fwhm": 0.8}, "detector": {"counting_noise": False}}
    )
    return simulate(build(structure, 3), imaging, seed=3)


@pytest.fixture(scope="module")
def image(labelled):
    return np.asarray(labelled.micrograph.data, dtype=float)


def survival(labelled, translated):
    image = np.asarray(labelled.micrograph.data, dtype=float)
    return label_survival([follow_labels(image, translated, labelled.columns, labelled.defects, SIZE, 0.3)], 0.3)


def test_the_same_image_keeps_everything(labelled, image):
    same = survival(labelled, image)
    assert same.recall == same.contrast_sign == 1
    assert same.displacement < 1e-6
    assert same.defect_contrast == pytest.approx(1)
    assert same.problem(ALLOWED) == ""


def test_gain_and_offset_do_not_count(labelled, image):
    other = survival(labelled, 500 + 7 * image)
    assert other.recall == 1
    assert other.displacement < 1e-3
    assert other.defect_contrast == pytest.approx(1)


def test_a_shift_is_measured_in_angstrom(labelled, image):
    moved = survival(labelled, ndimage.shift(image, (0, 0.4), order=5, mode="nearest"))
    assert moved.recall == 1
    assert moved.displacement == pytest.approx(0.4 * SIZE, abs=0.005)
    assert moved.drift_x == pytest.approx(0.4 * SIZE, abs=0.005)
    assert abs(moved.drift_y) < 0.005
    assert "moves atoms by 0.08" in moved.problem(ALLOWED)
    assert moved.problem(ALLOWED.changed(displacement=0.1)) == ""
    far = survival(labelled, np.roll(image, 4, axis=0))
    assert far.recall < 0.5
    assert "moves or hides atoms" in far.problem(ALLOWED)


def test_shifts_to_and_fro_have_no_drift_but_a_displacement(labelled, image):
    rows = np.arange(len(image))[:, None]
    swayed = 0.6 * np.sin(2 * np.pi * rows / 40) * np.ones_like(image)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(float)
    bent = survival(labelled, ndimage.map_coordinates(image, [y, x + swayed], order=5, mode="nearest"))
    assert abs(bent.drift_x) < 0.03
    assert bent.displacement == pytest.approx(0.6 * SIZE * 2 / np.pi, rel=0.15)


def test_smoothing_and_noise_are_not_taken_for_a_shift(labelled, image):
    rng = np.random.default_rng(0)
    contrast = np.quantile(image, 0.98) - np.quantile(image, 0.02)

    def translate(simulated):
        return ndimage.gaussian_filter(simulated, 1.0) + 0.3 * contrast * rng.normal(size=simulated.shape)

    noisy = survival(labelled, translations(translate, image, 8))
    assert noisy.recall > 0.98
    assert noisy.displacement < 0.025
    assert np.hypot(noisy.drift_y, noisy.drift_x) < 0.02
    assert noisy.contrast_sign > 0.8
    assert noisy.defect_contrast > 0.7
    assert noisy.problem(ALLOWED.changed(recall=0.98)) == ""
    # the shift beneath the noise is still seen
    moved = survival(labelled, np.roll(translations(translate, image, 8), 1, axis=-1))
    assert moved.displacement == pytest.approx(SIZE, abs=0.02)


def test_inverted_contrast(labelled, image):
    inverted = survival(labelled, -image)
    assert inverted.contrast_sign == 0
    assert inverted.recall < 0.5


def test_inverted_defects_alone(labelled, image):
    defects = painted(labelled, image, 2.0)
    found = survival(labelled, defects)
    assert found.recall > 0.95
    assert found.contrast_sign < 0.2
    assert (
        found.problem(ALLOWED.changed(recall=0.9, displacement=0.2)) == "The generator inverts the contrast of defects."
    )


def test_vacancies_painted_over_are_noticed_although_no_atom_moves(labelled, image):
    perfect = painted(labelled, image, 1.0)
    filled = survival(labelled, perfect)
    assert filled.recall > 0.98
    assert filled.displacement < ALLOWED.displacement
    assert abs(filled.defect_contrast) < 0.25
    half = survival(labelled, painted(labelled, image, 0.3))
    assert half.defect_contrast == pytest.approx(0.7, abs=0.1)
    assert half.problem(ALLOWED) == ""
    words = filled.problem(ALLOWED.changed(recall=0.9))
    assert words.startswith(("The generator paints over defects", "The generator inverts"))


def painted(labelled, image, part):
    """The image with `part` of the way from each defect to the column of the perfect crystal."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    sharp = image.copy()
    for sublattice, defects in labelled.defects.groupby("sublattice"):
        like = labelled.columns[(labelled.columns["sublattice"] == sublattice) & (labelled.columns["defect"] == "")]
        usual = np.median(ndimage.map_coordinates(image, [like["y"], like["x"]], order=1))
        for _, defect in defects.iterrows():
            there = ndimage.map_coordinates(image, [[defect["y"]], [defect["x"]]], order=1)[0]
            spot = np.exp(-((y - defect["y"]) ** 2 + (x - defect["x"]) ** 2) / (2 * (0.5 / SIZE) ** 2))
            sharp += part * (usual - there) * spot
    return sharp


def test_faint_and_overlapping_columns_are_left_out_not_lost():
    """Oxygen columns beside strontium and titanium, under a wide probe."""
    structure = StructureSettings.preset("srtio3", field_of_view=(32.0, 32.0))
    imaging = ImagingSettings.checked(
        {"shape": (160, 160), "pixel_size": 0.2, "probe": {"source_fwhm": 1.2}, "detector": {"counting_noise": False}}
    )
    labelled = simulate(build(structure, 0), imaging)
    image = np.asarray(labelled.micrograph.data, dtype=float)
    followed = follow_labels(image, image, labelled.columns, labelled.defects, SIZE, 0.3)
    found = label_survival([followed], 0.3)
    assert 0.2 * len(labelled.columns) < len(followed.shift) < 0.8 * len(labelled.columns)
    assert found.recall == 1
    assert found.problem(ALLOWED) == ""
    assert np.isnan(found.defect_contrast)
    nothing = label_survival([follow_labels(0 * image, image, labelled.columns, labelled.defects, SIZE, 0.3)], 0.3)
    assert "No atom column can be told" in nothing.problem(ALLOWED)


def test_a_generator_is_not_blamed_for_the_noise_in_which_oxygen_drowns():
    structure = StructureSettings.preset("srtio3", field_of_view=(32.0, 32.0))
    imaging = ImagingSettings.checked(
        {"shape": (160, 160), "pixel_size": SIZE, "probe": {"source_fwhm": 0.7}, "detector": {"counting_noise": False}}
    )
    labelled = simulate(build(structure, 0), imaging)
    image = np.asarray(labelled.micrograph.data, dtype=float)
    noisy = image + np.random.default_rng(0).normal(0, 0.1 * np.ptp(image), (16, *image.shape))
    followed = follow_labels(image, noisy, labelled.columns, labelled.defects, SIZE, 0.3)
    found = label_survival([followed], 0.3)
    heavy = labelled.columns["class"].isin(["Sr", "TiO"]).sum()
    assert 0.6 * heavy < len(followed.shift) <= heavy
    assert found.recall == 1
    # a heavy column that is gone still counts
    y, x = labelled.columns.loc[labelled.columns["class"] == "TiO", ["y", "x"]].to_numpy().T
    rows, columns = np.mgrid[:160, :160]
    near = np.min(np.hypot(rows[..., None] - y, columns[..., None] - x), axis=-1) * SIZE < 1.2
    hidden = np.where(near, image.min(), noisy)
    gone = label_survival([follow_labels(image, hidden, labelled.columns, labelled.defects, SIZE, 0.3)], 0.3)
    assert gone.recall < 0.8


def test_images_are_summed_up_over_their_columns(labelled, image):
    parts = [
        follow_labels(image, shown, labelled.columns, labelled.defects, SIZE, 0.3)
        for shown in (image, ndimage.shift(image, (0, 0.5), order=5, mode="nearest"))
    ]
    both = label_survival(parts, 0.3)
    assert both.drift_x == pytest.approx(0.05, abs=0.005)
    assert both.displacement == pytest.approx(0.05, abs=0.005)
