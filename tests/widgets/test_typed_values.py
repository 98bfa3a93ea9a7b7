"""What was typed into a dock is there again when the dock is closed and opened."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.widgets.cyclegan_dock import CycleGANDock
from napari_stemlearn.widgets.find_dock import FindDock
from napari_stemlearn.widgets.label_dock import LabelDock
from napari_stemlearn.widgets.layers import add_image
from napari_stemlearn.widgets.simulate_dock import SimulateDock
from napari_stemlearn.widgets.structure_dock import StructureDock
from napari_stemlearn.widgets.train_dock import TrainDock
from napari_stemlearn.widgets.training_data_dock import TrainingDataDock


@pytest.fixture(autouse=True)
def _project(monkeypatch, tmp_path):
    monkeypatch.setenv("STEMLEARN_PROJECT", str(tmp_path / "project"))
    monkeypatch.setenv("STEMLEARN_MODELS", str(tmp_path / "models"))


@pytest.fixture
def opened(qtbot):
    """Opens docks, and closes them as napari does."""
    docks = []

    def open_dock(kind, viewer):
        dock = kind(viewer)
        qtbot.addWidget(dock)
        docks.append(dock)
        return dock

    yield open_dock
    for dock in docks:
        if isinstance(dock, FindDock):
            dock.process.kill()


def type_into(line, text):
    line.setText(text)
    line.textEdited.emit(text)


def options_of(dock):
    dock.options.open()
    return dock.options.form


DOCKS = {
    SimulateDock: (lambda dock: dock.form, "number", "twelve"),
    TrainDock: (lambda dock: dock.form, "name", "my atoms"),
    CycleGANDock: (lambda dock: dock.form, "name", "my look"),
    TrainingDataDock: (lambda dock: dock.form, "name", "my set"),
    FindDock: (options_of, "border", "50"),
}


@pytest.mark.parametrize("kind", DOCKS)
def test_a_form_has_what_was_typed_before(opened, kind):
    form_of, field, text = DOCKS[kind]
    viewer = ViewerModel()
    dock = opened(kind, viewer)
    form = form_of(dock)
    if form.section is not None:
        form.section.open()
    type_into(form.body.editors[field].line, text)
    dock.setParent(None)
    again = opened(kind, viewer)
    form = again.options.form if kind is FindDock else again.form
    # also what is wrong
    assert form.raw()[field] == text
    if form.section is not None:
        form.section.open()
    assert form.body.editors[field].line.text() == text
    other = form_of(opened(kind, ViewerModel()))
    assert other.raw()[field] != text


def test_numbers_beside_a_form_come_back_too(opened):
    viewer = ViewerModel()
    dock = opened(StructureDock, viewer)
    for line, text in zip(dock.form.body.editors["field_of_view"].lines, ("35", "abc"), strict=True):
        type_into(line, text)
    type_into(dock.seed.line, "7")
    again = opened(StructureDock, viewer)
    assert again.form.raw()["field_of_view"] == ["35", "abc"]
    assert again.seed.raw() == "7"
    assert not again.build_button.isEnabled()
    again.form.reset()
    assert again.build_button.isEnabled()
    # a dock that was closed has no say any more
    type_into(dock.seed.line, "8")
    assert opened(StructureDock, viewer).seed.raw() == "7"


def test_the_number_of_the_preview_comes_back(opened):
    viewer = ViewerModel()
    type_into(opened(SimulateDock, viewer).index.line, "3")
    assert opened(SimulateDock, viewer).index.raw() == "3"


def test_options_of_a_search_come_back_unfolded(opened):
    viewer = ViewerModel()
    dock = opened(FindDock, viewer)
    dock.options.open()
    dock.options.maps_box.setChecked(True)
    dock.options.device.set_raw("cpu")
    dock.options.device.changed.emit()
    again = opened(FindDock, viewer)
    assert again.options.is_open
    assert again.options.with_maps()
    assert again.options.device_name() == "cpu"
    assert not opened(FindDock, ViewerModel()).options.is_open


def test_tolerance_and_border_of_a_score_come_back(opened):
    viewer = ViewerModel()
    dock = opened(LabelDock, viewer)
    dock.score_section.open()
    dock.score.tolerance.setValue(0.9)
    dock.score.border.setValue(12)
    again = opened(LabelDock, viewer)
    again.score_section.open()
    assert again.score.tolerance.value() == 0.9
    assert again.score.border.value() == 12


def test_a_generator_is_called_after_its_images_until_somebody_names_it(opened, qtbot):
    viewer = ViewerModel()
    rng = np.random.default_rng(0)
    for name in ("day a", "day b"):
        add_image(viewer, Micrograph(rng.poisson(50, (2, 96, 96)).astype(np.uint16), 0.2, name))
    dock = opened(CycleGANDock, viewer)
    qtbot.waitUntil(lambda: dock.experiment.look is not None, timeout=20_000)
    first = dock.form.raw()["name"]
    assert first in ("day_a", "day_b")
    again = opened(CycleGANDock, viewer)
    qtbot.waitUntil(lambda: again.experiment.look is not None, timeout=20_000)
    other = next(layer for layer in viewer.layers if layer is not again.experiment.layer())
    again.experiment.layers.choose(other)
    qtbot.waitUntil(lambda: again.form.raw()["name"] != first, timeout=20_000)
