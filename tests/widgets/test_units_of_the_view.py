"""Images in nm beside one in angstrom: the viewer shows both in angstrom, and every place is still the right one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hands import predictions
from napari.components import ViewerModel
from sites_and_images import lattice_stack

from napari_stemlearn.widgets.label_dock import LabelDock
from napari_stemlearn.widgets.layers import (
    current_frame,
    go_to_frame,
    pixel_in_view,
    place_in_view,
    position_from_view,
)


@pytest.fixture
def dock(qtbot):
    """Labels at work on a stack in nm, its frames in ms; the viewer shows angstrom and microseconds."""
    viewer = ViewerModel()
    dock = LabelDock(viewer)
    qtbot.addWidget(dock)
    viewer.add_image(lattice_stack()[0], name="nm", scale=(1, 0.02, 0.02), units=("ms", "nm", "nm"))
    dock.start_button.button.click()
    viewer.add_image(np.zeros((2, 50, 50)), scale=(100, 0.2, 0.2), units=("us", "angstrom", "angstrom"))
    assert [str(unit) for unit in viewer.layers.units] == ["microsecond", "angstrom", "angstrom"]
    dock.image.choose(dock.sessions[0].image)
    return dock


def press_at(dock, place, button=1):
    """Press and release at a place of the viewer, as the canvas tells it."""
    event = SimpleNamespace(type="mouse_press", button=button, modifiers=(), pos=np.array([50, 50]), position=place)
    steps = dock.session._press(dock.session.layer, event)
    next(steps)
    event.type = "mouse_release"
    next(steps, None)


def test_places_and_positions_are_each_other_s_way_back(dock):
    image = dock.session.image
    image.translate = (0, 0.3, -0.2)
    place = place_in_view(dock.viewer, image, (2, 10, 20))
    np.testing.assert_allclose(place, (2000, 10 * 0.2 + 3, 20 * 0.2 - 2))
    np.testing.assert_allclose(position_from_view(dock.viewer, image, place), (2, 10, 20))
    assert pixel_in_view(dock.viewer, image) == pytest.approx(0.2)


def test_frames_are_found_in_the_unit_of_the_view(dock):
    viewer, image = dock.viewer, dock.session.image
    go_to_frame(viewer, image, 2)
    assert viewer.dims.point[0] == 2000
    assert current_frame(viewer, image) == 2
    viewer.dims.set_point(0, 1000)
    assert dock.session.frame == 1


def test_a_click_labels_the_pixel_under_it_and_takes_it_away_again(dock):
    dock.snap_box.setChecked(False)
    go_to_frame(dock.viewer, dock.session.image, 1)
    press_at(dock, (1000, 12 * 0.2, 20 * 0.2))
    np.testing.assert_allclose(dock.session.labels.sites[["frame", "y", "x"]], [[1, 12, 20]])
    press_at(dock, (1000, 12 * 0.2, 20 * 0.2), button=2)
    assert len(dock.session.labels.sites) == 0


def test_delete_removes_the_label_under_the_cursor(dock):
    dock.session.click(24, 24)
    dock.viewer.layers.selection.active = dock.session.layer
    dock.viewer.cursor.position = (0, 24 * 0.2, 24 * 0.2)
    dock.session.remove_selected()
    assert len(dock.session.labels.sites) == 0


def test_review_goes_to_the_prediction(dock):
    predictions(dock.viewer, dock.session.image)
    dock.viewer.camera.zoom = 1.0
    dock.review.step(1)
    site = dock.review.current
    np.testing.assert_allclose(dock.viewer.camera.center[1:], (site["y"] * 0.2, site["x"] * 0.2))
    assert dock.viewer.camera.zoom == pytest.approx(14.0)
    assert dock.session.frame == site["frame"]
