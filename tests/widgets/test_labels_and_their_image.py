"""Labels stay on the pixels that they were made on, wherever the image goes, and end with its values."""

from __future__ import annotations

import numpy as np
import pytest
from hands import click, predictions
from sites_and_images import add_stack, lattice_stack

from napari_stemlearn.widgets.layers import about, our_layers, placement, update_sites

UNITS = ("pixel", "angstrom", "angstrom")
TURN = np.array([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]])
AFFINE = np.block([[TURN, np.array([[0], [3.0], [-1.0]])], [np.zeros((1, 3)), np.ones((1, 1))]])


def on_its_pixels(layer, image):
    return all(np.allclose(one, other) for one, other in zip(placement(layer), placement(image), strict=True))


def close_image_with_two_labels(dock):
    """Label two columns and take the image away; the layer of the labels stays."""
    click(dock, 24, 24)
    click(dock, 40, 40)
    session = dock.session
    dock.viewer.layers.remove(session.image)
    return session.layer, session.path, session.labels.sites


def test_an_image_that_comes_back_with_another_pixel_size_finds_its_labels_on_their_pixels(at_work, qtbot):
    layer, path, sites = close_image_with_two_labels(at_work)
    written = path.read_text(encoding="utf-8")
    image = at_work.viewer.add_image(lattice_stack()[0], name="again", scale=(1, 0.3, 0.3), units=UNITS)
    image.translate = (0, 5, -2)
    at_work.start_button.button.click()
    session = at_work.session
    assert session.path == path
    assert session.layer is layer
    np.testing.assert_array_equal(session.labels.sites[["y", "x"]], sites[["y", "x"]])
    np.testing.assert_allclose(session.labels.sites["y_angstrom"], 0.3 * sites["y"])
    assert on_its_pixels(layer, image)
    assert about(layer)["source_id"] == str(image.unique_id)
    # nothing changed, so nothing is written
    assert not session.unsaved
    qtbot.wait(1300)
    assert path.read_text(encoding="utf-8") == written
    layer.add([[0, 5, 5]])
    np.testing.assert_allclose(session.labels.sites["y"], [*sites["y"], 5])


def test_what_was_changed_in_the_layer_meanwhile_is_taken_up_and_saved(at_work, qtbot):
    layer, path, _sites = close_image_with_two_labels(at_work)
    layer.add([[1, 56, 56]])
    add_stack(at_work.viewer, lattice_stack()[0])
    at_work.start_button.button.click()
    assert len(at_work.session.labels.sites) == 3
    qtbot.waitUntil(lambda: not at_work.session.unsaved, timeout=20000)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 4


def test_labels_outside_the_image_are_refused_with_a_sentence(at_work):
    layer, path, _sites = close_image_with_two_labels(at_work)
    written = path.read_text(encoding="utf-8")
    layer.data = np.add(layer.data, [0, 70, 0])
    add_stack(at_work.viewer, lattice_stack()[0])
    at_work.start_button.button.click()
    assert at_work.session is None
    assert "1 of 2 labels of layer 'stack labels' lie outside the image" in at_work.error.text()
    assert path.read_text(encoding="utf-8") == written
    at_work.viewer.layers.remove(layer)
    at_work.start_button.button.click()
    assert len(at_work.session.labels.sites) == 2
    assert not at_work.error.text()


@pytest.mark.parametrize(
    ("how", "value"), [("translate", (0, 5, -3)), ("rotate", TURN), ("scale", (1, 0.5, 0.5)), ("affine", AFFINE)]
)
def test_an_image_that_is_moved_takes_its_labels_along(at_work, how, value):
    dock, image = at_work, at_work.session.image
    click(dock, 24, 24)
    click(dock, 40, 40)
    before = dock.session.labels.sites[["y", "x"]].to_numpy()
    setattr(image, how, value)
    assert on_its_pixels(dock.session.layer, image)
    # the pixels under the click are the ones that are looked at
    click(dock, 57, 55)
    np.testing.assert_allclose(dock.session.labels.sites[["y", "x"]].iloc[2], [56, 56], atol=0.3)
    dock.session.layer.add([[0, 70, 70]])
    dock.session.layer.add([[0, 75, 70]])
    after = dock.session.labels.sites[["y", "x"]].to_numpy()
    np.testing.assert_array_equal(after[:2], before)
    np.testing.assert_allclose(after[3:], [[70, 70], [75, 70]])


def test_an_image_that_is_moved_takes_its_predictions_along(at_work):
    dock, image = at_work, at_work.session.image
    predictions(dock.viewer, image)
    image.translate = (0, 4, 4)
    dock.review.restart()
    dock.review.step(1)
    dock.review.accept()
    np.testing.assert_allclose(dock.session.labels.sites[["y", "x"]], [[24, 24]])


