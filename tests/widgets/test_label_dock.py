"""Labelling by hand in the dock: clicks, keys, undo, review, promotion, saving, scoring."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hands import click, predictions, press, start_labelling
from napari.components import ViewerModel
from qtpy.compat import isalive
from sites_and_images import PIXEL_SIZE, add_stack, lattice_stack

from napari_stemlearn.formats import read_recorded, write_sites
from napari_stemlearn.scoring import labels_of_record, make_question
from napari_stemlearn.sites import concat_sites, make_sites
from napari_stemlearn.widgets import reader, writer
from napari_stemlearn.widgets.keys import LABEL_KEYS, key_rows
from napari_stemlearn.widgets.label_dock import LabelDock
from napari_stemlearn.widgets.layers import KEY, add_sites, kind_of, our_layers, sites_from_layer
from napari_stemlearn.widgets.score_panel import python_lines, record_of
from napari_stemlearn.widgets.written_sites import note


@pytest.fixture
def dock(qtbot, viewer):
    dock = LabelDock(viewer)
    qtbot.addWidget(dock)
    return dock


@pytest.fixture
def at_work(dock, viewer):
    """A dock with labels just started on a stack of three frames."""
    return start_labelling(dock)


def test_labels_stay_on_their_pixels_when_the_pixel_size_changes(at_work, viewer, qtbot):
    image = viewer.layers[0]
    click(at_work, 24, 24)
    click(at_work, 40, 40)
    places = at_work.session.labels.sites[["y", "x"]].to_numpy()
    at_work.pixel_size.change()
    at_work.pixel_size.line.setText("0.25")
    at_work.pixel_size.write()
    np.testing.assert_allclose(at_work.session.layer.scale, image.scale)
    # napari's own tool: what it leaves behind is read from the layer, on the pixels of the image
    at_work.session.layer.add([[0, 5, 5]])
    sites = at_work.session.labels.sites
    np.testing.assert_allclose(sites[["y", "x"]], [*places, [5, 5]])
    np.testing.assert_allclose(sites["y_angstrom"], 0.25 * sites["y"])
    at_work.undo()
    at_work.undo()
    np.testing.assert_allclose(at_work.session.labels.sites["x_angstrom"], 0.25 * places[:1, 1])
    assert at_work.session.micrograph.pixel_size == 0.25
    # another way to another scale: the labels follow as well
    image.scale = (1, 0.3, 0.3)
    click(at_work, 56, 56)
    np.testing.assert_allclose(at_work.session.layer.data[-1], [0, 56, 56], atol=0.4)


def test_it_says_what_is_missing(dock, viewer):
    assert not dock.start_button.button.isEnabled()
    assert "Open an image" in dock.start_button.reason.text()
    viewer.add_image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="my png")
    assert "'my png' is a colour picture" in dock.start_button.reason.text()
    viewer.layers.clear()
    assert "Open an image" in dock.start_button.reason.text()
    assert "Find" in dock.review.where.text() or "Start" in dock.review.where.text()
    viewer.add_image(lattice_stack()[0])
    assert "pixel size" in dock.start_button.reason.text()
    assert not dock.pixel_size.isHidden()
    dock.pixel_size.line.setText("nonsense")
    dock.pixel_size.button.click()
    assert "no pixel size" in dock.pixel_size.error.text()
    dock.pixel_size.line.setText("0,2")
    dock.pixel_size.button.click()
    assert not dock.pixel_size.asks
    assert dock.pixel_size.known.text() == "Pixel size 0.2\u00a0Å"
    assert dock.start_button.button.isEnabled()
    assert [str(unit) for unit in viewer.layers[0].units] == ["pixel", "angstrom", "angstrom"]
    assert not our_layers(viewer)


def test_a_click_snaps_a_drag_does_nothing_and_a_right_click_removes(at_work):
    dock = at_work
    layer = dock.session.layer
    assert kind_of(layer) == "hand"
    assert dock.viewer.layers.selection.active is layer
    click(dock, 26, 22)
    np.testing.assert_allclose(layer.data, [[0, 24, 24]], atol=0.3)
    assert layer.features["class"].tolist() == ["vacancy1"]
    assert layer.features["origin"].tolist() == ["hand"]
    click(dock, 40, 40, drag=30)
    assert len(layer.data) == 1
    dock.snap_box.setChecked(False)
    click(dock, 42, 37)
    np.testing.assert_allclose(layer.data[1], [0, 42, 37])
    click(dock, 43, 37, button=2)
    assert len(layer.data) == 1
    click(dock, 70, 70, button=2)
    assert "no label" in dock.message.text()
    layer.mode = "add"
    click_generator = list(dock.session._press(layer, SimpleNamespace(button=1, modifiers=())))
    assert click_generator == []


def test_labels_lie_in_the_frame_that_is_shown(at_work):
    dock = at_work
    dock.viewer.dims.set_point(0, 2)
    click(dock, 24, 24)
    assert dock.session.labels.sites["frame"].tolist() == [2]
    assert dock.frames.table.item(2, 1).text() == "1"
    press(dock, "D")
    assert dock.session.labels.done == {2}
    assert dock.done_box.isChecked()
    dock.viewer.dims.set_point(0, 0)
    assert not dock.done_box.isChecked()
    dock.frames.table.cellClicked.emit(2, 0)
    assert dock.viewer.dims.point[0] == 2


def test_keys_choose_classes_and_are_bound_to_the_layer_alone(at_work):
    dock = at_work
    click(dock, 24, 24)
    press(dock, "2")
    assert dock.session.site_class == dock.classes.classes[1]
    click(dock, 40, 40)
    assert dock.session.layer.features["class"].tolist() == dock.classes.classes[:2]
    dock.session.layer.selected_data = {0}
    press(dock, "3")
    assert dock.session.labels.sites["class"].tolist() == [dock.classes.classes[2], dock.classes.classes[1]]
    press(dock, "S")
    assert not dock.session.snapping
    dock.session.layer.selected_data = {1}
    press(dock, "Delete")
    assert len(dock.session.labels.sites) == 1
    press(dock, "Ctrl+Z")
    assert len(dock.session.labels.sites) == 2
    press(dock, "Ctrl+Shift+Z")
    assert len(dock.session.labels.sites) == 1
    assert not dock.viewer.keymap
    for other in dock.viewer.layers:
        assert other is dock.session.layer or not other.keymap
    assert len(key_rows()) == len(LABEL_KEYS) - 9 + 3


def test_what_napari_s_own_tools_do_is_taken_over_and_can_be_undone(at_work):
    dock = at_work
    layer, labels = dock.session.layer, dock.session.labels
    press(dock, "2")
    layer.add([[0, 30, 30]])
    assert labels.sites[["class", "origin"]].values.tolist() == [[dock.classes.classes[1], "hand"]]
    assert np.isnan(labels.sites["score"]).all()
    layer.data = [[0, 33, 30]]
    assert labels.sites["y"].tolist() == [33]
    layer.selected_data = {0}
    layer.remove_selected()
    assert len(labels.sites) == 0
    dock.undo_button.click()
    dock.undo_button.click()
    np.testing.assert_allclose(layer.data, [[0, 30, 30]])
    dock.redo_button.click()
    np.testing.assert_allclose(layer.data, [[0, 33, 30]])


def test_a_class_of_one_s_own_can_be_added(at_work):
    dock = at_work
    dock.classes.line.setText("  Ti on W ")
    dock.classes.add_button.click()
    click(dock, 24, 24)
    assert dock.session.labels.sites["class"].tolist() == ["Ti_on_W"]
    assert dock.classes.buttons["Ti_on_W"].isChecked()
    assert "· 1" in dock.classes.buttons["Ti_on_W"].text()


def test_labels_are_saved_by_themselves_and_come_back(at_work, qtbot):
    dock = at_work
    click(dock, 24, 24)
    click(dock, 40, 40)
    path = dock.session.path
    qtbot.waitUntil(lambda: path.is_file() and not dock.session.unsaved, timeout=20000)
    assert "Saved" in dock.saved.text()
    press(dock, "D")
    before = dock.session
    dock.viewer.layers.clear()

    other = ViewerModel()
    again = LabelDock(other)
    qtbot.addWidget(again)
    add_stack(other, lattice_stack()[0], name="renamed")
    assert again.sets.currentText() == "labels (2 saved)"
    assert again.start_button.button.text() == "Continue labelling"
    again.start_button.button.click()
    table = again.session.labels.sites
    np.testing.assert_allclose(table[["y", "x"]], before.labels.sites[["y", "x"]])
    assert again.session.labels.done == {0}
    assert not again.session.unsaved
    again.session.click(56, 56)
    assert len(before.labels.sites) == 2


def test_a_set_that_cannot_be_saved_says_so(at_work, tmp_path, qtbot):
    dock = at_work
    (tmp_path / "project").write_text("a file where the folder should be", encoding="utf-8")
    click(dock, 24, 24)
    qtbot.waitUntil(lambda: bool(dock.error.text()), timeout=20000)
    assert "not saved" in dock.error.text()
    (tmp_path / "project").unlink()


def test_predictions_are_reviewed_one_by_one(at_work):
    dock = at_work
    image = dock.session.image
    predictions(dock.viewer, image)
    assert dock.review.n_open == 3
    dock.viewer.layers.selection.active = dock.session.layer
    press(dock, "N")
    assert "1 of 3" in dock.review.where.text()
    assert dock.review.current["score"] == 0.55
    np.testing.assert_allclose(dock.viewer.camera.center[1:], (24 * 0.2, 24 * 0.2))
    assert len(our_layers(dock.viewer, "marker")) == 1
    assert dock.viewer.layers.selection.active is dock.session.layer
    press(dock, "A")
    assert dock.session.labels.sites[["class", "origin"]].values.tolist() == [["vacancy1", "edited"]]
    assert dock.viewer.dims.point[0] == 1
    press(dock, "X")
    assert len(dock.session.labels.rejected) == 1
    press(dock, "P")
    press(dock, "A")
    assert dock.review.n_open == 0
    assert "Every prediction is judged" in dock.review.where.text()
    assert not our_layers(dock.viewer, "marker")


def test_undoing_a_verdict_opens_the_prediction_again(at_work, qtbot):
    dock = at_work
    predictions(dock.viewer, dock.session.image)
    dock.review.step(1)
    dock.review.reject()
    assert dock.review.n_open == 2
    dock.undo()
    qtbot.waitUntil(lambda: dock.review.n_open == 3, timeout=5000)


def test_promotion_overwrites_nothing_and_can_make_a_new_set(at_work):
    dock = at_work
    click(dock, 24, 24)
    press(dock, "2")
    first = dock.session
    before = first.labels.sites.copy()
    predictions(dock.viewer, first.image)
    dock.review.promote()
    assert "2 predictions added; 1 left out beside a label" in dock.review.words.text()
    pd.testing.assert_frame_equal(first.labels.sites.iloc[:1], before)
    assert first.labels.unreviewed_labels() == 2
    assert first.layer.border_color[1, 3] < first.layer.border_color[0, 3]
    dock.review.into_new.setChecked(True)
    dock.review.promote()
    assert dock.session is not first
    assert dock.session.path != first.path
    assert len(dock.session.labels.sites) == 3
    assert len(first.labels.sites) == 3
    assert len(our_layers(dock.viewer, "hand")) == 2


def test_hidden_candidates_can_be_reviewed_too(at_work):
    dock = at_work
    layer = predictions(dock.viewer, dock.session.image)
    layer.shown = np.array([True, False, True])
    dock.review.restart()
    assert dock.review.n_open == 2
    dock.review.hidden_too.click()
    assert dock.review.n_open == 3


def test_the_score_follows_the_labels(at_work, qtbot):
    dock = at_work
    layer = predictions(dock.viewer, dock.session.image)
    assert "no labels yet" in dock.score.why_not()
    click(dock, 24, 24)
    click(dock, 56, 56)
    dock.score.score_now()
    qtbot.waitUntil(lambda: dock.score.scores is not None, timeout=20000)
    row = dock.score.scores.of("vacancy1")
    assert (row["tp"], row["fp"], row["fn"]) == (1, 1, 1)
    assert "Frames 1, 2 are not labelled, so not counted" in dock.score.notes.text()
    dock.viewer.layers.selection.active = dock.session.layer
    dock.score.show_matches()
    (matches,) = our_layers(dock.viewer, "matches")
    assert sorted(matches.features["match"]) == ["fn", "fp", "tp"]
    assert matches.units == layer.units
    assert dock.viewer.layers.selection.active is dock.session.layer
    click(dock, 56, 56, button=2)
    qtbot.waitUntil(
        lambda: dock.score.scores is not None and dock.score.scores.of("vacancy1")["fn"] == 0, timeout=20000
    )
    assert sorted(matches.features["match"]) == ["fp", "tp"]
    layer.shown = np.array([False, True, True])
    qtbot.waitUntil(
        lambda: dock.score.scores is not None and dock.score.scores.of("vacancy1")["fp"] == 0, timeout=20000
    )
    assert dock.score.table.item(0, 3).text() == "1.000"


def test_the_border_is_that_of_the_search_unless_one_is_given(at_work, qtbot):
    dock = at_work
    layer = predictions(dock.viewer, dock.session.image)
    note(layer, border=4.0, thresholds={"vacancy1": 0.5})
    click(dock, 24, 24)
    dock.score.score_now()
    qtbot.waitUntil(lambda: dock.score.scores is not None, timeout=20000)
    assert dock.score.border.text() == "as searched"
    assert dock.score.scores.matches.rule["border"] == pytest.approx(4 + 0.6 / PIXEL_SIZE, abs=1e-3)
    assert "the search left out 4 px, and the tolerance is added" in dock.score.notes.text()
    dock.score.border.setValue(0)
    qtbot.waitUntil(lambda: dock.score.scores.matches.rule["border"] == 0, timeout=20000)
    assert "left out" not in dock.score.notes.text()


def test_sites_of_two_images_are_not_compared_and_points_of_others_can_be(at_work, qtbot):
    dock = at_work
    predictions(dock.viewer, dock.session.image)
    other = add_stack(dock.viewer, lattice_stack(seed=3)[0], "another")
    table = make_sites([8], [8], "vacancy1", pixel_size=0.2)
    theirs = add_sites(dock.viewer, table, kind="truth", source_layer=other)
    dock.score.truth.choose(theirs)
    assert dock.score.why_not() == "These sites belong to two images: 'stack' and 'another'."
    points = dock.viewer.add_points(
        [[0, 1.6, 1.6]], units=("pixel", "angstrom", "angstrom"), features={"class": ["vacancy1"]}
    )
    dock.score.truth.choose(points)
    dock.viewer.layers.remove(other)
    dock.score.score_now()
    qtbot.waitUntil(lambda: dock.score.scores is not None, timeout=20000)
    assert dock.score.scores.of("vacancy1")["tp"] == 1


def test_the_lines_of_python_score_the_same(tmp_path):
    found = make_sites([10, 30, 40], [10, 30, 40], ["vacancy1", "vacancy1", "W"], pixel_size=0.2, origin="predicted")
    truth = make_sites([10, 50], [10.5, 50], "V_Se", pixel_size=0.2, origin="hand")
    given = {"pixel_size": 0.2, "shape": (96, 96), "n_frames": 1, "tolerance_angstrom": 0.6, "border": 2}
    scores = make_question(found, truth, **given).answer()
    assert (scores.of()["tp"], scores.of()["fp"], scores.of()["fn"]) == (1, 1, 1)
    write_sites(tmp_path / "found.csv", found)
    write_sites(tmp_path / "labels.csv", truth)
    lines = python_lines(scores).replace("print(", "result = (")
    names: dict = {}
    lines = lines.replace('"found.csv"', repr(str(tmp_path / "found.csv")))
    exec(lines.replace('"labels.csv"', repr(str(tmp_path / "labels.csv"))), names)
    pd.testing.assert_frame_equal(names["result"].table, scores.table)


def test_the_score_counts_frames_that_are_done_and_classes_that_are_labelled(at_work, qtbot, tmp_path):
    dock = at_work
    sites = concat_sites(
        [
            make_sites([24, 40], [24, 40], ["vacancy1", "antisite"], pixel_size=PIXEL_SIZE, origin="predicted"),
            make_sites([5, 9], [5, 9], "vacancy1", pixel_size=PIXEL_SIZE, frame=1, origin="predicted"),
        ]
    )
    layer = add_sites(dock.viewer, sites, kind="predicted", source_layer=dock.session.image)
    note(layer, thresholds={"vacancy1": 0.5, "antisite": 0.5}, frames=[0, 1])
    dock.score.found.choose(layer)
    dock.session.labels.add(0, 24, 24, "vacancy1")
    dock.session.labels.add(1, 5, 5, "vacancy1")
    dock.session.labels.add(2, 5, 5, "vacancy1")
    dock.score.score_now()
    qtbot.waitUntil(lambda: dock.score.scores is not None, timeout=20000)
    assert dock.score.scores.of()["fp"] == 1
    assert "Frame 2 was not searched, so not counted." in dock.score.notes.text()
    assert "of classes that nobody labelled: 1 antisite." in dock.score.notes.text()
    dock.session.labels.set_done(0, True)
    qtbot.waitUntil(lambda: dock.score.scores.matches.frames == (0,), timeout=20000)
    assert dock.score.scores.of()["precision"] == 1.0
    # so do a table that napari saves, and its layer when it is opened again
    (path,) = writer.write_site_table(str(tmp_path / "copy.csv"), *dock.session.layer.as_layer_data_tuple()[:2])
    assert read_recorded(path).record["frames_done"] == [0]
    (data,) = reader.read_site_tables(path)
    assert labels_of_record(record_of(dock.viewer.add_points(data[0], **data[1]))) == {"labelled_frames": [0]}


def test_removing_the_layer_saves_it_and_ends_the_session(at_work):
    dock = at_work
    click(dock, 24, 24)
    path = dock.session.path
    dock.viewer.layers.remove(dock.session.layer)
    assert dock.session is None
    assert path.is_file()
    assert dock.work.isHidden()
    assert dock.sets.currentText() == "labels (1 saved)"
    dock.undo()
    dock.review.step(1)


def test_removing_the_image_ends_the_session(at_work):
    dock = at_work
    click(dock, 24, 24)
    dock.viewer.layers.remove(dock.session.image)
    assert dock.session is None
    assert "Open an image" in dock.start_button.reason.text()


def test_two_viewers_do_not_touch_each_other(at_work, qtbot):
    other_viewer = ViewerModel()
    other = LabelDock(other_viewer)
    qtbot.addWidget(other)
    add_stack(other_viewer, lattice_stack(seed=5)[0])
    other.start_button.button.click()
    click(at_work, 24, 24)
    assert len(at_work.session.labels.sites) == 1
    assert len(other.session.labels.sites) == 0
    assert other.session.path != at_work.session.path


def test_a_new_dock_takes_up_the_layer_that_the_last_one_left(viewer, qtbot):
    first = LabelDock(viewer)
    add_stack(viewer, lattice_stack()[0])
    first.start()
    viewer.dims.set_point(0, 0)
    old, path = first.session, first.session.path
    click(first, 24, 24)
    first.save_all()
    first.deleteLater()
    qtbot.waitUntil(lambda: not isalive(first), timeout=5000)
    old.layer.add([[1, 40, 40]])
    dock = LabelDock(viewer)
    qtbot.addWidget(dock)
    assert dock.sets.currentText() == "labels (1 saved)"
    dock.start()
    assert dock.session.path == path
    assert our_layers(viewer, "hand") == [dock.session.layer]
    assert len(dock.session.labels.sites) == 2
    viewer.dims.set_point(0, 0)
    click(dock, 56, 56)
    assert len(dock.session.labels.sites) == 3
    assert len(dock.session.layer.mouse_drag_callbacks) == 1
    qtbot.waitUntil(lambda: not dock.session.unsaved, timeout=20000)


def test_layers_of_others_stay_as_they_are(at_work):
    dock = at_work
    mine = dock.viewer.add_points([[0, 5, 5]], name="stack labels")
    before = mine.data.copy()
    click(dock, 24, 24)
    dock.undo()
    np.testing.assert_array_equal(mine.data, before)
    assert KEY not in mine.metadata
    assert not mine.mouse_drag_callbacks


def test_the_layer_that_is_shown_can_be_read_back(at_work):
    dock = at_work
    click(dock, 24, 24)
    table = sites_from_layer(dock.session.layer, dock.session.image)
    np.testing.assert_allclose(table["y_angstrom"], 24 * 0.2, atol=0.1)


def test_labelling_pauses_while_another_layer_is_selected(at_work):
    dock = at_work
    assert dock.label_box.isChecked()
    dock.viewer.layers.selection.active = dock.session.image
    assert not dock.label_box.isChecked()
    assert "Paused" in dock.message.text()
    dock.label_box.click()
    assert dock.viewer.layers.selection.active is dock.session.layer


def test_opening_the_docks_imports_no_torch():
    code = (
        "import sys\n"
        "from qtpy.QtWidgets import QApplication\n"
        "app = QApplication([])\n"
        "from napari.components import ViewerModel\n"
        "from napari_stemlearn.widgets.find_dock import FindDock\n"
        "from napari_stemlearn.widgets.label_dock import LabelDock\n"
        "viewer = ViewerModel()\n"
        "docks = [FindDock(viewer), LabelDock(viewer)]\n"
        "loaded = [name for name in ('torch', 'abtem', 'hyperspy', 'matplotlib') if name in sys.modules]\n"
        "print('loaded:', *loaded)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )  # fmt: skip
    assert done.stdout.split() == ["loaded:"], done.stderr
