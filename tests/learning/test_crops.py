"""Training crops depend on seed and number alone, and their truth lies on their atoms."""

import numpy as np
import pytest
import torch

from napari_stemlearn.datasets import DataSet, create_data_set
from napari_stemlearn.errors import SettingsError, StemlearnError
from napari_stemlearn.formats import write_sites, write_tiff
from napari_stemlearn.learning import simulated
from napari_stemlearn.learning.augmentation import blur
from napari_stemlearn.learning.crops import (
    HELD_OUT,
    SAME_STYLE,
    TRAINING,
    acquired_side,
    as_batch,
    random_numbers,
    training_batch,
    validation_crops,
)
from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.learning.loading import TrainingBatches, iterate_batches, open_source
from napari_stemlearn.learning.recipes import load_recipe
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.stored import read_set
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.models.resampling import resampled_length
from napari_stemlearn.sites import make_sites
from napari_stemlearn.structures.build import build

TINY = SegmentationSettings.preset("tiny")
STORED = TINY.changed(
    **{"data.source": "folder", "data.folder": "given below", "targets.classes": {"vacancy1": ["vacancy1"]}}
)
CLEAN = TINY.changed(
    **{"imaging.detector.counting_noise": False, "acquisition_pixel_size": "uniform(0.1, 0.3)", "optimisation.crop": 96}
)

QUIET = {"detector": {"counting_noise": False}, "probe": {"source_fwhm": 1.2}}


def test_a_batch_is_decided_by_its_number():
    source = open_source(CLEAN)
    first, again, other = (training_batch(source, CLEAN, index) for index in (3, 3, 4))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.sites, again.sites)
    assert not np.array_equal(first.images, other.images)
    assert first.images.shape == (2, 96, 96)
    assert first.images.dtype == np.float32


def test_workers_give_the_batches_of_one_process():
    settings = TINY.changed(**{"optimisation.steps": 5, "data.workers": 2})
    alone = list(iterate_batches(settings.changed(**{"data.workers": 0}), 1))
    together = list(iterate_batches(settings, 1))
    assert len(alone) == len(together) == 4
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.sites, other.sites)


def test_truth_lies_on_the_atoms_at_any_acquisition_pixel_size():
    source = open_source(CLEAN)
    for number in range(4):
        crop = source.crop(random_numbers(0, TRAINING, number), 96, stream=TRAINING)
        image = blur(crop.image, 1.0).numpy()
        metal = np.array([name == "W" for name in crop.names])
        inside = metal & (np.minimum(crop.y, crop.x) > 8) & (np.maximum(crop.y, crop.x) < 87)
        assert inside.sum() > 10
        for y, x in zip(crop.y[inside], crop.x[inside], strict=True):
            row, column = round(y), round(x)
            patch = (
                image[row - 3 : row + 4, column - 3 : column + 4]
                - image[row - 3 : row + 4, column - 3 : column + 4].min()
            )
            rows, columns = np.mgrid[row - 3 : row + 4, column - 3 : column + 4]
            weight = (patch - patch.min()) ** 4
            found = (weight * rows).sum() / weight.sum(), (weight * columns).sum() / weight.sum()
            assert np.hypot(found[0] - y, found[1] - x) < 0.5


FAR = [{}, {"drift_x": 20.0}, {"drift_y": "normal(0, 5)"}, {"flyback": -6.0}, {"shear": 0.2, "wobble": 1.0}]


@pytest.mark.parametrize("scan", FAR, ids=str)
def test_a_distorted_scan_stays_on_the_specimen_of_its_crop(scan, monkeypatch):
    perfect = {"crystal": "WSe2", "defects": [], "displacement": 0.0}
    marked = {"classes": {"metal": ["W"]}, "exclusive": []}
    settings = CLEAN.changed(structures=[{"structure": perfect}], imaging={"scan": scan, **QUIET}, targets=marked)
    built = []
    monkeypatch.setattr(simulated, "build", lambda structure, seed: built.append(structure) or build(structure, seed))
    source = open_source(settings)
    crops = [source.crop(np.random.default_rng(seed), 96, stream=TRAINING).image for seed in range(8)]
    for crop in crops:
        assert (crop > 0.02 * crop.quantile(0.99)).all()
    margins = {structure.margin for structure in built}
    assert margins == {5.0} if not scan else max(margins) > 6
    # more specimen would add no more than the far tails of the probe
    monkeypatch.setattr(simulated, "needed_by_image", lambda _imaging, _seed: 40.0)
    for seed, crop in enumerate(crops):
        whole = source.crop(np.random.default_rng(seed), 96, stream=TRAINING).image
        torch.testing.assert_close(crop, whole, rtol=0, atol=0.01 * float(whole.max()))


