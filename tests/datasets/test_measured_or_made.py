"""Whether the images of a data set were measured or made, and what each said of itself before it was stored."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data_folder import data_folder
from napari_stemlearn.datasets import DataSet, create_data_set, open_data_set
from napari_stemlearn.datasets.store import IMAGES, TABLE
from napari_stemlearn.errors import FormatError, MicrographError
from napari_stemlearn.formats import read_micrograph, read_provenance, read_sites, write_tiff
from napari_stemlearn.marking import synthetic_provenance
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import make_sites

SHAPE = (20, 24)


def sites() -> pd.DataFrame:
    return make_sites([5.0, 9.0], [5.0, 11.0], "W", pixel_size=0.2)


def micrograph(provenance: dict[str, Any] | None = None, seed: int = 0) -> Micrograph:
    pixels = np.random.default_rng(seed).normal(100, 10, SHAPE).astype(np.float32)
    return Micrograph(pixels, 0.2, "scan", provenance or {})


MEASURED: dict[str, Any] = {
    "source_file": "scan.dm4",
    "source": "a laboratory",
    "acquisition": {"beam_energy_kev": np.float32(80.0), "time": float("nan")},
}


def made_set(tmp_path: Path, synthetic: bool) -> DataSet:
    return create_data_set(tmp_path / f"{synthetic}.stemset", shape=SHAPE, pixel_size=0.2, synthetic=synthetic)


def test_a_set_says_whether_its_images_are_synthetic(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="synthetic"):
        create_data_set(tmp_path / "any.stemset", shape=SHAPE, pixel_size=0.2)  # type: ignore[call-arg]
    for synthetic in (True, False):
        data_set = made_set(tmp_path, synthetic)
        data_set.add(micrograph().frame(0), sites())
        assert data_set.info()["synthetic"] is synthetic
        assert data_set.image(0).provenance["synthetic"] is synthetic


@pytest.mark.parametrize(
    "provenance",
    [synthetic_provenance("day"), {"synthetic": "yes"}, {"statement": synthetic_provenance()["statement"]}],
)
def test_a_synthetic_image_is_kept_out_of_measured_ones(tmp_path: Path, provenance: dict[str, Any]) -> None:
    write_tiff(tmp_path / "made.tif", micrograph(provenance))
    data_set = made_set(tmp_path, synthetic=False)
    for image in (micrograph(provenance), read_micrograph(tmp_path / "made.tif")):
        with pytest.raises(MicrographError, match=r"^'(scan|made)' is synthetic, and .* holds measured images alone; "):
            data_set.add(image, sites())
    assert len(data_set) == 0


@pytest.mark.parametrize("provenance", [MEASURED, {"synthetic": False}])
def test_a_measured_image_is_kept_out_of_synthetic_ones(tmp_path: Path, provenance: dict[str, Any]) -> None:
    data_set = made_set(tmp_path, synthetic=True)
    with pytest.raises(MicrographError, match=r"^'scan' does not say that it is synthetic, and .* synthetic=False"):
        data_set.add(micrograph(provenance), sites())
    assert len(data_set) == 0


def test_a_measured_image_keeps_its_provenance(tmp_path: Path) -> None:
    data_set = made_set(tmp_path, synthetic=False)
    data_set.add(micrograph(MEASURED), sites(), {"session": "Monday"})
    data_set.add(micrograph(seed=1), sites(), {"session": "Tuesday"})
    files = open_data_set(data_set.path).export(tmp_path / "files")
    for found in (open_data_set(data_set.path).image(0), read_micrograph(files[0])):
        said = found.provenance
        assert said["synthetic"] is False
        assert "statement" not in said
        assert (said["source"], said["source_file"]) == ("a laboratory", "scan.dm4")
        assert said["acquisition"] == {"beam_energy_kev": 80.0, "time": None}
        assert (said["data_set"], said["drawn"]) == ("False", {"session": "Monday"})
    assert "source" not in data_set.image(1).provenance
    report = read_provenance(files[0])
    assert not report.synthetic
    assert all(not mark.synthetic for mark in report.marks)


def test_a_synthetic_image_keeps_what_it_was_made_with(tmp_path: Path) -> None:
    own = synthetic_provenance("day", watermark=True, seed=7, drawn={"dose": 1e4, "tilt": 2.0}, data_set="before")
    data_set = made_set(tmp_path, synthetic=True)
    data_set.add(micrograph(own), sites(), {"dose": 2e4})
    said = data_set.image(0).provenance
    assert said["synthetic"] is True
    assert "generator 'day'" in said["statement"]
    assert (said["generator"], said["seed"]) == ("day", 7)
    assert said["marks"] == {"watermark": True, "visible_mark": False}
    assert (said["data_set"], said["image"]) == ("True", 0)
    assert said["drawn"] == {"dose": 2e4, "tilt": 2.0}
    assert read_provenance(data_set.export(tmp_path / "files")[0]).synthetic


def test_a_measurement_as_the_page_stores_it(tmp_path: Path) -> None:
    measured = read_micrograph(data_folder("pt-single-atoms", "ptnc_021.tif"))
    labels = read_sites(data_folder("pt-single-atoms", "ptnc_021_labels.csv"), pixel_size=measured.pixel_size)
    data_set = create_data_set(
        tmp_path / "mine.stemset", shape=measured.shape, pixel_size=measured.require_pixel_size(), synthetic=False
    )
    data_set.add(measured, labels, {"session": "Monday"})
    (file,) = data_set.export(tmp_path / "files")
    again = read_micrograph(file)
    assert measured.provenance.keys() <= again.provenance.keys()
    assert again.provenance["source"] == measured.provenance["source"]
    assert again.provenance["source_file"] == "ptnc_021.tif"
    assert not read_provenance(file).synthetic
    np.testing.assert_array_equal(again.data, measured.data.astype(np.float32))


def tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path / TABLE)
    try:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    finally:
        connection.close()


def test_sets_without_provenance_of_their_images(tmp_path: Path) -> None:
    """As sets of simulations are, and those of earlier versions: they open, and can be added to."""
    data_set = made_set(tmp_path, synthetic=False)
    data_set.add(micrograph().frame(0), sites(), {"dose": 1.0})
    assert tables(data_set.path) == {"images", "parameters", "counts", "sites"}
    assert list(data_set.image(0).provenance) == ["data_set", "image", "drawn", "versions", "synthetic"]
    again = open_data_set(data_set.path)
    again.add(micrograph(MEASURED), sites())
    assert again.image(1).provenance["source"] == "a laboratory"
    # the one that was opened before reads it as well
    assert data_set.image(1).provenance["source"] == "a laboratory"
    assert "source" not in data_set.image(0).provenance


def test_an_image_that_is_made_again_loses_what_the_old_one_said(tmp_path: Path) -> None:
    data_set = made_set(tmp_path, synthetic=False)
    data_set.add(micrograph(MEASURED), sites())
    (data_set.path / IMAGES / "0.0.0").unlink()
    assert data_set.mend() == [0]
    data_set.add(micrograph().frame(0), sites(), index=0)
    assert "source" not in data_set.image(0).provenance


def test_nothing_of_an_image_that_fails_stays(tmp_path: Path) -> None:
    data_set = made_set(tmp_path, synthetic=False)
    with pytest.raises(FormatError, match="same name"):
        data_set.add(micrograph(MEASURED), sites(), {"Dose": 1, "dose": 2})
    data_set.add(micrograph().frame(0), sites())
    assert "source" not in data_set.image(0).provenance


@pytest.mark.parametrize("words", ["{", "[1]"])
def test_damaged_provenance_is_one_sentence(tmp_path: Path, words: str) -> None:
    data_set = made_set(tmp_path, synthetic=False)
    data_set.add(micrograph(MEASURED), sites())
    connection = sqlite3.connect(data_set.path / TABLE)
    with connection:
        connection.execute("UPDATE provenance SET record = ?", (words,))
    connection.close()
    with pytest.raises(FormatError, match=r"^The provenance of image 0 of .* is damaged\.$"):
        data_set.image(0)
