"""Results of several searches: what people changed stays theirs, and each layer keeps its thresholds."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from napari.layers._layer_actions import _duplicate_layer
from napari.utils._proxies import PublicOnlyProxy
from qtpy.compat import isalive
from qtpy.QtWidgets import QWidget
from searches import WAIT, answer_with, found, run
from sites_and_images import PIXEL_SIZE, add_stack, lattice_stack

import napari_stemlearn
from napari_stemlearn.finding import FindSettings
from napari_stemlearn.formats import read_sites, write_tiff
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import make_sites
from napari_stemlearn.widgets.find_dock import FindDock
from napari_stemlearn.widgets.layers import about, add_sites, calibrate, our_layers


@pytest.fixture
def readers(npe2pm):
    """Our readers."""
    with npe2pm.tmp_plugin(manifest=str(Path(napari_stemlearn.__file__).with_name("napari.yaml"))):
        yield


def find_dock(qtbot, viewer):
    dock = closing_dock(viewer)
    qtbot.addWidget(dock)
    return dock


def closing_dock(viewer):
    """A dock that the test itself closes."""
    dock = FindDock(viewer)
    dock.model.choose("log")
    return dock


def close(qtbot, dock):
    """Delete a dock."""
    dock.deleteLater()
    qtbot.waitUntil(lambda: not isalive(dock))


@pytest.fixture
def dock(qtbot, viewer):
    dock = find_dock(qtbot, viewer)
    yield dock
    dock.process.kill()


@pytest.fixture
def stack(viewer):
    return add_stack(viewer, lattice_stack()[0])


@pytest.fixture
def slow():
    """A search that finds a column in one frame, waits, and finds one in the next."""
    go_on = threading.Event()

    def search(_request, _micrograph):
        yield "found", found(0, [0.9], "column")
        go_on.wait(20)
        yield "found", found(1, [0.8], "column")
        yield "end", False

    search.go_on = go_on.set
    yield search
    go_on.set()


def search(qtbot, dock, *frames, scores=(0.9, 0.5), site_class="column"):
    answer_with(dock, [*(("found", found(frame, scores, site_class)) for frame in frames), ("end", False)])
    run(qtbot, dock)
    return dock.layer


def begin(qtbot, dock, slow):
    """Start a slow search and wait for its first frame."""
    dock.process.search = slow
    dock.process.kill = slow.go_on
    dock.find_button.click()
    qtbot.waitUntil(lambda: dock.layer is not None and dock.layer.visible, timeout=WAIT)
    return dock.layer


def end(qtbot, dock, slow):
    slow.go_on()
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)


# --- what people changed ----------------------------------------------------------------------------------------------


def test_edits_made_while_the_dock_was_closed_are_never_overwritten(qtbot, viewer, stack):
    first = closing_dock(viewer)
    layer = search(qtbot, first, 0, 1)
    close(qtbot, first)
    layer.selected_data = {0}
    layer.add([[0, 5, 6]])
    assert layer.features["origin"].tolist()[-1] == "hand"
    assert np.isnan(layer.features["score"].iloc[-1])
    again = search(qtbot, find_dock(qtbot, viewer), 0, 1)
    assert again != layer
    assert (len(layer.data), len(again.data)) == (5, 4)


def test_a_layer_of_an_earlier_dock_that_nobody_edited_is_filled_anew(qtbot, viewer, stack):
    layer = search(qtbot, find_dock(qtbot, viewer), 0, 1, 2)
    assert search(qtbot, find_dock(qtbot, viewer), 0, 1, 2, scores=[0.7]) == layer
    assert len(layer.data) == 3


@pytest.mark.parametrize("what", ["moved", "renamed"])
def test_moved_and_renamed_sites_are_edits(dock, qtbot, viewer, stack, what):
    layer = search(qtbot, dock, 0)
    if what == "moved":
        layer.data[0, 1] += 3
    else:
        layer.features["class"] = ["dirt", "column"]
    assert search(qtbot, dock, 0) != layer


def test_a_duplicated_layer_is_nobodys(dock, qtbot, viewer, stack):
    layer = search(qtbot, dock, 0, 1, 2)
    viewer.layers.selection.active = layer
    _duplicate_layer(viewer.layers)
    viewer.layers.selection.active = layer
    _duplicate_layer(viewer.layers)
    edited, copy = (one for one in our_layers(viewer, "predicted") if one != layer)
    edited.add([[0, 5, 6]])
    assert search(qtbot, dock, 0, 1, 2, scores=[0.7]) == layer
    assert (len(layer.data), len(copy.data), len(edited.data)) == (3, 6, 7)
    dock.results.table.set_threshold("column", 0.65)
    qtbot.waitUntil(lambda: about(layer)["thresholds"] == {"column": 0.65}, timeout=2000)
    assert about(copy)["thresholds"] == {"column": 0.5}


def test_sites_of_other_frames_found_with_other_options_keep_their_layer(dock, qtbot, viewer, stack):
    viewer.dims.set_point(0, 0)
    layer = search(qtbot, dock, 0, 1, 2)
    qtbot.waitUntil(lambda: layer.visible, timeout=2000)
    dock.this_frame.setChecked(True)
    viewer.dims.set_point(0, 2)
    dock.options.open()
    dock.options.form.set_value(FindSettings(border=4.0))
    again = search(qtbot, dock, 2)
    assert again != layer
    assert about(layer)["frames"] == [0, 1, 2]
    assert len(layer.data) == 6
    assert f"stays in the layer '{layer.name}'" in dock.results.notes.text()
    # with the options of before its own frames are taken over
    dock.options.form.set_value(FindSettings())
    assert search(qtbot, dock, 2, scores=[0.7]) == layer
    assert layer.features["score"].tolist() == [0.9, 0.5, 0.9, 0.5, 0.7]
    assert dock.results.notes.text().count("stays in") == 0


def test_a_frame_searched_again_by_another_dock_takes_no_frames_away(qtbot, viewer, stack):
    layer = search(qtbot, find_dock(qtbot, viewer), 0, 1, 2)
    later = find_dock(qtbot, viewer)
    later.this_frame.setChecked(True)
    assert search(qtbot, later, 1, scores=[0.7]) == layer
    assert sorted(about(layer)["frames"]) == [0, 1, 2]
    assert sorted(layer.features["score"]) == [0.5, 0.5, 0.7, 0.9, 0.9]


def test_a_dock_that_is_opened_again_goes_on_with_what_was_found(qtbot, viewer, stack):
    first = closing_dock(viewer)
    layer = search(qtbot, first, 0, 1)
    first.results.table.set_threshold("column", 0.6)
    qtbot.waitUntil(lambda: layer.shown.sum() == 2, timeout=2000)
    close(qtbot, first)
    again = find_dock(qtbot, viewer)
    assert again.layer == layer
    assert again.results.heading.text() == "2 sites in 2 frames of stack"
    assert again.results.table.rows["column"][2].value() == 0.6
    again.results.table.set_threshold("column", 0.4)
    qtbot.waitUntil(lambda: layer.shown.all(), timeout=2000)
    layer.add([[0, 5, 6]])
    qtbot.waitUntil(lambda: not again.results.by_hand.isHidden(), timeout=2000)


@pytest.mark.filterwarnings("error:Private attribute access:FutureWarning")
def test_results_are_found_through_what_napari_hands_to_plugins(qtbot, viewer, stack):
    viewer = PublicOnlyProxy(viewer)
    layer = search(qtbot, find_dock(qtbot, viewer), 0)
    viewer.layers.selection.active = stack
    viewer.layers.selection.active = viewer.layers[-1]
    assert find_dock(qtbot, viewer).layer == layer


@pytest.mark.parametrize("what", ["image", "layer"])
def test_what_happens_while_no_dock_is_open_is_known_to_the_next(qtbot, viewer, stack, what):
    first = closing_dock(viewer)
    layer = search(qtbot, first, 0, 1)
    close(qtbot, first)
    if what == "image":
        stack.data = stack.data[:, ::-1]
    else:
        viewer.layers.remove(layer)
    again = find_dock(qtbot, viewer)
    assert again.results.isHidden() is (what == "layer")
    assert not again.results.export_button.isEnabled()
    if what == "image":
        assert again.results.old.text() == "The image has changed since: search again."


# --- during a search --------------------------------------------------------------------------------------------------


def test_a_search_that_ends_leaves_what_somebody_works_on_selected(dock, qtbot, viewer, stack, slow):
    hand = add_sites(viewer, make_sites([8], [8], "column", pixel_size=PIXEL_SIZE), kind="hand", source_layer=stack)
    viewer.layers.selection.active = hand
    begin(qtbot, dock, slow)
    end(qtbot, dock, slow)
    assert viewer.layers.selection.active is hand


def test_a_layer_that_was_selected_during_a_search_stays_selected(dock, qtbot, viewer, stack, slow):
    other = add_stack(viewer, np.eye(8), "other")
    viewer.layers.selection.active = stack
    begin(qtbot, dock, slow)
    viewer.layers.selection.active = other
    end(qtbot, dock, slow)
    assert viewer.layers.selection.active is other


def test_a_pixel_size_that_changes_during_a_search_holds_for_all_that_was_found(dock, qtbot, viewer, stack, slow):
    begin(qtbot, dock, slow)
    calibrate(viewer, stack, 0.4)
    end(qtbot, dock, slow)
    sites = dock.results.sites()
    np.testing.assert_allclose(sites["y_angstrom"], 0.4 * sites["y"])
    assert dock.results.found.candidates.pixel_size == 0.4
    assert "found with a pixel size of 0.2" in dock.results.resized.text()
    np.testing.assert_allclose(dock.layer.scale, stack.scale)


@pytest.mark.parametrize("how", ["deleted", "closed"])
def test_a_dock_that_closes_leaves_what_its_search_found(how, qtbot, viewer, stack, slow, monkeypatch):
    dock, window = closing_dock(viewer), QWidget()
    dock.setParent(window)
    window.show()
    told = []
    monkeypatch.setattr("napari.utils.notifications.show_info", told.append)
    layer = begin(qtbot, dock, slow)
    assert not layer.editable
    if how == "deleted":
        close(qtbot, dock)
    else:
        # as napari does when somebody clicks on the cross
        dock.setParent(None)
    assert layer.editable
    assert layer.visible
    assert told == ["The search of 'stack' ended when its dock was closed; 1 finished frame kept."]
    if how == "closed":
        # and where it is put back
        qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)
        assert len(layer.data) == 1
        search(qtbot, dock, 0, 1)
        assert len(layer.data) == 4
        close(qtbot, dock)


# --- several results --------------------------------------------------------------------------------------------------


@pytest.fixture
def two(dock, qtbot, viewer, stack):
    """Layers of two models."""
    first = search(qtbot, dock, 0)
    dock.model.choose("tmd-defects")
    return first, search(qtbot, dock, 0, site_class="vacancy1")


def test_a_selected_layer_brings_its_own_thresholds_and_export(dock, qtbot, viewer, two, tmp_path):
    first, second = two
    assert "vacancy1" in dock.results.table.rows
    viewer.layers.selection.active = first
    assert dock.layer is first
    assert list(dock.results.table.rows) == ["column"]
    dock.results.table.set_threshold("column", 0.8)
    qtbot.waitUntil(lambda: first.shown.tolist() == [True, False], timeout=2000)
    dock.results.export_button.click()
    qtbot.waitUntil(lambda: "Saved" in dock.results.saved.text(), timeout=20000)
    (path,) = (tmp_path / "project" / "sites").glob("*-log-*.csv")
    assert read_sites(path)["class"].tolist() == ["column"]
    assert "find(micrograph, 'log'" in dock.results.python_lines()
    viewer.layers.selection.active = second
    assert "vacancy1" in dock.results.table.rows
    assert dock.results.saved.isHidden()


def test_when_the_layer_in_view_is_removed_another_one_is_shown(dock, viewer, two):
    first, second = two
    viewer.layers.remove(second)
    assert dock.layer is first
    assert list(dock.results.table.rows) == ["column"]
    viewer.layers.remove(first)
    assert dock.results.isHidden()


def test_another_name_of_the_image_stands_in_the_heading(dock, qtbot, viewer, stack):
    search(qtbot, dock, 0)
    stack.name = "HAADF 2"
    assert dock.results.heading.text() == "2 sites of HAADF 2"


# --- the files of an image --------------------------------------------------------------------------------------------


def test_copied_lines_read_every_file_of_a_stack(readers, dock, qtbot, viewer, tmp_path):
    data = lattice_stack(n_frames=2)[0]
    paths = [write_tiff(tmp_path / f"{k}.tif", Micrograph(frame, PIXEL_SIZE)) for k, frame in enumerate(data)]
    viewer.open([str(path) for path in paths], stack=True, plugin="napari-stemlearn")
    (layer,) = viewer.layers
    assert layer.data.shape == data.shape
    search(qtbot, dock, 0, 1)
    lines = dock.results.python_lines()
    assert f"read_stack({[str(path) for path in paths]!r}, pixel_size=0.2)" in lines
    compile(lines, "lines", "exec")
    # no file holds other values
    layer.data = layer.data + 1
    lines = dock.results.python_lines()
    assert "# no file holds exactly this image: save its layer as 0.tif first" in lines
    assert "read_micrograph('0.tif'" in lines


def test_copied_lines_read_the_file_of_an_image(readers, dock, qtbot, viewer, tmp_path):
    path = write_tiff(tmp_path / "one.tif", Micrograph(lattice_stack()[0], PIXEL_SIZE))
    viewer.open(str(path), plugin="napari-stemlearn")
    search(qtbot, dock, 0, 1, 2)
    assert f"read_micrograph({str(path)!r}, pixel_size=0.2)" in dock.results.python_lines()
    assert "frames=" not in dock.results.python_lines()