@pytest.mark.parametrize("acquired", [0.05, 0.1, 0.137, 0.2, 0.33, 0.42])
def test_enough_pixels_are_taken(acquired):
    side = acquired_side(128, acquired, 0.2)
    assert resampled_length(side, acquired, 0.2) >= 128
    assert side == 16 or resampled_length(side - 2, acquired, 0.2) < 128


def test_styles_are_held_out():
    source = open_source(CLEAN)
    same, other = (validation_crops(source, CLEAN, stream, 2) for stream in (SAME_STYLE, HELD_OUT))
    assert not torch.equal(same[0].image, other[0].image)
    contrasts = []
    for probe in ({"source_fwhm": 3.0}, {}):
        held_out = {"validation.held_out_style": "imaging", "validation.held_out_imaging": {"probe": probe}}
        given = CLEAN.changed(**held_out)
        image = validation_crops(open_source(given), given, HELD_OUT, 1)[0].image
        contrasts.append(image.std() / image.mean())
    assert contrasts[0] < 0.8 * contrasts[1]
    batch = as_batch(same, CLEAN)
    assert abs(float(batch.images.mean())) < 0.2


@pytest.mark.parametrize("name", ["tmd-defects", "columns"])
def test_recipes_show_every_class(name):
    settings = load_recipe(name).changed(**{"optimisation.batch_size": 12})
    batch = training_batch(open_source(settings), settings, 0)
    assert set(batch.sites[:, 1].astype(int)) == set(range(len(settings.targets.classes)))
    assert np.isfinite(batch.images).all()


@pytest.fixture
def stored(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        sites = make_sites(
            [40.0, 70.5, 20.0], [52.25, 30.0, 90.0], ["W", "vacancy1", "W"], pixel_size=0.1, origin="hand"
        )
        rows, columns = np.mgrid[:120, :130]
        image = rng.normal(0, 0.01, (120, 130))
        for y, x in zip(sites["y"], sites["x"], strict=True):
            image += np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 18)
        write_tiff(tmp_path / f"{name}.tif", Micrograph(image.astype(np.float32), 0.1))
        write_sites(tmp_path / f"{name}_sites.csv", sites)
    return tmp_path


def test_stored_crops_keep_sites_on_their_spots(stored):
    settings = STORED.changed(**{"data.folder": str(stored)})
    source = open_source(settings)
    assert source.pixel_size_range == (0.1, 0.1)
    seen = 0
    for number in range(12):
        crop = source.crop(random_numbers(0, TRAINING, number), 32, stream=TRAINING)
        for y, x in zip(crop.y, crop.x, strict=True):
            if 4 < y < 27 and 4 < x < 27:
                seen += 1
                rows, columns = np.mgrid[:32, :32]
                near = np.hypot(rows - y, columns - x) < 4
                weight = np.where(near, crop.image.numpy().clip(0.1) - 0.1, 0)
                assert (weight * rows).sum() / weight.sum() == pytest.approx(y, abs=0.15)
                assert (weight * columns).sum() / weight.sum() == pytest.approx(x, abs=0.15)
    assert seen > 5


def test_stored_crops_keep_contrast_on_a_high_pedestal(tmp_path):
    # single precision knows 3e7 to two grey levels
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        image = (30_000_000 + rng.integers(0, 20, (96, 96))).astype(np.int32)
        write_tiff(tmp_path / f"{name}.tif", Micrograph(image, STORED.pixel_size))
        write_sites(
            tmp_path / f"{name}_sites.csv", make_sites([40.0], [52.0], "vacancy1", pixel_size=STORED.pixel_size)
        )
    source = open_source(STORED.changed(**{"data.folder": str(tmp_path)}))
    crop = source.crop(random_numbers(0, TRAINING, 0), 32, stream=TRAINING)
    assert crop.image.unique().tolist() == list(range(20))


