"""Labels on disk come back whole, under any name of the image, and damage is said in a sentence."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from napari_stemlearn.errors import FormatError, StemlearnError
from napari_stemlearn.labelling.hand_labels import HandLabels
from napari_stemlearn.labelling.label_store import (
    belongs_to,
    fingerprint,
    folder_for,
    free_name,
    load_set,
    review_path,
    save_set,
    saved_sets,
    slug,
)
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import empty_sites


@pytest.fixture
def micrograph():
    values = np.random.default_rng(0).normal(size=(3, 96, 96)).astype(np.float32)
    return Micrograph(values, 0.2, "day a/stack.tif")


def labelled():
    labels = HandLabels(pixel_size=0.2, n_frames=3)
    labels.add(0, 10.25, 20.5, "vacancy1")
    labels.add(2, 30, 40, "Se2", origin="edited", score=0.75)
    labels.reject(pd.Series({"frame": 1, "y": 5.0, "x": 6.0, "class": "vacancy1", "score": 0.6}))
    labels.reject(pd.Series({"frame": 1, "y": 50.0, "x": 6.0, "class": "vacancy1", "score": np.nan}))
    labels.set_done(2, True)
    return labels


def test_everything_comes_back(tmp_path, micrograph):
    folder = folder_for(tmp_path / "labels", micrograph)
    labels = labelled()
    save_set(folder / "labels.csv", labels.state, pixel_size=0.2, classes=["vacancy1", "Se2", "none yet"])
    assert [(entry.name, entry.n_sites) for entry in saved_sets(folder)] == [("labels", 2)]
    loaded = load_set(folder / "labels.csv", pixel_size=0.2)
    pd.testing.assert_frame_equal(loaded.state.sites, labels.sites, check_dtype=False)
    pd.testing.assert_frame_equal(loaded.state.rejected, labels.rejected, check_dtype=False)
    assert loaded.state.done == {2}
    assert loaded.classes == ["vacancy1", "Se2", "none yet"]


def test_a_table_without_review_file_is_read_as_it_is(tmp_path):
    path = tmp_path / "labels.csv"
    save_set(path, labelled().state, pixel_size=0.2, classes=[])
    review_path(path).unlink()
    loaded = load_set(path, pixel_size=0.2)
    assert len(loaded.state.sites) == 2
    assert loaded.classes == ["vacancy1", "Se2"]
    assert loaded.state.done == frozenset()


def test_an_image_is_known_by_its_values_not_by_its_name(tmp_path, micrograph):
    labels = tmp_path / "labels"
    folder = folder_for(labels, micrograph)
    folder.mkdir(parents=True)
    renamed = Micrograph(micrograph.data.copy(), None, "other name")
    assert folder_for(labels, renamed) == folder
    changed = micrograph.data.copy()
    changed[0, ::7, ::7] += 1
    assert folder_for(labels, Micrograph(changed, 0.2, "other name")) != folder
    assert fingerprint(micrograph) != fingerprint(Micrograph(micrograph.data[:2], 0.2))


@pytest.mark.parametrize("dtype", ["u2", "f4", "u1"])
def test_the_order_of_bytes_makes_no_other_image(tmp_path, micrograph, dtype):
    labels = tmp_path / "labels"
    little, big = (
        Micrograph(micrograph.data.astype(np.dtype(dtype).newbyteorder(order)), 0.2, "scan") for order in "<>"
    )
    assert fingerprint(little) == fingerprint(big)
    folder = folder_for(labels, big)
    folder.mkdir(parents=True)
    assert folder_for(labels, little) == folder
    assert belongs_to(folder / "labels.csv", big)
    assert belongs_to(folder / "labels.csv", little)


def test_labels_under_the_older_mark_of_a_mapped_image_are_found(tmp_path, micrograph):
    labels, data = tmp_path / "labels", micrograph.data.astype("u2")
    little, big = (Micrograph(data.astype(f"{order}u2"), 0.2, "scan") for order in "<>")
    digest = hashlib.sha256(f"{data.shape} >u2".encode())
    for index in np.unique(np.linspace(0, big.n_frames - 1, 6).astype(int)):
        digest.update(big.frame(int(index)).tobytes())
    older = labels / f"scan-{digest.hexdigest()[:10]}"
    older.mkdir(parents=True)
    for image in (little, big):
        assert folder_for(labels, image) == older
        assert belongs_to(older / "labels.csv", image)
    newer = labels / f"scan-{fingerprint(little)}"
    newer.mkdir()
    # whoever has both goes on with what was there
    assert (folder_for(labels, little), folder_for(labels, big)) == (newer, older)


def test_names_are_free_and_fit_for_files(tmp_path):
    assert free_name(tmp_path, "labels", set()) == "labels"
    save_set(tmp_path / "labels.csv", labelled().state, pixel_size=0.2, classes=[])
    assert free_name(tmp_path, "labels", {"labels 2"}) == "labels 3"
    assert slug("a/b: c?.tif") == "a_b_c_.tif"
    assert slug("///") == "image"


def test_damage_and_full_disks_are_sentences_and_keep_the_older_file(tmp_path):
    path = tmp_path / "labels.csv"
    save_set(path, labelled().state, pixel_size=0.2, classes=[])
    review_path(path).write_text("{", encoding="utf-8")
    with pytest.raises(StemlearnError, match="damaged"):
        load_set(path, pixel_size=0.2)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(FormatError, match="cannot be made"):
        save_set(tmp_path / "file" / "labels.csv", labelled().state, pixel_size=0.2, classes=[])
    assert len(load_set_sites(path)) == 2


def load_set_sites(path):
    from napari_stemlearn.formats import read_sites

    return read_sites(path)


def test_a_table_that_cannot_be_written_leaves_all_of_the_older_set(tmp_path, monkeypatch):
    from napari_stemlearn import formats

    path = tmp_path / "labels.csv"
    save_set(path, labelled().state, pixel_size=0.2, classes=[])

    def refused(*_arguments, **_options):
        raise FormatError("the disk is full")

    monkeypatch.setattr(formats, "write_sites", refused)
    with pytest.raises(FormatError):
        save_set(path, HandLabels(pixel_size=0.2, n_frames=3).state, pixel_size=0.2, classes=[])
    loaded = load_set(path, pixel_size=0.2)
    assert (len(loaded.state.sites), len(loaded.state.rejected), loaded.state.done) == (2, 2, {2})


def test_half_written_sets_are_not_offered(tmp_path):
    save_set(tmp_path / "labels.csv", labelled().state, pixel_size=0.2, classes=[])
    (tmp_path / ".labels-0123456789ab.csv").write_text("frame,y,x,class\n")
    assert [entry.name for entry in saved_sets(tmp_path)] == ["labels"]


def test_an_empty_set_can_be_kept(tmp_path):
    labels = HandLabels(pixel_size=0.2)
    save_set(tmp_path / "labels.csv", labels.state, pixel_size=0.2, classes=["vacancy1"])
    loaded = load_set(tmp_path / "labels.csv", pixel_size=0.2)
    assert len(loaded.state.sites) == len(empty_sites()) == 0
    assert loaded.classes == ["vacancy1"]
