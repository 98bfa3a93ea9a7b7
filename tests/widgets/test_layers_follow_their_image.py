"""An image that is scaled or moved with napari's own tools takes along all of ours that lies on its pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hands import predictions
from napari.components import ViewerModel
from searches import answer_with, found, run
from sites_and_images import PIXEL_SIZE, add_stack, lattice_stack

from napari_stemlearn.formats import read_sites
from napari_stemlearn.sites import make_sites
from napari_stemlearn.widgets.dock import Dock
from napari_stemlearn.widgets.find_dock import FindDock
from napari_stemlearn.widgets.label_dock import LabelDock
from napari_stemlearn.widgets.layers import add_sites, placement
from napari_stemlearn.widgets.probability_maps import ProbabilityMaps
from napari_stemlearn.widgets.search_child import SearchRequest
from napari_stemlearn.widgets.simulate_dock import show_truth

TURN = np.array([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]])
AFFINE = np.block([[TURN, np.array([[0], [3.0], [-1.0]])], [np.zeros((1, 3)), np.ones((1, 1))]])
MOVES = [
    ("scale", (1, 0.1, 0.1)),
    ("translate", (0, 5, -3)),
    ("rotate", TURN),
    ("affine", AFFINE),
    ("units", ("pixel", "nm", "nm")),
]


@pytest.fixture
def image(viewer):
    return add_stack(viewer, lattice_stack()[0])


def open_dock(qtbot, viewer, kind=Dock, *arguments):
    dock = kind(viewer, *arguments)
    qtbot.addWidget(dock)
    return dock


def on_its_pixels(layer, image):
    return layer.units == image.units and all(
        np.allclose(one, other) for one, other in zip(placement(layer), placement(image), strict=True)
    )


def truth_of(viewer, image):
    table = make_sites([8, 24, 40], [8, 24, 40], "vacancy1", pixel_size=PIXEL_SIZE, frame=[0, 0, 1])
    return add_sites(viewer, table, kind="truth", source_layer=image)


def from_table(viewer, image, pixel_size=PIXEL_SIZE):
    """Sites as the reader gives them: they know their image by its name."""
    table = make_sites([8], [8], "vacancy1", pixel_size=pixel_size)
    record = {"source": image.name}
    return add_sites(viewer, table, kind="truth", pixel_size=pixel_size, stack=True, record=record)


def map_of(viewer, image, frames=3):
    request = SearchRequest("toy", "cpu", {}, image.name, image.data.shape, "<f4", PIXEL_SIZE, None, True, {})
    return ProbabilityMaps(viewer, image, request, "toy")._new("column", np.zeros((frames, 48, 48), np.float32), 0.4)


@pytest.mark.parametrize(("how", "value"), MOVES)
def test_all_of_ours_stays_on_the_pixels(qtbot, viewer, image, how, value):
    dock = open_dock(qtbot, viewer, Dock, "")
    layers = [predictions(viewer, image), truth_of(viewer, image), from_table(viewer, image)]
    others = viewer.add_points([[0, 8, 8]], scale=image.scale, units=image.units)
    theirs = placement(others)
    # also while no dock is open any more
    dock.deleteLater()
    setattr(image, how, value)
    assert all(on_its_pixels(layer, image) for layer in layers)
    np.testing.assert_array_equal(placement(others)[0], theirs[0])


@pytest.mark.parametrize(("how", "value"), MOVES)
def test_a_map_keeps_its_corners_on_those_of_the_image(qtbot, viewer, image, how, value):
    open_dock(qtbot, viewer, Dock, "")
    image.rotate = TURN
    layer = map_of(viewer, image)
    setattr(image, how, value)
    assert layer.units == image.units
    for theirs, ours in (((0, -0.5, -0.5), (0, -0.5, -0.5)), ((0, 95.5, -0.5), (0, 47.5, -0.5))):
        np.testing.assert_allclose(layer.data_to_world(ours), image.data_to_world(theirs), atol=1e-9)


def test_sites_of_a_file_that_lie_elsewhere_stay_there(qtbot, viewer, image):
    open_dock(qtbot, viewer, Dock, "")
    layer = from_table(viewer, image, pixel_size=0.5)
    image.translate = (0, 4, 4)
    np.testing.assert_array_equal(layer.translate, (0, 0, 0))
    np.testing.assert_array_equal(layer.scale, (1, 0.5, 0.5))


def test_another_viewer_and_a_removed_image_are_left_alone(qtbot, viewer, image):
    layer, other = predictions(viewer, image), ViewerModel()
    open_dock(qtbot, other, Dock, "")
    image.scale = (1, 0.1, 0.1)
    assert layer.scale[-1] == PIXEL_SIZE
    open_dock(qtbot, viewer, Dock, "")
    viewer.layers.remove(image)
    image.scale = (1, 0.3, 0.3)
    assert layer.scale[-1] == PIXEL_SIZE


def test_what_was_found_and_edited_is_exported_on_its_pixels(qtbot, viewer, image, tmp_path):
    dock = open_dock(qtbot, viewer, FindDock)
    dock.model.choose("log")
    answer_with(dock, [("found", found(0, [0.9, 0.8], "column")), ("end", False)])
    run(qtbot, dock)
    image.scale = (1, 0.1, 0.1)
    image.translate = (0, 4, 4)
    # the layer of the results is moved as well
    dock.layer.translate = (0, 7, 7)
    dock.layer.add([[0, 5, 6]])
    dock.results.export_button.click()
    qtbot.waitUntil(lambda: "Saved" in dock.results.saved.text(), timeout=20000)
    (path,) = (tmp_path / "project" / "sites").glob("*.csv")
    exported = read_sites(path)
    np.testing.assert_allclose(exported[["y", "x"]], [[10, 10], [20, 20], [5, 6]])
    np.testing.assert_allclose(exported["y_angstrom"], 0.1 * exported["y"])


def score(qtbot, dock, found_layer, truth_layer):
    dock.score.found.choose(found_layer)
    dock.score.truth.choose(truth_layer)
    dock.score.scores = None
    dock.score.score_now()
    qtbot.waitUntil(lambda: dock.score.scores is not None, timeout=20000)
    return dock.score.scores.table.iloc[0]


def test_the_score_counts_pixels_of_the_image_whatever_was_moved(qtbot, viewer, image):
    dock = open_dock(qtbot, viewer, LabelDock)
    found_layer, truth_layer = predictions(viewer, image), truth_of(viewer, image)
    assert score(qtbot, dock, found_layer, truth_layer)["f1"] == 1
    image.scale = (1, 0.1, 0.1)
    found_layer.translate = (0, 7, 7)
    assert score(qtbot, dock, found_layer, truth_layer)["f1"] == 1


def test_a_scale_from_before_the_docks_is_made_good_when_labelling_starts(qtbot, viewer, image):
    layer, labels = predictions(viewer, image), ((0, 8, 8), (0, 24, 24), (1, 40, 40))
    image.scale = (1, 0.1, 0.1)
    dock = open_dock(qtbot, viewer, LabelDock)
    dock.start_button.button.click()
    assert on_its_pixels(layer, image)
    for frame, y, x in labels:
        dock.session.labels.add(frame, y, x, "vacancy1")
    assert score(qtbot, dock, layer, dock.session.layer)["f1"] == 1


def test_a_preview_of_another_pixel_size_has_symbols_of_the_size_of_atoms(qtbot, viewer):
    from napari_stemlearn.micrograph import Micrograph

    open_dock(qtbot, viewer, Dock, "")
    table = make_sites([8], [8], "vacancy1", pixel_size=0.2)
    for pixel_size in (0.2, 0.1):
        show_truth(viewer, Micrograph(np.zeros((40, 48), np.float32), pixel_size), table, table, "preview")
        assert len(viewer.layers) == 3
        for layer in viewer.layers[1:]:
            np.testing.assert_allclose(layer.size * layer.scale[-1], 1.6)