@pytest.fixture
def data_set(stored, tmp_path):
    """The frames of the stored set, and one that is brighter, as a data set."""
    made = create_data_set(tmp_path / "made.stemset", shape=(120, 130), pixel_size=0.1, synthetic=True)
    for index, frame in enumerate([*read_set(stored), read_set(stored)[0]]):
        image = np.asarray(frame.micrograph.data) + 5.0 * (index == 2)
        made.add(image, frame.sites, {"dose": float(index)})
    return made.path


def test_a_data_set_gives_the_crops_of_its_files(stored, data_set):
    settings = STORED.changed(**{"data.folder": str(stored)})
    of_files = open_source(settings)
    of_set = open_source(settings.changed(**{"data.folder": str(data_set), "data.where": "dose < 2"}))
    assert of_set.pixel_size_range == of_files.pixel_size_range
    for stream in (TRAINING, SAME_STYLE, HELD_OUT):
        for number in range(4):
            one, other = (
                source.crop(random_numbers(0, stream, number), 32, stream=stream) for source in (of_files, of_set)
            )
            torch.testing.assert_close(one.image, other.image, rtol=0, atol=1e-6)
            assert one.names == other.names
            np.testing.assert_array_equal(one.y, other.y)


def test_a_data_set_is_read_image_by_image(data_set, monkeypatch):
    source = open_source(STORED.changed(**{"data.folder": str(data_set)}))
    read = []
    pixels = DataSet.pixels
    monkeypatch.setattr(DataSet, "pixels", lambda self, index: read.append(index) or pixels(self, index))
    for n in range(9):
        source.crop(random_numbers(0, TRAINING, n), 32, stream=TRAINING)
    assert len(read) == 9
    learnt = set(read)
    read.clear()
    for n in range(9):
        source.crop(random_numbers(0, SAME_STYLE, n), 32, stream=SAME_STYLE)
    # images of the validation are never learnt from
    assert set(read) | learnt == {0, 1, 2}
    assert not set(read) & learnt


def test_a_data_set_feeds_worker_processes(data_set):
    settings = STORED.changed(**{"data.folder": str(data_set), "optimisation.steps": 3})
    alone = list(iterate_batches(settings, 0))
    together = list(iterate_batches(settings.changed(**{"data.workers": 1}), 0))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.images, other.images)


def test_queries_that_leave_nothing_to_learn_from_are_named(stored, data_set):
    settings = STORED.changed(**{"data.folder": str(data_set)})
    for where, words in (
        ("dose > 9", "no image of which 'dose > 9' is true"),
        ("dose > 1", "holds one frame"),
        ("does > 1", "'does' is no parameter of this set"),
    ):
        with pytest.raises(StemlearnError, match=words):
            open_source(settings.changed(**{"data.where": where}))
    with pytest.raises(TrainingError, match=r"no site of the class 'antisite' \(antisite\); it has W, vacancy1"):
        open_source(settings.changed(**{"targets.classes": {"antisite": ["antisite"]}}))
    with pytest.raises(TrainingError, match=r"is no data set, so data\.where cannot choose"):
        open_source(settings.changed(**{"data.folder": str(stored), "data.where": "dose > 1"}))
    with pytest.raises(SettingsError, match="where chooses images of a data set"):
        TINY.changed(**{"data.where": "dose > 1"})


def test_stored_sets_that_cannot_be_used_are_named(stored):
    settings = STORED.changed(**{"data.folder": str(stored)})
    with pytest.raises(TrainingError, match=r"too small for crops of 64.*to 60 or less"):
        open_source(settings.changed(**{"optimisation.crop": 64}))
    with pytest.raises(TrainingError, match="does not exist"):
        open_source(settings.changed(**{"data.folder": str(stored / "nowhere")}))
    (stored / "one_sites.csv").unlink()
    with pytest.raises(TrainingError, match=r"one_sites\.csv is missing"):
        open_source(settings)
    (stored / "one.tif").unlink()
    with pytest.raises(TrainingError, match="at least two"):
        open_source(settings)


def test_an_error_while_making_images_stays_one_sentence(tmp_path):
    settings = TINY.changed(**{"data.source": "folder", "data.folder": str(tmp_path)})
    assert isinstance(TrainingBatches(settings)[0], TrainingError)
    with pytest.raises(TrainingError, match=r"^The folder .* holds no images NAME\.tif with NAME_sites\.csv\.$"):
        next(iterate_batches(settings, 0))
