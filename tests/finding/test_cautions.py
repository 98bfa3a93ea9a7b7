"""What is said of settings, border and kind of image before anything is found."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemlearn.finding import FindSettings, find, find_frames
from napari_stemlearn.finding.unused_settings import unused_settings_note
from napari_stemlearn.micrograph import Micrograph


def micrograph(**provenance):
    return Micrograph(np.random.default_rng(0).normal(100, 10, (60, 80)).astype(np.float32), 0.2, "noise", provenance)


@pytest.mark.parametrize(
    ("is_network", "changed", "named"),
    [
        (True, {}, []),
        (True, {"polarity": "dark", "column_radius": 0.5}, ["polarity", "column_radius"]),
        (True, {"refine_max_shift": 0.1}, ["refine_max_shift"]),
        (True, {"refine": "image", "refine_max_shift": 0.1, "polarity": "dark", "column_radius": 0.5}, []),
        (True, {"test_time_augmentation": True, "precision": "bfloat16", "tile": 256, "border": 5}, []),
        (False, {"test_time_augmentation": True, "precision": "float16"}, ["test_time_augmentation", "precision"]),
        (False, {"polarity": "dark", "column_radius": 0.5, "refine_max_shift": 0.1, "tile": 256}, []),
        (False, {"refine": "map", "refine_max_shift": 0.1, "polarity": "dark"}, ["refine_max_shift"]),
    ],
)
def test_changed_settings_without_effect_are_named(is_network, changed, named):
    notes = unused_settings_note(FindSettings(**changed), "x", is_network=is_network)
    assert len(notes) == bool(named)
    every = ("polarity", "column_radius", "refine_max_shift", "test_time_augmentation", "precision", "tile", "border")
    assert [name for name in every if notes and name in notes[0]] == sorted(named, key=every.index)


def test_a_search_says_which_settings_had_no_effect(make_blob_model):
    (note,) = [n for n in find(micrograph(), make_blob_model(), FindSettings(polarity="dark")).notes if "effect" in n]
    assert note == "Without effect: 'blobs' does not use polarity without refine=image."
    assert any("augmentation" in n for n in find(micrograph(), "log", FindSettings(test_time_augmentation=True)).notes)


def test_a_border_that_leaves_nothing_is_said():
    assert any(
        "leaves nothing of 60 by 80" in note for note in find(micrograph(), settings=FindSettings(border=30)).notes
    )
    assert not any("leaves nothing" in note for note in find(micrograph(), settings=FindSettings(border=29)).notes)


def test_tem_images_are_said_to_be_none_of_a_scan(make_blob_model):
    tem = micrograph(acquisition={"mode": "TEM"})
    (first,) = find_frames(tem, make_blob_model())
    assert any("this is a TEM image" in note and "'blobs' was trained on STEM" in note for note in first.notes)
    assert any("need not be columns" in note for note in find(tem).notes)
    for other in (micrograph(acquisition={"mode": "STEM"}), micrograph()):
        assert not any("TEM image" in note for note in find(other, make_blob_model()).notes)


def test_stacks_with_thin_frames_are_said_to_be_read_frames_first():
    data = np.random.default_rng(0).normal(100, 10, (64, 96, 5)).astype(np.float32)
    notes = find(Micrograph(data, 0.2), frames=[0]).notes
    assert any("Read as 64 frames of 96 by 5 pixels; frames come first." in note for note in notes)
    for shape in ((5, 96, 64), (64, 20, 5), (3, 96, 5)):
        assert not any("Read as" in note for note in find(Micrograph(np.resize(data, shape), 0.2), frames=[0]).notes)
