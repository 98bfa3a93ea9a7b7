"""Finding in the dock: what is missing is said, thresholds act at once, nothing that breaks leaves it hanging."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from napari.qt import get_stylesheet
from searches import WAIT, answer_with, found, run, waiting_search
from sites_and_images import PIXEL_SIZE, add_stack, lattice_stack, save_toy_model

from napari_stemlearn.finding import FindSettings, find, find_frames
from napari_stemlearn.finding.candidates import Candidates, lowest_scores
from napari_stemlearn.finding.gathered_notes import gather
from napari_stemlearn.formats import belongs_to, read_sidecar, read_sites, write_tiff
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.imaging.simulate import simulate
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.models.store import list_models, load_model
from napari_stemlearn.scoring import search_of_record
from napari_stemlearn.sites import make_sites
from napari_stemlearn.structures.build import build
from napari_stemlearn.structures.settings import StructureSettings
from napari_stemlearn.widgets.find_dock import LOWEST_SCORE, FindDock
from napari_stemlearn.widgets.layers import (
    KEY,
    about,
    add_sites,
    micrograph_from_layer,
    our_layers,
    sites_from_layer,
)
from napari_stemlearn.widgets.model_chooser import card_words
from napari_stemlearn.widgets.project import ProjectRow, shared_project
from napari_stemlearn.widgets.score_panel import record_of
from napari_stemlearn.widgets.search_child import SearchRequest, receive, send, serve
from napari_stemlearn.widgets.search_process import SearchProcess, guarded
from napari_stemlearn.widgets.threshold_table import ThresholdTable


@pytest.fixture
def dock(qtbot, viewer):
    dock = FindDock(viewer)
    qtbot.addWidget(dock)
    yield dock
    dock.process.kill()


def request(data, *, model="log", name="stack", lowest=None, **changes):
    values = {
        "model": model,
        "device": "cpu",
        "settings": {},
        "name": name,
        "shape": data.shape,
        "dtype": data.dtype.str,
        "pixel_size": PIXEL_SIZE,
        "lowest": lowest or {"column": 0.4},
    }
    return SearchRequest(**{**values, **changes})


# --- the model that is chosen -----------------------------------------------------------------------------------------


def test_the_first_model_finds_defects_and_each_project_remembers_its_own(qtbot, monkeypatch, tmp_path):
    docks = []

    def shown():
        docks.append(FindDock(ViewerModel()))
        qtbot.addWidget(docks[-1])
        return docks[-1].model

    first = shown()
    assert first.name == "tmd-defects"
    first.box.setCurrentIndex(first.box.findText("columns"))
    first.box.activated.emit(first.box.currentIndex())
    assert shown().name == "columns"
    monkeypatch.setenv("STEMLEARN_PROJECT", str(tmp_path / "another project"))
    other = shown()
    assert other.name == "tmd-defects"
    other.choose("log")
    assert shown().name == "log"
    monkeypatch.setenv("STEMLEARN_PROJECT", str(tmp_path / "project"))
    shared_project().changed.emit()
    assert other.name == "columns"
    assert not (tmp_path / "project").exists()


def test_a_remembered_model_that_is_gone_is_forgotten(qtbot, tmp_path):
    shared_project().remember_model("deleted")
    dock = FindDock(ViewerModel())
    qtbot.addWidget(dock)
    assert dock.model.name == "tmd-defects"


# --- what is missing is said ------------------------------------------------------------------------------------------


def test_the_button_says_why_it_is_off(dock, viewer):
    assert "Open an image" in dock.find_button.reason.text()
    viewer.add_image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="my png")
    assert not dock.find_button.button.isEnabled()
    assert dock.find_button.reason.text().startswith("'my png' is a colour picture; convert it to grey first")
    viewer.layers.clear()
    assert "Open an image" in dock.find_button.reason.text()
    viewer.add_image(lattice_stack()[0])
    assert "pixel size" in dock.find_button.reason.text()
    assert not dock.pixel_size.isHidden()
    dock.pixel_size.line.setText("-3")
    dock.pixel_size.button.click()
    assert "0.001" in dock.pixel_size.error.text()
    dock.find()
    assert dock.worker is None
    dock.pixel_size.line.setText("0.2")
    dock.pixel_size.line.returnPressed.emit()
    assert dock.find_button.button.isEnabled()
    assert dock.find_button.reason.isHidden()
    assert not our_layers(viewer)


def test_oblong_pixels_are_refused_in_a_sentence(dock, viewer):
    viewer.add_image(lattice_stack()[0][0], scale=(0.2, 0.3), units=("angstrom", "angstrom"))
    assert "square" in dock.find_button.reason.text()


def test_an_image_that_is_opened_or_selected_is_the_one_to_search(dock, viewer):
    first, second = (add_stack(viewer, np.eye(8), name) for name in ("first", "second"))
    assert dock.image.layer() is second
    viewer.layers.selection.active = first
    assert dock.image.layer() is first
    # what is no image to search changes nothing
    viewer.add_points(np.zeros((1, 2)))
    preview = add_stack(viewer, np.eye(8), "preview")
    preview.metadata[KEY] = {"kind": "preview"}
    viewer.layers.selection.active = second
    viewer.layers.selection.active = preview
    assert dock.image.layer() is second
    dock.worker = object()
    viewer.layers.selection.active = first
    assert dock.image.layer() is second
    dock.worker = None


def test_a_preview_is_searched_only_where_it_was_chosen(dock, viewer):
    live = add_stack(viewer, np.eye(8), "image (live)")
    viewer.layers.remove(live)
    live.metadata[KEY] = {"kind": "preview"}
    viewer.add_layer(live)
    assert dock.image.layer() is None
    assert "Open an image" in dock.find_button.reason.text()
    image = add_stack(viewer, np.eye(8), "image")
    assert dock.image.layer() == image
    dock.image.choose(live)
    assert dock.image.layer() == live
    assert dock.find_button.button.isEnabled()


def test_frames_are_offered_for_stacks_only(dock, viewer):
    data = lattice_stack(n_frames=4)[0]
    single = add_stack(viewer, data[0], "single")
    assert dock.frames.isHidden()
    stack = add_stack(viewer, data, "stack")
    dock.image.choose(stack)
    assert not dock.frames.isHidden()
    assert dock.all_frames.text() == "all 4 frames"
    viewer.dims.set_point(0, 2)
    assert dock.this_frame.text() == "this frame (2)"
    dock.image.choose(single)
    assert dock.frames.isHidden()
    # one frame is no choice, and an image that is refused has none to offer
    for shape in ((1, 16, 16), (2, 3, 16, 16)):
        dock.image.choose(stack)
        assert not dock.frames.isHidden()
        dock.image.choose(viewer.add_image(np.zeros(shape)))
        assert dock.frames.isHidden()


def test_a_setting_that_is_not_allowed_keeps_the_button_off(dock, viewer):
    add_stack(viewer, lattice_stack()[0])
    dock.options.open()
    line = dock.options.form.body.editors["border"].line
    line.setText("-1")
    line.textEdited.emit("-1")
    assert not dock.find_button.button.isEnabled()
    assert "Options" in dock.find_button.reason.text()


def test_empty_options_say_what_holds(dock):
    dock.options.open()
    dock.options.form.body.more.open()
    lines = {name: editor.line for name, editor in dock.options.form.body.editors.items() if hasattr(editor, "line")}
    assert lines["border"].placeholderText() == "target radius"
    assert lines["min_distance"].placeholderText() == "as the model"
    assert lines["column_radius"].placeholderText() == "measured"
    assert dock.options.settings().border is None


def test_the_words_of_a_card_name_no_setting(dock):
    dock.model.choose("tmd-defects")
    words = dock.model.words.text()
    assert "simulated images of a style that it never saw" in words
    assert "'" not in words


def test_models_show_what_their_card_says(dock, tmp_path, qtbot):
    save_toy_model(tmp_path / "models" / "toy")
    (tmp_path / "models" / "broken").mkdir()
    (tmp_path / "models" / "broken" / "card.json").write_text("{}", encoding="utf-8")
    dock.model.refresh()
    assert dock.model.choose("toy")
    words = dock.model.words.text()
    assert "vacancy1, vacancy2" in words
    assert "0.2" in words
    assert "Not scored yet" in words
    assert "broken" in words
    assert dock.model.thresholds() == {"vacancy1": 0.5, "vacancy2": 0.5}
    assert dock.model.choose("log")
    assert "without training" in dock.model.words.text()
    assert not dock.model.choose("nothing")


@pytest.mark.parametrize(("sizes", "words"), [((0.198, 0.202), "images of 0.2 Å"), ((0.08, 0.4), "of 0.08 to 0.4 Å")])
def test_pixel_sizes_of_a_model_are_one_number_where_they_are_shown_the_same(tmp_path, sizes, words):
    entry = next(one for one in list_models([save_toy_model(tmp_path / "toy").parent]) if one.name == "toy")
    entry = replace(entry, card=entry.card.model_copy(update={"pixel_size_range": sizes}))
    assert words in card_words(entry)[1].replace("\u00a0", " ")


# --- what comes of a search -------------------------------------------------------------------------------------------


def test_thresholds_filter_the_layer_at_once(dock, viewer, qtbot):
    image = add_stack(viewer, lattice_stack()[0])
    dock.model.choose("log")
    answer_with(
        dock,
        [
            ("started", "cpu"),
            ("progress", 1, 2),
            ("found", found(0, [0.9, 0.6, 0.45], "column")),
            ("found", found(1, [0.7], "column")),
            ("end", False),
        ],
    )
    run(qtbot, dock)
    (layer,) = our_layers(viewer, "predicted")
    assert layer.shown.tolist() == [True, True, False, True]
    assert layer.units == image.units
    assert list(layer.features.columns[:3]) == ["class", "score", "origin"]
    assert dock.results.heading.text() == "3 sites in 2 frames of stack"
    qtbot.waitUntil(lambda: layer.visible, timeout=2000)
    assert "2 of 4 Gaussian fits were refused in 2 frames." in dock.results.notes.text()
    dock.results.table.set_threshold("column", 0.65)
    qtbot.waitUntil(lambda: layer.shown.tolist() == [True, False, False, True], timeout=2000)
    assert dock.results.table.rows["column"][3].text() == "2"
    area = 2 * (96 * PIXEL_SIZE / 10) ** 2
    assert float(dock.results.table.rows["column"][4].text()) == pytest.approx(2 / area, abs=0.005)
    assert about(layer)["thresholds"] == {"column": 0.65}
    assert len(sites_from_layer(layer, image)) == 2
    dock.results.table.rows["column"][1].setValue(80)
    qtbot.waitUntil(lambda: layer.shown.all(), timeout=2000)
    dock.results.table.rows["column"][0].setChecked(False)
    qtbot.waitUntil(lambda: not layer.shown.any(), timeout=2000)


def test_searching_one_frame_again_keeps_the_others_and_the_thresholds(dock, viewer, qtbot):
    add_stack(viewer, lattice_stack()[0])
    dock.model.choose("log")
    answer_with(
        dock,
        [("found", found(0, [0.9], "column")), ("found", found(1, [0.8], "column")), ("end", False)],
    )
    run(qtbot, dock)
    dock.results.table.set_threshold("column", 0.85)
    viewer.dims.set_point(0, 1)
    dock.this_frame.setChecked(True)
    answer_with(dock, [("found", found(1, [0.95, 0.5], "column")), ("end", False)])
    run(qtbot, dock)
    (layer,) = our_layers(viewer, "predicted")
    assert layer.features["score"].tolist() == [0.9, 0.95, 0.5]
    assert layer.shown.tolist() == [True, True, False]
    assert about(layer)["frames"] == [0, 1]


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), ValueError("no"), MemoryError()])
def test_whatever_breaks_the_dock_says_so_and_can_go_on(dock, viewer, qtbot, error):
    add_stack(viewer, lattice_stack()[0])

    def broken(_request, _micrograph):
        yield "started", "cpu"
        raise error

    dock.process.search = broken
    run(qtbot, dock)
    assert type(error).__name__ in dock.error.text()
    assert dock.find_button.button.isEnabled()
    assert dock.bar.isHidden()
    assert not our_layers(viewer)


def test_stopping_keeps_finished_frames(dock, viewer, qtbot):
    add_stack(viewer, lattice_stack()[0])
    dock.model.choose("log")
    dock.process.search, go_on = waiting_search(stopped=True)
    dock.process.stop = go_on.set
    dock.find_button.button.click()
    assert dock.find_button.isHidden()
    qtbot.waitUntil(lambda: bool(dock.history.running.candidates.frames), timeout=WAIT)
    assert not dock.stop_button.isHidden()
    dock.stop_button.click()
    assert dock.stop_button.text() == "Stop now"
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert dock.state.text() == "Stopped; 1 finished frame kept."
    assert len(our_layers(viewer, "predicted")) == 1


@pytest.mark.parametrize("last", [("failed", "The model was trained for 0.09 to 0.42 angstrom.", ""), ("end", True)])
def test_a_search_without_results_leaves_those_before_it(dock, viewer, qtbot, last):
    add_stack(viewer, lattice_stack()[0])
    dock.model.choose("log")
    answer_with(dock, [("found", found(0, [0.9, 0.5], "column")), ("end", False)])
    run(qtbot, dock)
    before = dock.layer
    other = add_stack(viewer, lattice_stack()[0])
    other.name = "another"
    dock.image.choose(other)
    answer_with(dock, [("started", "cpu"), last])
    run(qtbot, dock)
    assert (dock.layer, dock.results.found.image.name) == (before, "stack")
    assert dock.results.heading.text() == "2 sites of stack"
    assert dock.results.export_button.isEnabled()
    assert "'stack" in dock.results.python_lines()
    dock.results.table.set_threshold("column", 0.95)
    qtbot.waitUntil(lambda: not before.shown.any(), timeout=2000)
    assert our_layers(viewer, "predicted") == [before]


def test_a_wrong_pixel_size_is_changed_and_what_was_found_stays_on_its_pixels(dock, viewer, qtbot):
    image = add_stack(viewer, lattice_stack()[0])
    image.translate = (0, 3.0, -2.0)
    dock.model.choose("log")
    answer_with(dock, [("found", found(0, [0.9], "column")), ("end", False)])
    run(qtbot, dock)
    row = dock.pixel_size
    assert row.known.text() == "Pixel size 0.2\u00a0Å"
    assert not row.asks
    row.change_button.click()
    assert row.line.text() == "0.2"
    row.change_button.click()
    assert not row.asks
    row.change_button.click()
    row.line.setText("0.04 nm")
    row.button.click()
    assert row.known.text() == "Pixel size 0.4\u00a0Å"
    np.testing.assert_allclose(dock.layer.scale, image.scale)
    np.testing.assert_allclose(dock.layer.translate, image.translate)
    np.testing.assert_allclose(image.translate, (0, 6.0, -4.0))
    np.testing.assert_allclose(sites_from_layer(dock.layer, image)[["y", "x"]], [[10, 10]])
    np.testing.assert_allclose(dock.results.sites()[["y", "x", "y_angstrom"]], [[10, 10, 4]])
    assert "search again" in dock.results.resized.text()


def test_words_and_results_of_one_image_are_not_read_as_those_of_another(dock, viewer, qtbot):
    image = add_stack(viewer, lattice_stack()[0])
    other = add_stack(viewer, lattice_stack(seed=3)[0], "other")
    dock.image.choose(image)
    dock.model.choose("log")
    answer_with(dock, [("found", found(0, [0.9], "column")), ("end", False)])
    run(qtbot, dock)
    assert "Done in" in dock.state.text()
    assert dock.results.of_another.isHidden()
    dock.image.choose(other)
    assert not dock.state.text()
    assert dock.results.of_another.text() == "Of another image than the one chosen above:"
    assert dock.results.heading.text() == "1 site of stack"
    answer_with(dock, [("failed", "No pixel of this image is a number.", "")])
    run(qtbot, dock)
    assert not dock.results.of_another.isHidden()
    dock.image.choose(image)
    assert dock.error.isHidden()
    assert dock.results.of_another.isHidden()
    # the words of a search that runs stay, whatever is chosen next
    dock.process.search, go_on = waiting_search(stopped=False)
    dock.find_button.button.click()
    dock.image.choose(other)
    assert dock.state.text()
    go_on.set()
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)


def test_layers_that_go_away_do_no_harm(dock, viewer, qtbot):
    image = add_stack(viewer, lattice_stack()[0])
    dock.model.choose("log")
    answer_with(dock, [("found", found(0, [0.9], "column")), ("end", False)])
    run(qtbot, dock)
    viewer.layers.remove(dock.layer)
    assert dock.results.isHidden()
    run(qtbot, dock)
    assert len(our_layers(viewer, "predicted")) == 1
    viewer.layers.remove(image)
    assert "Open an image" in dock.find_button.reason.text()
    dock.results.table.set_threshold("column", 0.95)


def test_points_that_were_deleted_or_added_by_hand_are_exported_so(dock, viewer, qtbot, tmp_path):
    image = add_stack(viewer, lattice_stack()[0])
    image.translate = (0, 3.0, -2.0)
    dock.model.choose("log")
    answer_with(dock, [("found", found(0, [0.9, 0.8, 0.45], "column")), ("end", False)])
    run(qtbot, dock)
    dock.results.table.set_threshold("column", 0.5)
    layer = dock.layer
    qtbot.waitUntil(lambda: layer.shown.tolist() == [True, True, False], timeout=2000)
    assert dock.results.by_hand.isHidden()
    layer.selected_data = {0}
    layer.remove_selected()
    layer.add([[0, 5, 6]])
    layer.add([[0, 7, 8]])
    qtbot.waitUntil(lambda: dock.results.heading.text() == "3 sites of stack", timeout=2000)
    assert dock.results.table.rows["column"][3].text() == "3"
    assert "Edited by hand" in dock.results.by_hand.text()
    assert not any(widget.isEnabled() for widget in dock.results.table.rows["column"][:3])
    dock.results.export_button.click()
    qtbot.waitUntil(lambda: "Saved" in dock.results.saved.text(), timeout=20000)
    (path,) = (tmp_path / "project" / "sites").glob("*.csv")
    exported = read_sites(path)
    np.testing.assert_allclose(exported[["y", "x"]], [[20, 20], [5, 6], [7, 8]])
    assert exported["origin"].tolist() == ["predicted", "hand", "hand"]
    sidecar = read_sidecar(path)
    assert sidecar.provenance["edited_by_hand"] is True
    assert (sidecar.pixel_size_angstrom, sidecar.image.name) == (pytest.approx(0.2), "stack")
    assert belongs_to(sidecar, micrograph_from_layer(image))


def test_a_search_after_an_edit_makes_a_new_layer_and_leaves_the_edited_one(dock, viewer, qtbot):
    add_stack(viewer, lattice_stack()[0])
    dock.model.choose("log")
    answer_with(dock, [("found", found(0, [0.9, 0.5], "column")), ("end", False)])
    run(qtbot, dock)
    edited = dock.layer
    qtbot.waitUntil(lambda: edited.visible, timeout=2000)
    edited.data = edited.data[:1]
    dock.results.table.set_threshold("column", 0.95)
    qtbot.waitUntil(lambda: not dock.results.by_hand.isHidden(), timeout=2000)
    assert edited.shown.all()
    assert not any(part.isEnabled() for part in dock.results.table.rows["column"][:3])
    run(qtbot, dock)
    assert dock.layer != edited
    assert our_layers(viewer, "predicted") == [edited, dock.layer]
    assert (len(edited.data), len(dock.layer.data)) == (1, 2)
    assert not edited.visible
    assert dock.results.by_hand.isHidden()
    dock.results.table.set_threshold("column", 0.6)
    qtbot.waitUntil(lambda: dock.layer.shown.tolist() == [True, False], timeout=2000)


def test_a_layer_is_edited_only_when_its_search_is_over(dock, viewer, qtbot):
    add_stack(viewer, lattice_stack()[0])
    dock.model.choose("log")
    dock.process.search, go_on = waiting_search(stopped=False)
    dock.find_button.button.click()
    qtbot.waitUntil(lambda: dock.layer is not None and dock.layer.visible, timeout=WAIT)
    layer = dock.layer
    layer.mode = "add"
    assert layer.mode == "pan_zoom"
    go_on.set()
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    layer.mode = "add"
    assert layer.mode == "add"


def test_an_image_that_changes_makes_its_results_old(dock, viewer, qtbot, tmp_path):
    data = lattice_stack()[0]
    image = add_stack(viewer, data)
    dock.model.choose("log")
    answer_with(dock, [("found", found(0, [0.9], "column")), ("found", found(1, [0.8], "column")), ("end", False)])
    run(qtbot, dock)
    image.data = data[:, ::-1]
    assert dock.results.old.text() == "The image has changed since: search again."
    assert not dock.results.export_button.isEnabled()
    dock.results.export()
    assert not (tmp_path / "project").exists()
    # a search that breaks brings the results back, and they are still old
    answer_with(dock, [("failed", "It broke.", "")])
    run(qtbot, dock)
    assert not dock.results.export_button.isEnabled()
    # nothing of the image before is kept
    dock.this_frame.setChecked(True)
    answer_with(dock, [("found", found(0, [0.7], "column")), ("end", False)])
    run(qtbot, dock)
    assert dock.results.old.isHidden()
    assert dock.results.export_button.isEnabled()
    assert dock.layer.features["score"].tolist() == [0.7]


def test_a_search_ends_when_its_image_is_removed(dock, viewer, qtbot):
    image = add_stack(viewer, lattice_stack()[0])
    dock.model.choose("log")
    killed = threading.Event()

    def slow(_request, _micrograph):
        yield "started", "cpu"
        yield ("end", True) if killed.wait(20) else ("end", False)

    dock.process.search = slow
    dock.process.kill = killed.set
    dock.find_button.button.click()
    qtbot.waitUntil(lambda: "Searching on" in dock.state.text(), timeout=WAIT)
    viewer.layers.remove(image)
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
    assert killed.is_set()
    assert dock.state.text() == "Stopped: the image was removed."
    assert dock.results.isHidden()
    assert not our_layers(viewer)


def test_hidden_classes_are_said_to_be_left_out(dock, viewer, qtbot):
    add_stack(viewer, lattice_stack()[0])
    dock.model.choose("tmd-defects")
    answer_with(dock, [("found", found(0, [0.9])), ("end", False)])
    run(qtbot, dock)
    assert dock.results.left_out.isHidden()
    boxes = [row[0] for row in dock.results.table.rows.values()]
    boxes[0].setChecked(False)
    qtbot.waitUntil(lambda: dock.results.left_out.text() == "1 hidden class is left out.", timeout=2000)
    boxes[1].setChecked(False)
    qtbot.waitUntil(lambda: dock.results.left_out.text() == "2 hidden classes are left out.", timeout=2000)


def test_predictions_of_others_are_left_alone(dock, viewer, qtbot):
    image = add_stack(viewer, lattice_stack()[0])
    dock.model.choose("log")
    other = add_sites(viewer, found(0, [0.9]).sites, kind="predicted", source_layer=image, record={"model": "another"})
    answer_with(dock, [("found", found(0, [0.9, 0.8], "column")), ("end", False)])
    run(qtbot, dock)
    assert len(our_layers(viewer, "predicted")) == 2
    assert len(other.data) == 1


# --- the real thing ---------------------------------------------------------------------------------------------------


def test_the_classical_finder_finds_exports_and_can_be_copied(dock, viewer, qtbot, tmp_path):
    data, truth = lattice_stack(n_frames=2)
    add_stack(viewer, data)
    dock.model.choose("log")
    run(qtbot, dock)
    assert dock.error.text() == ""
    table = dock.results.sites()
    assert len(table) == len(truth)
    order = ["frame", "y", "x"]
    ours = table.round(0).sort_values(order)[order].to_numpy()
    np.testing.assert_allclose(ours, truth.sort_values(order)[order].to_numpy(), atol=1)
    assert "Done in" in dock.state.text()
    (row,) = dock.results.findChildren(ProjectRow)
    assert row.label.full_text == str(tmp_path / "project")
    dock.results.export_button.click()
    qtbot.waitUntil(lambda: "Saved" in dock.results.saved.text(), timeout=20000)
    (path,) = (tmp_path / "project" / "sites").glob("*.csv")
    pd.testing.assert_frame_equal(read_sites(path), table, check_dtype=False)
    assert read_sidecar(path).provenance["model"] == "log"
    write_tiff(tmp_path / "stack.tif", Micrograph(data, PIXEL_SIZE))
    lines = dock.results.python_lines().replace("'stack.tif'", repr(str(tmp_path / "stack.tif")))
    names: dict = {}
    exec(lines.replace('"sites.csv"', repr(str(tmp_path / "sites.csv"))), names)
    assert len(names["found"].sites) == len(table)


def test_a_network_marks_sites_and_shows_its_maps(dock, viewer, qtbot, tmp_path):
    save_toy_model(tmp_path / "models" / "toy")
    image = add_stack(viewer, lattice_stack(n_frames=2, size=48)[0])
    image.translate = (0, 3, 5)
    dock.model.refresh()
    dock.model.choose("toy")
    dock.options.open()
    dock.options.maps_box.setChecked(True)
    dock.options.device.set_raw("cpu")
    run(qtbot, dock)
    assert dock.error.text() == ""
    (layer,) = our_layers(viewer, "predicted")
    assert set(layer.features["class"]) <= {"vacancy1", "vacancy2"}
    assert about(layer)["model"] == "toy"
    # the score takes from the layer what the search left out at the edge
    radius = load_model(tmp_path / "models" / "toy").card.target_radius
    assert about(layer)["border"] == pytest.approx(radius / PIXEL_SIZE)
    assert search_of_record(record_of(layer)) == {
        "searched_border": about(layer)["border"],
        "searched_classes": ["vacancy1", "vacancy2"],
        "searched_frames": [0, 1],
    }
    assert dock.results.found.record()["border"] == about(layer)["border"]
    maps = our_layers(viewer, "map")
    assert len(maps) == 2
    for one in maps:
        np.testing.assert_allclose(one.extent.world, image.extent.world, atol=PIXEL_SIZE)
        assert one.units == image.units
        assert one.data.shape == (2, 48, 48)
        assert all(np.ptp(frame) > 0 for frame in one.data)
    assert viewer.layers.selection.active is layer
    run(qtbot, dock)
    assert len(our_layers(viewer, "map")) == 2
    assert len(our_layers(viewer, "predicted")) == 1


def test_a_killed_search_process_is_said_and_the_next_search_starts_another():
    data = lattice_stack(n_frames=1)[0]
    micrograph = Micrograph(data, PIXEL_SIZE, "stack")
    process = SearchProcess()
    process.start()
    first = process._child.pid
    process._child.kill()
    while process.alive:
        time.sleep(0.01)
    messages = list(process.search(request(data), micrograph))
    assert messages[-1] == ("end", False)
    assert process._child.pid != first

    class Killer:
        shape, dtype, ndim = data.shape, data.dtype, 3

        def __getitem__(self, _index):
            os.kill(process._child.pid, 9)
            return data[0]

    messages = list(process.search(request(data), Micrograph(Killer(), PIXEL_SIZE, "stack")))
    assert messages[-1][0] == "failed"
    assert "killed" in messages[-1][1]
    process.close()


def test_frames_that_cannot_be_read_end_the_search_with_a_sentence():
    class Broken:
        shape, dtype, ndim = (2, 16, 16), np.dtype("f4"), 3

        def __getitem__(self, _index):
            raise RuntimeError("the disk is gone")

    process = SearchProcess()
    messages = list(process.search(request(np.zeros((2, 16, 16), "f4")), Micrograph(Broken(), PIXEL_SIZE, "stack")))
    assert messages[-1][0] == "failed"
    assert "the disk is gone" in messages[-1][1]
    assert not process.alive


# --- the child, in this process ---------------------------------------------------------------------------------------


class Pipes:
    """A child in a thread, with real pipes."""

    def __init__(self):
        to_child, from_parent = os.pipe()
        to_parent, from_child = os.pipe()
        self.outgoing, self.incoming = os.fdopen(from_parent, "wb"), os.fdopen(to_parent, "rb")
        streams = os.fdopen(to_child, "rb"), os.fdopen(from_child, "wb")
        self.thread = threading.Thread(target=serve, args=streams, daemon=True)
        self.thread.start()

    def ask(self, data, message, stop_at=None):
        send(self.outgoing, message)
        heard = []
        while not heard or heard[-1][0] not in ("end", "failed"):
            heard.append(receive(self.incoming))
            if heard[-1][0] == stop_at:
                send(self.outgoing, ("stop",))
            elif heard[-1][0] == "want":
                index = heard[-1][1]
                send(self.outgoing, ("frame", index, data[index] if data.ndim == 3 else data))
        return heard

    def close(self):
        self.outgoing.close()
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def child():
    pipes = Pipes()
    yield pipes
    pipes.close()


def kinds(messages):
    return [message[0] for message in messages]


def test_the_child_searches_stops_and_says_what_is_wrong(child):
    data = lattice_stack(n_frames=3)[0]
    heard = child.ask(data, ("search", request(data, frames=(2,))))
    assert [message[1].frame for message in heard if message[0] == "found"] == [2]
    assert heard[-1] == ("end", False)
    heard = child.ask(data, ("search", request(data)), stop_at="want")
    assert heard[-1] == ("end", True)
    assert "found" not in kinds(heard)
    heard = child.ask(data, ("search", request(data, settings={"border": -1})))
    assert heard[-1][0] == "failed"
    assert "border" in heard[-1][1]
    heard = child.ask(data, ("search", request(data, model="nowhere")))
    assert "no model 'nowhere'" in heard[-1][1]
    heard = child.ask(np.zeros_like(data), ("search", request(data)))
    assert "one grey level" in heard[-1][1]
    heard = child.ask(data[0], ("search", request(data[0])))
    assert heard[-1] == ("end", False)


def test_the_child_loads_a_model_once_and_again_when_it_changed(child, tmp_path):
    folder = save_toy_model(tmp_path / "toy")
    data = lattice_stack(n_frames=1, size=32)[0]
    lowest = {"vacancy1": 0.1, "vacancy2": 0.1}
    send(child.outgoing, ("warm", str(folder), "cpu"))
    first = child.ask(data, ("search", request(data, model=str(folder), lowest=lowest)))
    assert first[-1] == ("end", False)
    save_toy_model(folder, classes=("vacancy1", "antisite"))
    os.utime(folder / "card.json", (1, 1))
    heard = child.ask(data, ("search", request(data, model=str(folder), lowest={"antisite": 0.1})))
    assert heard[-1] == ("end", False)


def test_a_frame_in_a_file_is_read_from_there(child, tmp_path):
    data = lattice_stack(n_frames=1)[0]
    np.save(tmp_path / "frame.npy", data[0])

    class Paths:
        ndim = 3

        def __getitem__(self, _index):
            return str(tmp_path / "frame.npy")

    heard = child.ask(Paths(), ("search", request(data)))
    assert heard[-1] == ("end", False)


# --- plain parts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_thresholds_that_are_off_look_so_in_both_themes(qtbot, theme):
    table = ThresholdTable()
    qtbot.addWidget(table)
    table.setStyleSheet(get_stylesheet(theme))
    table.show_candidates(Candidates({"column": 0.8}, {"column": 0.1}, 0.2, (8, 8)))
    box, slider = table.rows["column"][:2]

    table.resize(320, 60)

    def colours():
        """Of the tick box beside its tick, of the handle, and of the bar below its value."""
        images = [part.grab().toImage() for part in (box, slider)]
        handle = 8 + round(140 / 180 * (slider.width() - 16))
        places = ((0, 3, box.height() // 2), (1, handle, slider.height() // 2), (1, 5, slider.height() // 2))
        return [images[which].pixelColor(x, y).name() for which, x, y in places]

    on = colours()
    table.lock(True)
    assert all(before != now for before, now in zip(on, colours(), strict=True))
    table.lock(False)
    assert colours() == on


def test_candidates_count_by_their_own_thresholds():
    candidates = Candidates({"a": 0.5, "b": 0.2}, {"a": 0.1, "b": 0.1}, 1.0, (100, 100))
    table = make_sites([1, 2, 3, 4], [1, 2, 3, 4], ["a", "a", "b", "b"], pixel_size=1.0, score=[0.6, 0.4, 0.3, 0.1])
    candidates.add(0, table)
    assert candidates.mask(candidates.table()).tolist() == [True, False, True, False]
    assert candidates.counts(table) == {"a": 1, "b": 1}
    candidates.hidden.add("a")
    assert candidates.mask(table).tolist() == [False, False, True, False]
    assert candidates.counts(table) == {"a": 1, "b": 1}
    assert candidates.area() == pytest.approx(100.0)
    assert lowest_scores({"a": 0.5, "b": 0.05}, 0.1) == {"a": 0.1, "b": 0.05}


def test_a_place_is_of_the_strongest_class_above_its_threshold():
    exclusive = [("a", "b")]
    candidates = Candidates({"a": 0.5, "b": 0.7}, {"a": 0.1, "b": 0.1}, 1.0, (100, 100), exclusive, 5.0)
    rows = [(10, 10, "a", 0.55, 0), (10, 12, "b", 0.6, 0), (99, 40, "a", 0.6, 0), (1, 40, "b", 0.9, 1)]
    y, x, names, scores, frames = zip(*rows, strict=True)
    table = make_sites(y, x, list(names), pixel_size=1.0, score=scores, frame=list(frames), origin="predicted")
    assert candidates.mask(table).tolist() == [True, False, True, True]
    candidates.thresholds["b"] = 0.5
    assert candidates.mask(table).tolist() == [False, True, True, True]
    # a class that is switched off is not shown, and takes its places all the same
    candidates.hidden = {"b"}
    assert candidates.mask(table).tolist() == [False, False, True, False]


def test_moving_no_threshold_gives_what_the_command_finds():
    crystal = StructureSettings.preset("wse2", field_of_view=(60.0, 60.0)).changed(
        defects=[{"kind": kind, "probability": 0.1} for kind in ("vacancy1", "vacancy2", "metal_vacancy")]
    )
    noisy = ImagingSettings.preset("varied", shape=(300, 300), pixel_size=0.2).changed(**{"detector.dose": 2e4})
    micrograph, model = simulate(build(crystal, 1), noisy, seed=6).micrograph, load_model("tmd-defects", "cpu")
    card = model.card
    thresholds = {name: card.threshold(name) for name in card.classes}
    lowest = lowest_scores(thresholds, LOWEST_SCORE)
    (part,) = find_frames(micrograph, model, FindSettings(thresholds=lowest), rivals=True)
    candidates = Candidates(
        thresholds, lowest, 0.2, micrograph.shape, card.exclusive, card.min_distance / micrograph.pixel_size
    )
    ours = part.sites[candidates.mask(part.sites)]
    found = find(micrograph, model).sites
    for table in (ours, found):
        assert len(table) > 20
    columns = ["y", "x", "class", "score"]
    order = ["y", "x"]
    pd.testing.assert_frame_equal(
        ours[columns].sort_values(order, ignore_index=True), found[columns].sort_values(order, ignore_index=True)
    )
    # without it this image would prove nothing
    rivals = find(micrograph, model, FindSettings(thresholds=lowest)).sites
    assert int(candidates.mask(rivals).sum()) != len(found)


def test_notes_of_many_frames_become_few_sentences():
    notes = [
        "The column radius was measured as 0.60 angstrom.",
        "Frame 0: 80 of 1441 Gaussian fits were refused; these sites stay unrefined.",
        "Frame 1: 20 of 1442 Gaussian fits were refused; these sites stay unrefined.",
        "The column radius was measured as 0.57 angstrom.",
        "The search was stopped before its end.",
    ]
    assert gather(notes) == [
        "The column radius was measured as 0.57 to 0.60 angstrom.",
        "100 of 2883 Gaussian fits were refused; these sites stay unrefined in 2 frames.",
        "The search was stopped before its end.",
    ]


def test_guarded_never_raises():
    def broken():
        yield ("started", "cpu")
        raise RuntimeError("lost")

    messages = list(guarded(broken))
    assert messages[0] == ("started", "cpu")
    assert messages[1][0] == "failed"
    assert "lost" in messages[1][1]
