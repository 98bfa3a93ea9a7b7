"""The Structure dock builds specimens and shows them; opening it loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hands import type_into
from qtpy.QtWidgets import QApplication

from napari_stemlearn.structures.settings import StructureSettings
from napari_stemlearn.widgets.layers import about, our_layers
from napari_stemlearn.widgets.structure_dock import FINE, StructureDock

OPEN_ALL = """
import sys
from qtpy.QtWidgets import QApplication
application = QApplication([])
from napari.components import ViewerModel
from napari_stemlearn.widgets import job_panel
from napari_stemlearn.widgets.cyclegan_dock import CycleGANDock
from napari_stemlearn.widgets.simulate_dock import SimulateDock
from napari_stemlearn.widgets.structure_dock import StructureDock
from napari_stemlearn.widgets.train_dock import TrainDock
from napari_stemlearn.widgets.training_data_dock import TrainingDataDock
# what loads in a thread once a dock is open must not count, however slow the computer
job_panel.LATER = 10**6
docks = [Dock(ViewerModel()) for Dock in (StructureDock, SimulateDock, CycleGANDock, TrainingDataDock, TrainDock)]
for dock in docks:
    dock.show()
    application.processEvents()
print(sorted({"torch", "abtem", "hyperspy", "matplotlib", "pyqtgraph"} & set(sys.modules)))
"""


@pytest.fixture
def dock(qtbot, viewer):
    dock = StructureDock(viewer)
    qtbot.addWidget(dock)
    dock.form.set_value(StructureSettings(field_of_view=(30, 40), defects=[{"kind": "vacancy1", "probability": 0.1}]))
    return dock


def build(qtbot, dock):
    dock.build_button.click()
    qtbot.waitUntil(lambda: not dock._background.running, timeout=30_000)


def test_opening_the_docks_loads_nothing_heavy(monkeypatch, tmp_path):
    monkeypatch.setenv("STEMLEARN_PROJECT", str(tmp_path))
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    done = subprocess.run([sys.executable, "-c", OPEN_ALL], capture_output=True, text=True, check=True, timeout=200)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_build_shows_columns_and_defects(qtbot, dock, viewer):
    assert len(viewer.layers) == 0
    build(qtbot, dock)
    columns, defects = our_layers(viewer, "truth")
    assert columns.name == "WSe2 columns"
    assert tuple(columns.scale) == (FINE, FINE)
    assert {str(unit) for unit in columns.units} == {"angstrom"}
    assert set(columns.features["class"]) == {"W", "Se2", "Se"}
    assert set(defects.features["class"]) == {"vacancy1"}
    assert (columns.data * FINE <= (30, 40)).all()
    assert (columns.data >= 0).all()
    specimen = dock.specimen
    inside = specimen.defects["y_angstrom"].between(0, 30) & specimen.defects["x_angstrom"].between(0, 40)
    assert len(defects.data) == inside.sum() > 0
    density = inside.sum() / 12
    assert f"{inside.sum()} vacancy1 ({density:.3f} per nm²)" in dock.report.text()
    assert f"{len(columns.data)} columns in 30 × 40 Å" in dock.report.text()
    colours = {tuple(row) for row in columns.face_color}
    assert len(colours) == 3
    assert about(columns)["specimen"]["settings"]["crystal"] == "WSe2"


def test_building_again_uses_the_same_layers_and_leaves_others_alone(qtbot, dock, viewer):
    build(qtbot, dock)
    layers = list(viewer.layers)
    own = viewer.add_points([[1, 1]], name="WSe2 columns")
    type_into(dock.form.body.editors["crystal"].box.lineEdit(), "graphene")
    build(qtbot, dock)
    assert list(viewer.layers) == [*layers, own]
    assert set(layers[0].features["class"]) == {"C"}
    assert layers[0].name == "graphene columns"
    assert len(own.data) == 1


def test_same_seed_same_specimen(qtbot, dock):
    build(qtbot, dock)
    first = dock.specimen
    build(qtbot, dock)
    assert (dock.specimen.positions == first.positions).all()
    type_into(dock.seed.line, "1")
    build(qtbot, dock)
    assert dock.specimen.positions.shape != first.positions.shape or (dock.specimen.positions != first.positions).any()


@pytest.mark.parametrize(
    ("text", "words"), [("unobtainium", "no crystal preset 'unobtainium'"), ("", "no crystal preset")]
)
def test_an_unknown_crystal_is_refused_and_nothing_starts(dock, viewer, text, words):
    type_into(dock.form.body.editors["crystal"].box.lineEdit(), text)
    assert not dock.build_button.isEnabled()
    assert words in dock.reason.text()
    assert words in dock.form.body._rows[0].errors["crystal"].text()
    assert len(viewer.layers) == 0


def test_a_bad_seed_is_refused(dock):
    type_into(dock.seed.line, "-1")
    assert not dock.build_button.isEnabled()
    assert "The seed is a whole number" in dock.reason.text()


def test_a_missing_cif_file_is_one_sentence(qtbot, dock, viewer):
    dock.form.body.editors["crystal"]._chosen("/nowhere/crystal.cif")
    build(qtbot, dock)
    assert "/nowhere/crystal.cif" in dock.reason.text()
    assert "\n" not in dock.reason.text()
    assert dock.build_button.isEnabled()
    assert len(viewer.layers) == 0


def test_the_crystal_chooser_tells_about_each(dock):
    editor = dock.form.body.editors["crystal"]
    editor.set_raw("SrTiO3")
    assert "3.905" in editor.sentence.text()
    model = editor.box.model()
    headings = [editor.box.itemText(i) for i in range(editor.box.count()) if not model.item(i).isEnabled()]
    assert "Perovskites" in headings


def test_the_copied_lines_build_the_same(qtbot, dock):
    build(qtbot, dock)
    dock.copy_button.click()
    text = QApplication.clipboard().text()
    assert dock.copy_button.text() == "Copied ✓"
    names = {}
    exec(text, names)
    assert (names["specimen"].positions == dock.specimen.positions).all()


def test_docks_open_from_the_plugin_menu_and_close_without_a_trace(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy()
    _dock_widget, dock = viewer.window.add_plugin_dock_widget("napari-stemlearn", "Structure")
    dock.form.set_value(StructureSettings(field_of_view=(20, 20)))
    build(qtbot, dock)
    assert len(viewer.layers) == 2
    assert {str(unit) for layer in viewer.layers for unit in layer.units} == {"angstrom"}
    _dock_widget, simulate = viewer.window.add_plugin_dock_widget("napari-stemlearn", "Simulate")
    simulate.take_button.click()
    assert simulate.settings().structure == dock.settings()
    viewer.window.remove_dock_widget(simulate)
    viewer.window.remove_dock_widget(dock)
