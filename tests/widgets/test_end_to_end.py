"""From an image to scored defects, by clicks in the real window, with a picture kept."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget
from sites_and_images import PIXEL_SIZE, lattice_stack

from napari_stemlearn.widgets.find_dock import FindDock
from napari_stemlearn.widgets.glyphs import LETTERS
from napari_stemlearn.widgets.label_dock import LabelDock
from napari_stemlearn.widgets.layers import our_layers

WAIT = 180_000

pytestmark = pytest.mark.gui


def settle(qtbot, milliseconds=100):
    qtbot.wait(milliseconds)
    QApplication.processEvents()


def screen_position(viewer, canvas, image, frame_y_x):
    """Where a pixel of the image is on the canvas."""
    world = np.asarray(image.data_to_world(frame_y_x))[-2:]
    centre = np.asarray(viewer.camera.center)[-2:]
    y, x = (world - centre) * viewer.camera.zoom + np.array([canvas.height(), canvas.width()]) / 2
    return QPoint(round(x), round(y))


def canvas_of_the_window():
    """The widget that draws, found by what it is."""
    windows = QApplication.topLevelWidgets()
    return next(
        child for window in windows for child in window.findChildren(QWidget)
        if type(child).__name__ == "CanvasBackendDesktop"
    )  # fmt: skip


def test_an_open_dock_prepares_the_letters_of_the_canvas(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    _widget, dock = viewer.window.add_plugin_dock_widget("napari-stemlearn", "Find")
    qtbot.waitUntil(lambda: hasattr(dock, "_glyphs"), timeout=WAIT)
    font = dock._glyphs.font
    assert font is not None, "napari keeps its font elsewhere now"
    qtbot.waitUntil(lambda: set(LETTERS) <= set(font._glyphs), timeout=WAIT)


def test_open_find_label_and_score(make_napari_viewer_proxy, qtbot, tmp_path):
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1400, 900)
    data, truth = lattice_stack(n_frames=2)
    image = viewer.add_image(data, name="stack")
    # through the menu, as a user does: napari hands the docks a wrapped viewer
    _widget, find = viewer.window.add_plugin_dock_widget("napari-stemlearn", "Find")
    _widget, label = viewer.window.add_plugin_dock_widget("napari-stemlearn", "Label and score", tabify=True)
    find, label = (getattr(dock, "__wrapped__", dock) for dock in (find, label))

    # the pixel size is asked for once, in the dock
    qtbot.keyClicks(find.pixel_size.line, str(PIXEL_SIZE))
    qtbot.mouseClick(find.pixel_size.button, Qt.MouseButton.LeftButton)
    assert image.scale[-1] == PIXEL_SIZE
    assert not label.pixel_size.asks
    viewer.reset_view()

    find.model.choose("log")
    qtbot.mouseClick(find.find_button.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: find.worker is None, timeout=WAIT)
    assert find.error.text() == ""
    (found,) = our_layers(viewer, "predicted")
    assert np.count_nonzero(found.shown) == len(truth)

    # labels: a click on the canvas, a key on the canvas, a right-click
    qtbot.mouseClick(label.start_button.button, Qt.MouseButton.LeftButton)
    viewer.dims.set_point(0, 0)
    settle(qtbot, 300)
    assert label.label_box.isChecked()
    canvas = canvas_of_the_window()
    for y, x in ((26, 23), (40, 41), (57, 56)):
        place = screen_position(viewer, canvas, image, (0, y, x))
        qtbot.mouseMove(canvas, place)
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=place)
    settle(qtbot)
    np.testing.assert_allclose(label.session.layer.data, [[0, 24, 24], [0, 40, 40], [0, 56, 56]], atol=0.4)
    assert set(label.session.layer.features["class"]) == {"column"}
    place = screen_position(viewer, canvas, image, (0, 40, 40))
    qtbot.mouseMove(canvas, place)
    qtbot.mouseClick(canvas, Qt.MouseButton.RightButton, pos=place)
    settle(qtbot)
    assert len(label.session.layer.data) == 2
    canvas.setFocus()
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    settle(qtbot)
    assert len(label.session.layer.data) == 3
    qtbot.keyClick(canvas, Qt.Key.Key_1)
    qtbot.keyClick(canvas, Qt.Key.Key_N)
    qtbot.keyClick(canvas, Qt.Key.Key_A)
    settle(qtbot)
    assert len(label.session.labels.sites) == 4
    assert sorted(label.session.labels.sites["origin"]) == ["edited", "hand", "hand", "hand"]

    # all the others are promoted, and the score follows
    qtbot.mouseClick(label.review.promote_button.button, Qt.MouseButton.LeftButton)
    assert len(label.session.labels.sites) == len(truth)
    qtbot.waitUntil(
        lambda: label.score.scores is not None and label.score.scores.of("column")["tp"] == len(truth), timeout=WAIT
    )
    assert label.score.scores.of("column")["f1"] == 1.0
    label.score_section.open()
    label.score.show_matches()
    qtbot.waitUntil(lambda: label.session.path.is_file() and not label.session.unsaved, timeout=WAIT)
    assert [str(layer.units[-1]) for layer in viewer.layers] == ["angstrom"] * len(viewer.layers)

    folder = Path(os.environ.get("STEMLEARN_PICTURES", tmp_path))
    picture = viewer.window.screenshot(str(folder / "end_to_end.png"), canvas_only=False, flash=False)
    assert (folder / "end_to_end.png").stat().st_size > 10_000
    assert np.ptp(picture[..., :3]) > 100
    find.process.kill()


def test_closing_the_viewer_during_a_search_leaves_nothing_behind(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    data = lattice_stack(n_frames=3, size=256)[0]
    viewer.add_image(data, scale=(1, 0.2, 0.2), units=("pixel", "angstrom", "angstrom"))
    find = FindDock(viewer)
    dock = viewer.window.add_dock_widget(find, name="Find")
    find.model.choose("log")
    find.find()
    worker = find.worker
    qtbot.waitUntil(lambda: find.process.alive, timeout=WAIT)
    child = find.process._child
    viewer.window.remove_dock_widget(dock)
    find.close()
    qtbot.waitUntil(lambda: child.poll() is not None, timeout=WAIT)
    qtbot.waitUntil(lambda: not worker.is_running, timeout=WAIT)


def test_two_viewers_search_and_label_apart(make_napari_viewer, qtbot):
    docks = []
    for seed in (1, 2):
        viewer = make_napari_viewer()
        viewer.add_image(
            lattice_stack(n_frames=1, seed=seed)[0], scale=(1, 0.2, 0.2), units=("pixel", "angstrom", "angstrom")
        )
        label = LabelDock(viewer)
        viewer.window.add_dock_widget(label, name="Label")
        label.start()
        docks.append(label)
    docks[0].session.click(24, 24)
    assert [len(dock.session.labels.sites) for dock in docks] == [1, 0]
    docks[1].viewer.theme = "light"
    settle(qtbot)
    assert docks[0].viewer.theme == "dark"
    docks[1].session.click(40, 40)
    assert [len(dock.session.labels.sites) for dock in docks] == [1, 1]


def test_labels_are_dragged_with_the_tool_of_napari_and_others_stay(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 900)
    image = viewer.add_image(lattice_stack(n_frames=1)[0][0], scale=(0.2, 0.2), units=("angstrom", "angstrom"))
    label = LabelDock(viewer)
    viewer.window.add_dock_widget(label, name="Label")
    label.start()
    viewer.reset_view()
    session = label.session
    places = [(y, x) for y in (24, 40, 56) for x in (24, 40, 56)]
    for place in places:
        session.click(*place)
    before = session.labels.sites[["y", "x"]].to_numpy()
    session.layer.mode = "select"
    settle(qtbot, 300)
    canvas = canvas_of_the_window()
    start, end = (screen_position(viewer, canvas, image, place) for place in ((40, 40), (46, 47)))
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    qtbot.mouseMove(canvas, start)
    qtbot.mousePress(canvas, left, none, start)
    for share in np.linspace(0, 1, 8):
        place = QPointF(start + (end - start) * share)
        move = QMouseEvent(QEvent.Type.MouseMove, place, canvas.mapToGlobal(place), Qt.MouseButton.NoButton, left, none)
        QApplication.sendEvent(canvas, move)
        settle(qtbot, 20)
    qtbot.mouseRelease(canvas, left, none, end)
    settle(qtbot)
    moved = session.labels.sites[["y", "x"]].to_numpy() - before
    np.testing.assert_allclose(moved[4], [6, 7], atol=0.3)
    np.testing.assert_allclose(np.delete(moved, 4, axis=0), 0, atol=1e-6)
    assert set(session.layer.selected_data) == {4}
    np.testing.assert_allclose(session.layer.data, session.labels.sites[["y", "x"]])
    # the whole drag is one step of undo
    label.undo()
    np.testing.assert_allclose(session.labels.sites[["y", "x"]], before)