def test_labels_cannot_be_moved_off_their_image(at_work):
    click(at_work, 24, 24)
    layer, image = at_work.session.layer, at_work.session.image
    before = at_work.session.labels.sites
    layer.mode = "transform"
    layer.affine = AFFINE
    assert on_its_pixels(layer, image)
    assert at_work.session.labels.sites is before
    assert "stay on the pixels" in at_work.message.text()


def test_an_image_whose_pixels_are_no_longer_square_is_not_labelled(at_work):
    image = at_work.session.image
    image.scale = (1, 0.2, 0.3)
    layer = at_work.session.layer
    assert on_its_pixels(layer, image)
    event = type("Press", (), {"button": 1, "modifiers": (), "pos": (5, 5), "position": (0, 5, 5)})
    assert list(at_work.session._press(layer, event)) == []
    assert at_work.start_button.reason.text()
    image.scale = (1, 0.2, 0.2)
    click(at_work, 24, 24)
    assert len(at_work.session.labels.sites) == 1


def test_other_values_in_the_image_end_the_labelling(at_work):
    dock, image, old = at_work, at_work.session.image, at_work.session
    click(dock, 24, 24)
    image.data = lattice_stack(seed=7)[0]
    assert dock.session is None
    assert not dock.sessions
    assert "The image has changed" in dock.error.text()
    assert "Start labelling again" in dock.error.text()
    assert len(old.path.read_text(encoding="utf-8").splitlines()) == 2
    assert not old.layer.visible
    assert old.layer.mouse_drag_callbacks == []
    dock.start_button.button.click()
    assert dock.session.path.parent != old.path.parent
    assert len(dock.session.labels.sites) == 0
    assert not dock.error.text()
    # back to the values of before: their labels are there
    click(dock, 40, 40)
    image.data = lattice_stack()[0]
    assert dock.sets.currentText() == "labels (1 saved)"
    dock.start_button.button.click()
    assert dock.session.path == old.path
    assert old.layer.visible
    np.testing.assert_allclose(dock.session.labels.sites[["y", "x"]], [[24, 24]], atol=0.3)


def test_the_same_values_in_the_image_go_on(at_work):
    session = at_work.session
    predictions(at_work.viewer, session.image)
    click(at_work, 40, 40)
    session.image.data = lattice_stack()[0]
    assert at_work.session is session
    assert at_work.score.why_not() is None
    assert at_work.review.n_open == 3
    at_work.undo()
    click(at_work, 26, 22)
    np.testing.assert_allclose(session.labels.sites[["y", "x"]], [[24, 24]], atol=0.3)


def test_sites_of_an_image_that_was_replaced_are_not_scored(at_work, qtbot):
    dock, image = at_work, at_work.session.image
    found = predictions(dock.viewer, image)
    click(dock, 24, 24)
    dock.score.score_now()
    qtbot.waitUntil(lambda: dock.score.scores is not None, timeout=20000)
    dock.score.show_matches()
    (matches,) = our_layers(dock.viewer, "matches")
    image.data = lattice_stack(seed=7)[0]
    dock.start_button.button.click()
    click(dock, 24, 24)
    dock.score.score_now()
    assert dock.score.hint.text() == "The image has changed since these sites were found: search again."
    assert dock.score.scores is None
    assert not matches.visible
    # a new search fills the layer with the sites of the new image
    update_sites(found, dock.session.labels.sites.assign(origin="predicted", score=0.9))
    assert dock.score.why_not() is None
    dock.score.score_now()
    qtbot.waitUntil(lambda: dock.score.scores is not None, timeout=20000)
    assert matches.visible


def test_old_labels_are_not_scored_against_the_new_image(at_work):
    dock, image, layer = at_work, at_work.session.image, at_work.session.layer
    click(dock, 24, 24)
    image.data = lattice_stack(seed=7)[0]
    predictions(dock.viewer, image)
    dock.score.truth.choose(layer)
    assert dock.score.why_not() == "The image has changed since these labels were made: label it anew."


def test_predictions_of_an_image_that_was_replaced_are_not_reviewed(at_work, qtbot):
    dock, image = at_work, at_work.session.image
    found = predictions(dock.viewer, image)
    assert dock.review.n_open == 3
    image.data = lattice_stack(seed=7)[0]
    dock.start_button.button.click()
    assert dock.review.n_open == 0
    assert "search again" in dock.review.where.text()
    assert not dock.review.promote_button.button.isEnabled()
    sites = dock.session.labels
    sites.promote(dock.review.session.labels.sites)
    update_sites(found, lattice_stack()[1].iloc[:5].assign(origin="predicted", score=0.9))
    qtbot.waitUntil(lambda: dock.review.n_open == 5, timeout=5000)
    assert dock.review.promote_button.button.isEnabled()
