"""Columns that look dark, and lattices that are not those of a model: simulated lattices and measured images."""

from __future__ import annotations

import numpy as np
import pytest

from data_folder import data_folder
from napari_stemlearn.finding import FindSettings, find
from napari_stemlearn.finding.bragg_spots import bragg_spots
from napari_stemlearn.finding.first_look import (
    columns_look_dark,
    first_look,
    layer_spacings,
    looked_at,
    spacing_note,
    widest_spacing,
)
from napari_stemlearn.finding.frame_reader import open_frame
from napari_stemlearn.formats import read_micrograph
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.models.store import find_model, read_card


def lattice(constant, pixel_size=0.2, side=60.0, angle=90.0, basis=((0, 0, 1.0),), sigma=0.45, noise=0.2, seed=0):
    """Round columns on a lattice turned by 7 degrees; lengths in angstrom, basis (u, v, height)."""
    turn = np.radians([7.0, 7.0 + angle])
    vectors = constant * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    y, x = np.mgrid[: int(side / pixel_size), : int(side / pixel_size)] * pixel_size
    fraction = np.einsum("yxi,ij->yxj", np.stack([y, x], axis=-1), np.linalg.inv(vectors))
    image = np.zeros(y.shape)
    for u, v, height in basis:
        rest = fraction - [u, v]
        rest -= np.rint(rest)
        for step in np.ndindex(3, 3):
            offset = (rest + np.array(step) - 1) @ vectors
            image += height * np.exp(-0.5 * (offset**2).sum(axis=-1) / sigma**2)
    return image + np.random.default_rng(seed).normal(0, noise, image.shape)


HONEYCOMB = ((0, 0, 1.0), (1 / 3, 1 / 3, 1.0))


def test_dark_columns_are_told_from_bright_ones_and_from_holes():
    square = lattice(3.9)
    assert not columns_look_dark(square, 0.2)
    assert columns_look_dark(-square, 0.2)
    # in an unsharp image of graphene the holes are stronger than the atoms, but half as many
    graphene = lattice(2.461, 0.1, 40, 60, HONEYCOMB, sigma=0.6, noise=0.1)
    assert not columns_look_dark(graphene, 0.1)
    assert not columns_look_dark(np.random.default_rng(0).normal(0, 1, (300, 300)), 0.2)


def test_dark_columns_are_said_once_with_what_helps(make_blob_model):
    stack = Micrograph(np.stack([-lattice(3.9, seed=seed) for seed in range(2)]), 0.2)
    for model, words in (
        ("log", "search with polarity=dark"),
        (make_blob_model(), "search with log and polarity=dark"),
    ):
        notes = find(stack, model).notes
        assert sum("columns look dark" in note for note in notes) == 1
        assert any(words in note for note in notes)
    assert not any("dark" in note for note in find(stack, "log", FindSettings(polarity="dark")).notes)


@pytest.mark.parametrize("pixel_size", [0.05, 0.1, 0.2, 0.35])
def test_the_widest_lattice_lines_are_measured(pixel_size):
    for image, spacing in (
        (lattice(3.9, pixel_size), 3.9),
        (lattice(3.28, pixel_size, angle=60, basis=HONEYCOMB), 2.841),
    ):
        looked, size = looked_at(open_frame(Micrograph(image, pixel_size), 0), pixel_size)
        assert widest_spacing(bragg_spots(looked, size)) == pytest.approx(spacing, rel=0.02)


def test_a_single_line_of_spots_is_no_lattice():
    y = np.mgrid[:300, :300][0]
    streaks = np.sin(2 * np.pi * y * 0.2 / 5) + np.random.default_rng(0).normal(0, 0.1, y.shape)
    assert widest_spacing(bragg_spots(streaks, 0.2)) is None


def test_spacings_of_a_card_are_those_of_its_layers(make_blob_model):
    card = read_card(find_model("tmd-defects") / "card.json")
    low, high = layer_spacings(card)
    assert (low, high) == pytest.approx((3.153 * 0.866, 3.70 * 0.866), rel=0.01)
    # thick crystals among them, and a card that tells nothing
    assert layer_spacings(read_card(find_model("columns") / "card.json")) is None
    assert layer_spacings(make_blob_model().card) is None


@pytest.mark.parametrize("factor", [0.5, 1 / 1.5, 1, 1.5, 2])
def test_a_wrong_pixel_size_is_told_by_the_lattice(factor):
    card = read_card(find_model("tmd-defects") / "card.json")
    image = lattice(3.28, 0.15, 90, 60, HONEYCOMB)
    notes = first_look(open_frame(Micrograph(image, 0.15), 0), 0.15 * factor, FindSettings(), card)
    if factor == 1:
        assert notes == ()
    else:
        (note,) = notes
        assert note.startswith("The lattice lines are ")
        assert "check the pixel size" in note


def test_no_lattice_is_said_of_fields_that_would_show_one():
    card = read_card(find_model("tmd-defects") / "card.json")
    noise = np.random.default_rng(0).normal(0, 1, (200, 200))
    (note,) = first_look(open_frame(Micrograph(noise, 0.2), 0), 0.2, FindSettings(), card)
    assert note.startswith("No lattice was seen")
    assert first_look(open_frame(Micrograph(noise[:100, :100], 0.2), 0), 0.2, FindSettings(), card) == ()
    assert spacing_note(bragg_spots(lattice(3.2), 0.2), (2.7, 3.2), "x") == []


MEASURED = [
    *((f"wse2-v-doped-adf/adf_{number}.tif", "") for number in (1389, 7792)),
    ("wse2-ti-doped-labelled/ti2_adf1.tif", ""),
    ("wse2-ti-doped-labelled/ti25_adf2.tif", ""),
    ("wse2-cr-doped-labelled/cr9_adf2.tif", ""),
    ("wse2-virtual/day_a/stack.tif", ""),
    ("wse2-virtual/day_b/stack.tif", ""),
    ("mos2-haadf/mos2_a.tif", ""),
    ("mos2-se-implanted/mos2_se.tif", ""),
    ("wsse-wse2-haadf/wsse_16.tif", ""),
    ("wsse-wse2-haadf/wsse_9.tif", ""),
    ("srtio3-haadf/sto_001.tif", "lattice lines are 3.9"),
    ("pto-sro-haadf/pto_sro.tif", "lattice lines are 3.6"),
    ("graphene-4dstem-derived/g109_adf.tif", "lattice lines are 2.1"),
    ("pt-single-atoms/ptnc_021.tif", "No lattice was seen"),
    ("perovskite-abf-series/abf_average.tif", "columns look dark"),
    ("perovskite-abf-series/pair_abf.tif", "columns look dark"),
]


@pytest.mark.parametrize(("file", "words"), MEASURED)
def test_measured_images(file, words):
    card = read_card(find_model("tmd-defects") / "card.json")
    micrograph = read_micrograph(data_folder(*file.split("/")))
    notes = first_look(open_frame(micrograph, 0), micrograph.pixel_size, FindSettings(), card)
    assert any(words in note for note in notes) if words else notes == ()
