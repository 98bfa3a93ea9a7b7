"""Sites that are no brighter than what lies around them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemlearn.finding import FindSettings, find
from napari_stemlearn.finding.frame_reader import open_frame
from napari_stemlearn.finding.site_contrast import site_contrast, unseen_note
from napari_stemlearn.micrograph import Micrograph

ALL = {"settings": {"targets": {"classes": {"column": ["all columns"]}}}}


@pytest.mark.parametrize("pixel_size", [0.1, 0.2, 0.4])
def test_contrast_is_positive_on_columns_and_negative_between_them(make_image, pixel_size, monkeypatch):
    spacing = 3.9 / pixel_size
    index = np.stack(np.meshgrid(np.arange(12), np.arange(12)), -1).reshape(-1, 2) + 0.5
    shape = (int(12 * spacing), int(12 * spacing))
    image = 50 + 1000 * make_image(shape, index * spacing, 0.45 / pixel_size)
    reader = open_frame(Micrograph(image, pixel_size), 0)
    seen = site_contrast(reader, *(index * spacing).T, pixel_size)
    # half a spacing along one axis: where oxygen is in a perovskite
    unseen = site_contrast(reader, *((index[index[:, 0] < 11] + [0.5, 0]) * spacing).T, pixel_size)
    assert seen.min() > 0.2
    assert (unseen < 0).mean() > 0.9
    monkeypatch.setattr("napari_stemlearn.finding.site_contrast.BLOCK", 40)
    np.testing.assert_allclose(site_contrast(reader, *(index * spacing).T, pixel_size), seen, atol=1e-5)


def test_contrast_is_in_the_table_of_networks_for_all_columns(make_blob_model, make_image):
    points = np.array([[30.0, 30.0], [30.0, 60.0]])
    micrograph = Micrograph(make_image((60, 90), points, 2.0), 0.2)
    found = find(micrograph, make_blob_model(**ALL), FindSettings(threshold=0.3))
    assert (found.sites["contrast"] > 0).all()
    assert not any("not brighter" in note for note in found.notes)
    assert "contrast" not in find(micrograph, make_blob_model(), FindSettings(threshold=0.3)).sites


def test_sites_that_are_not_seen_are_counted(make_blob_model, make_image, make_points):
    points = make_points((200, 200), 20, np.random.default_rng(0))
    image = 1 - make_image((200, 200), points, 2.0)
    # a network that answers to what is dark
    model = make_blob_model(**ALL)
    model.network.kernel.mul_(-1)
    found = find(Micrograph(image, 0.2), model, FindSettings(threshold=0.3))
    unseen = int((found.sites["contrast"] <= 0).sum())
    assert unseen > 50
    assert any(f"Frame 0: {unseen} of {len(found.sites)} sites lie where" in note for note in found.notes)


def test_a_few_sites_that_are_not_seen_are_not_worth_a_sentence():
    contrast = np.ones(200)
    contrast[:19] = -1
    assert unseen_note(contrast, 0) == ()
    contrast[:20] = -1
    assert unseen_note(contrast, 3)[0].startswith("Frame 3: 20 of 200 sites lie")
    assert unseen_note(contrast[:25][11:], 0) == ()
    assert unseen_note(np.empty(0), 0) == ()
