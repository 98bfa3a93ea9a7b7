"""``stemlearn find`` on many files: frames, pixel sizes that differ or are missing, folders of score maps."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemlearn.cli.frame_numbers import frame_numbers
from napari_stemlearn.errors import SettingsError
from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.formats import read_sidecar, read_sites, write_sites, write_tiff
from napari_stemlearn.jobs.search import find_in_files
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import make_sites


def columns(shape=(60, 72), spacing=12.0):
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.cos(2 * np.pi * y / spacing) + np.cos(2 * np.pi * x / spacing)
    return (image + np.random.default_rng(0).normal(0, 0.05, shape)).astype(np.float32)


@pytest.fixture
def stack(tmp_path):
    write_tiff(tmp_path / "stack.tif", Micrograph(np.stack([columns()] * 5), 0.2, "stack"))


def test_frames_are_chosen(stemlearn, refused, stack):
    assert stemlearn("find", "stack.tif", "--model", "log", "--frames", "0,2-3", "--out", "some.csv").exit_code == 0
    assert set(read_sites("some.csv")["frame"]) == {0, 2, 3}
    assert "stack.tif has no frame 5; it has 0 to 4." in refused(
        "find", "stack.tif", "--model", "log", "--frames", "3-5", "--out", "none.csv"
    )
    assert "such as 0,2-5, not 'two'" in refused("find", "stack.tif", "--model", "log", "--frames", "two")


def test_a_job_takes_frames_too(stack, tmp_path):
    inputs = {"images": [str(tmp_path / "stack.tif")], "model": "log", "frames": [1, 4]}
    list(find_in_files(FindSettings(), tmp_path / "run", inputs=inputs))
    assert set(read_sites(tmp_path / "run" / "result" / "sites.csv")["frame"]) == {1, 4}


def test_numbers_of_frames():
    assert frame_numbers("0, 2-5,3") == (0, 2, 3, 4, 5)
    for wrong in ("", "-1", "3-", "5-2", "a", "1.5", "0-99999999999"):
        with pytest.raises(SettingsError, match="--frames takes"):
            frame_numbers(wrong)


def test_images_of_different_pixel_sizes_are_told_how_to_share_a_table(stemlearn, refused, tmp_path):
    for name, size in (("a", 0.2), ("b", 0.2008)):
        write_tiff(tmp_path / f"{name}.tif", Micrograph(columns(), size, name))
    asked = ("find", "a.tif", "b.tif", "--model", "log", "--out", "both.csv")
    assert "give a folder, which gets one table for each, or give one --pixel-size for all" in refused(*asked)
    assert stemlearn(*asked, "--pixel-size", "0.2").exit_code == 0
    table = read_sites("both.csv")
    np.testing.assert_allclose(table["y_angstrom"], table["y"] * 0.2, rtol=1e-9)


def test_files_without_a_pixel_size_are_counted_and_named(stemlearn, refused, tmp_path):
    for name, size in (("a", 0.2), ("b", None), ("c", None)):
        write_tiff(tmp_path / f"{name}.tif", Micrograph(columns(), size, name))
    sentence = refused("find", tmp_path, "--model", "log", "--out", "tables")
    assert "2 of 3 images do not tell their pixel size: b.tif, c.tif; " in sentence
    assert sentence.endswith("or give it in angstrom with --pixel-size.")
    assert "b.tif does not tell its pixel size" in refused("find", "a.tif", "b.tif", "--model", "log", "--out", "x")
    assert stemlearn("find", tmp_path, "--model", "log", "--pixel-size", "0.2", "--out", "all").exit_code == 0


def test_a_folder_of_score_maps_is_called_so(stemlearn, refused, stack, tmp_path):
    assert stemlearn("find", "stack.tif", "--model", "log", "--maps", "--out", "maps").exit_code == 0
    assert "only score maps of an earlier search in" in refused("find", "maps", "--model", "log")
    (tmp_path / "empty").mkdir()
    assert "There are no micrographs in" in refused("find", "empty", "--model", "log")


def test_the_sidecar_tells_the_units_of_further_columns(tmp_path):
    extra = {"amplitude": [12.0], "contrast": [0.3], "mine": [1.0]}
    write_sites(tmp_path / "a.csv", make_sites([1.0], [2.0], "W", pixel_size=0.2, extra=extra))
    units = read_sidecar(tmp_path / "a.csv").units
    assert units["amplitude"] == "grey levels of the image"
    assert units["contrast"] == "standard deviations of the frame"
    assert "mine" not in units
    assert "sigma_angstrom" not in units
