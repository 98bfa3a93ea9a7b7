"""The Simulate dock previews one image of the very set that it writes."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest
from hands import type_into
from napari.components import ViewerModel

from napari_stemlearn.datasets.settings import SimulateSettings
from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.jobs import RunState
from napari_stemlearn.sites import make_sites
from napari_stemlearn.structures.settings import StructureSettings
from napari_stemlearn.widgets.layers import add_sites, kind_of, our_layers
from napari_stemlearn.widgets.preview_process import PreviewProcess
from napari_stemlearn.widgets.simulate_dock import SimulateDock, show_truth
from napari_stemlearn.widgets.structure_dock import StructureDock, show_specimen


@pytest.fixture
def dock(qtbot, viewer):
    dock = SimulateDock(viewer)
    qtbot.addWidget(dock)
    dock.form.set_value(
        SimulateSettings(
            number=2,
            device="cpu",
            structure={"defects": [{"kind": "vacancy1", "probability": 0.3}]},
            imaging={"shape": (40, 48), "pixel_size": 0.3},
        )
    )
    return dock


def preview(qtbot, dock):
    dock.preview_button.click()
    qtbot.waitUntil(lambda: not dock._background.running, timeout=100_000)


def test_a_preview_says_where_the_model_ends(qtbot, dock):
    thick = {"crystal": "Au", "thickness": 200.0, "defects": []}
    dock.form.set_value(dock.settings().changed(structure=thick))
    preview(qtbot, dock)
    assert "of the incident beam; the model adds up what single atoms scatter" in dock.report.text()


def test_preview_and_set_hold_the_same_images(qtbot, dock, viewer):
    preview(qtbot, dock)
    image, columns, defects = viewer.layers
    assert image.name == "simulated image 0"
    assert image.data.shape == (40, 48)
    assert [kind_of(layer) for layer in viewer.layers] == ["simulated", "truth", "truth"]
    for layer in viewer.layers:
        assert tuple(layer.scale) == (0.3, 0.3)
        assert {str(unit) for unit in layer.units} == {"angstrom"}
    assert not columns.visible
    assert defects.visible
    assert "40 × 48 pixels of 0.3 Å" in dock.report.text()
    assert f"{len(defects.data)} vacancy1" in dock.report.text()
    assert "incident beam" not in dock.report.text()

    type_into(dock.index.line, "1")
    preview(qtbot, dock)
    assert list(viewer.layers) == [image, columns, defects]
    assert image.name == "simulated image 1"
    second = image.data.copy()

    dock.panel.start_button.click()
    qtbot.waitUntil(lambda: dock.panel.state is RunState.DONE, timeout=100_000)
    assert not dock.open_button.isHidden()
    dock.open_button.click()
    qtbot.waitUntil(lambda: not dock._opener.running, timeout=30_000)
    assert not our_layers(viewer, "preview"), "the set takes the place of its newest image"
    stack = viewer.layers[dock.panel.run.name]
    assert stack.data.shape == (2, 40, 48)
    np.testing.assert_array_equal(stack.data[1], second)
    truth = viewer.layers[f"{dock.panel.run.name} defects"]
    np.testing.assert_allclose(truth.data[truth.data[:, 0] == 1][:, 1:], defects.data, atol=1e-3)


def test_take_the_specimen_from_the_structure_dock(qtbot, dock, viewer):
    before = dock.settings()
    button = dock.take_button.button
    assert not button.isEnabled()
    assert dock.take_button.reason.text() == "There is no specimen yet: open the Structure dock."
    dock.take_structure()
    assert dock.settings() == before
    structure = StructureDock(viewer)
    qtbot.addWidget(structure)
    qtbot.waitUntil(button.isEnabled, timeout=5000)
    structure.form.set_value({**StructureSettings.preset("graphene").record(), "field_of_view": (0, 0)})
    assert not button.isEnabled()
    assert dock.take_button.reason.text() == "A setting of the Structure dock is not allowed."
    structure.form.set_value(StructureSettings.preset("graphene"))
    dock.take_button.click()
    assert dock.settings().structure == StructureSettings.preset("graphene")
    assert "settings of the specimen are now those of the Structure dock (graphene)" in dock.form.message.text()


def test_take_the_specimen_from_the_layers_where_the_dock_is_closed(dock, viewer):
    from napari_stemlearn.structures import build

    settings = StructureSettings(crystal="MoS2", field_of_view=(20, 20))
    show_specimen(viewer, build(settings, 0))
    dock.take_button.click()
    assert dock.settings().structure == settings
    viewer.layers.clear()
    assert not dock.take_button.button.isEnabled()


def test_the_built_specimen_is_not_left_under_an_image_with_other_atoms(viewer):
    from napari_stemlearn.micrograph import Micrograph
    from napari_stemlearn.structures import build

    def show_image():
        table = make_sites([8], [8], "vacancy1", pixel_size=0.2)
        show_truth(viewer, Micrograph(np.zeros((40, 48), np.float32), 0.2), table, table, "preview")

    settings = StructureSettings(crystal="MoS2", field_of_view=(20, 20))
    show_specimen(viewer, build(settings, 0))
    columns, defects = viewer.layers
    columns.visible = False
    show_image()
    assert not defects.visible
    # Build brings back what a person looked at
    show_specimen(viewer, build(settings, 1))
    assert defects.visible
    assert not columns.visible
    defects.visible = False
    show_image()
    show_specimen(viewer, build(settings, 2))
    assert not defects.visible


def test_another_viewer_has_its_own_specimen(qtbot, dock):
    other = StructureDock(ViewerModel())
    qtbot.addWidget(other)
    other.form.set_preset("graphene")
    assert not dock.take_button.button.isEnabled()
    assert "There is no specimen yet" in dock.take_button.reason.text()


def test_a_bad_value_stops_both_buttons(dock, viewer):
    type_into(dock.form.body.editors["number"].line, "0")
    assert not dock.preview_button.isEnabled()
    assert not dock.panel.start_button.isEnabled()
    assert "Number is 0; allowed: 1 to 1000000" in dock.panel.reason.text()
    type_into(dock.form.body.editors["number"].line, "3")
    type_into(dock.index.line, "first")
    assert not dock.preview_button.isEnabled()
    assert dock.panel.start_button.isEnabled()
    assert "whole number" in dock.reason.text()


def test_a_dead_process_is_replaced_and_a_failure_in_it_is_told(qtbot, dock, viewer):
    dock._process.start()
    dead = dock._process._child
    dead.kill()
    dead.wait()
    dock.form.set_value({**dock.settings().record(), "device": "cuda:93"})
    preview(qtbot, dock)
    assert "cuda:93" in dock.reason.text()
    assert "\n" not in dock.reason.text()
    assert dock.preview_button.isEnabled()
    assert dock.preview_button.text() == "Preview"
    assert len(viewer.layers) == 0
    child = dock._process._child
    assert child is not dead
    dock.close()
    child.wait(30)


def test_a_process_that_dies_in_the_middle_is_told(qtbot, dock):
    dock.preview_button.click()
    qtbot.waitUntil(lambda: dock._process._child is not None)
    dock._process._child.kill()
    qtbot.waitUntil(lambda: not dock._background.running, timeout=30_000)
    assert "The simulation process ended: it was killed" in dock.reason.text()


@pytest.mark.skipif(os.name == "nt", reason="no signals there")
def test_a_process_whose_streams_close_before_it_is_gone_is_told_to_be_killed():
    process = PreviewProcess()
    lines = ["sh", "-c", "exec >&-; sleep 0.5; kill -9 $$"]
    process._child = subprocess.Popen(lines, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with pytest.raises(StemlearnError, match="it was killed"):
        process.simulate({}, 0)


def test_a_preview_is_stopped_and_the_next_one_comes(qtbot, dock, viewer):
    assert dock.stop_button.isHidden()
    dock.preview_button.click()
    qtbot.waitUntil(lambda: dock._process._child is not None)
    child = dock._process._child
    assert not dock.stop_button.isHidden()
    dock.stop_button.click()
    assert dock.stop_button.isHidden()
    assert dock.preview_button.isEnabled()
    assert dock.preview_button.text() == "Preview"
    child.wait(10)
    preview(qtbot, dock)
    assert dock.reason.text() == ""
    assert len(viewer.layers) == 3
    # the thread of the first one has ended by now, and did not take the process of the second one with it
    assert dock._process._child.poll() is None


def test_a_preview_has_the_number_that_was_asked_for(qtbot, dock, viewer):
    type_into(dock.index.line, "1")
    dock.preview_button.click()
    type_into(dock.index.line, "7")
    qtbot.waitUntil(lambda: not dock._background.running, timeout=100_000)
    assert viewer.layers[0].name == "simulated image 1"


def test_an_image_with_predictions_keeps_them_and_the_next_preview_is_another_layer(qtbot, dock, viewer):
    preview(qtbot, dock)
    before = list(viewer.layers)
    pixels = before[0].data.copy()
    found = make_sites([5.0], [6.0], "vacancy1", pixel_size=0.3, score=0.9, origin="predicted")
    predicted = add_sites(viewer, found, kind="predicted", source_layer=before[0])
    type_into(dock.index.line, "1")
    preview(qtbot, dock)
    assert list(viewer.layers)[:4] == [*before, predicted]
    np.testing.assert_array_equal(before[0].data, pixels)
    assert [layer.name for layer in before] == [f"simulated image 0{end}" for end in ("", " columns", " defects")]
    later = list(viewer.layers)[4:]
    assert [layer.name for layer in later] == [f"simulated image 1{end}" for end in ("", " columns", " defects")]
    # the new ones are used again
    type_into(dock.index.line, "0")
    preview(qtbot, dock)
    assert list(viewer.layers) == [*before, predicted, *later]


def test_a_runtime_error_in_the_thread_is_heard(qtbot, dock):
    def amiss():
        raise RuntimeError("something else is amiss")

    dock._background.start(amiss)
    qtbot.waitUntil(lambda: not dock._background.running, timeout=10_000)
    assert "something else is amiss" in dock.reason.text()


def test_the_copied_lines_are_the_settings(dock):
    text = dock.lines()
    names = {}
    exec(text.split("labelled, seeds")[0], names)
    assert names["settings"] == dock.settings()
