"""The Score panel chooses labels of the searched image with classes that were looked for, until a person chooses."""

from __future__ import annotations

import numpy as np
import pytest
from sites_and_images import PIXEL_SIZE, add_stack, lattice_stack

from napari_stemlearn.sites import make_sites
from napari_stemlearn.structures import build
from napari_stemlearn.structures.settings import StructureSettings
from napari_stemlearn.widgets.label_dock import LabelDock
from napari_stemlearn.widgets.layers import add_sites
from napari_stemlearn.widgets.score_choice import NOTHING_IN_COMMON, nothing_in_common
from napari_stemlearn.widgets.structure_dock import show_specimen
from napari_stemlearn.widgets.written_sites import note


@pytest.fixture
def image(viewer):
    return add_stack(viewer, lattice_stack()[0])


@pytest.fixture
def panel(qtbot, viewer):
    dock = LabelDock(viewer)
    qtbot.addWidget(dock)
    return dock.score


def sites(viewer, image, kind, site_class, name="", **options):
    table = make_sites([8], [8], site_class, pixel_size=PIXEL_SIZE)
    return add_sites(viewer, table, kind=kind, source_layer=image, name=name or f"{site_class} {kind}", **options)


def test_the_specimen_of_the_structure_dock_is_no_truth_of_an_image(viewer, image, panel):
    show_specimen(viewer, build(StructureSettings(field_of_view=(20, 20)), 0))
    sites(viewer, image, "predicted", "vacancy1")
    assert panel.truth.layer() is None
    assert panel.why_not().startswith("Label some sites")
    truth = sites(viewer, image, "truth", "vacancy1")
    assert panel.truth.layer() == truth
    assert panel.truth.count() == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_labels_of_the_image_with_classes_of_the_search_come_first(viewer, image, panel, order):
    other = add_stack(viewer, lattice_stack(seed=3)[0], "other")
    found = sites(viewer, image, "predicted", "vacancy1")
    wanted = [(other, "vacancy1"), (image, "column"), (image, "vacancy1")]
    layers = {place: sites(viewer, *(wanted[place][0], "truth", wanted[place][1])) for place in order}
    assert panel.found.layer() == found
    assert panel.truth.layer() == layers[2]
    viewer.layers.remove(layers[2])
    assert panel.truth.layer() == layers[1]
    viewer.layers.remove(layers[1])
    assert panel.truth.layer() == layers[0]
    assert "belong to two images" in panel.why_not()


def test_classes_of_a_search_without_finds_and_published_names_count(viewer, image, panel):
    columns = sites(viewer, image, "truth", "column")
    defects = sites(viewer, image, "truth", "V_Se")
    found = sites(viewer, image, "predicted", "other")
    panel.score_now()
    assert panel.truth.layer() == columns
    # as a search does when it has filled its layer
    note(found, thresholds={"vacancy1": 0.5})
    panel.score_now()
    assert panel.truth.layer() == defects
    assert nothing_in_common(found, defects) is None


def test_labels_that_a_person_chose_stay(viewer, image, panel):
    columns = sites(viewer, image, "truth", "column")
    sites(viewer, image, "predicted", "vacancy1")
    panel.truth.choose(columns)
    sites(viewer, image, "truth", "vacancy1")
    panel.score_now()
    assert panel.truth.layer() == columns
    # but not for what was found in another image
    other = add_stack(viewer, lattice_stack(seed=3)[0], "other")
    theirs = sites(viewer, other, "truth", "vacancy1", name="theirs")
    panel.found.choose(sites(viewer, other, "predicted", "vacancy1", name="found there"))
    assert panel.truth.layer() == theirs


def test_labels_without_any_class_of_the_search_are_called_so(qtbot, viewer, image, panel):
    found, columns = sites(viewer, image, "predicted", "vacancy1"), sites(viewer, image, "truth", "column")
    panel.score_now()
    qtbot.waitUntil(lambda: panel.scores is not None, timeout=20000)
    assert panel.notes.text().startswith(NOTHING_IN_COMMON)
    columns.features = columns.features.assign(**{"class": np.array(["vacancy1"], dtype=object)})
    assert nothing_in_common(found, columns) is None
    panel.scores = None
    panel.score_now()
    qtbot.waitUntil(lambda: panel.scores is not None, timeout=20000)
    assert NOTHING_IN_COMMON not in panel.notes.text()
