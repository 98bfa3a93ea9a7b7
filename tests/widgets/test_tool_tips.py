"""What can be chosen, typed or pressed in a dock says what it is when the mouse rests on it."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QLineEdit, QPushButton

from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.widgets.cyclegan_dock import CycleGANDock
from napari_stemlearn.widgets.find_dock import FindDock
from napari_stemlearn.widgets.label_dock import LabelDock
from napari_stemlearn.widgets.layers import add_image
from napari_stemlearn.widgets.simulate_dock import SimulateDock
from napari_stemlearn.widgets.structure_dock import StructureDock
from napari_stemlearn.widgets.train_dock import TrainDock
from napari_stemlearn.widgets.training_data_dock import TrainingDataDock

MAIN = ("Build", "Preview", "Make a set", "Make the set", "Train", "Learn the look", "Find", "Start labelling")


@pytest.fixture(autouse=True)
def _project(monkeypatch, tmp_path):
    monkeypatch.setenv("STEMLEARN_PROJECT", str(tmp_path / "project"))
    monkeypatch.setenv("STEMLEARN_MODELS", str(tmp_path / "models"))


def tip_of(widget):
    """What Qt shows where the mouse rests on a widget."""
    while widget is not None and not widget.toolTip():
        widget = widget.parentWidget()
    return widget.toolTip() if widget is not None else ""


@pytest.mark.parametrize(
    "kind", [StructureDock, SimulateDock, CycleGANDock, TrainingDataDock, TrainDock, FindDock, LabelDock]
)
def test_everything_that_is_filled_in_says_what_it_is(qtbot, kind):
    viewer = ViewerModel()
    image = add_image(viewer, Micrograph(np.zeros((32, 32), np.float32), 0.2, "a long name"))
    dock = kind(viewer)
    qtbot.addWidget(dock)
    if kind is FindDock:
        dock.options.open()
    if kind is LabelDock:
        dock.score_section.open()
        dock.review_section.open()
    inner = (QAbstractSpinBox, QComboBox)
    fields = [field for one in (*inner, QLineEdit) for field in dock.findChildren(one)]
    silent = [field for field in fields if not isinstance(field.parentWidget(), inner) and not tip_of(field)]
    buttons = [button for button in dock.findChildren(QPushButton) if button.text() in MAIN]
    assert buttons
    silent += [button for button in buttons if not tip_of(button)]
    if kind is FindDock:
        assert dock.image.toolTip() == "The image or stack that is searched\na long name"
        image.name = "another"
        assert dock.image.toolTip() == "The image or stack that is searched\nanother"
        dock.find_button.allow("A reason.")
        assert dock.find_button.button.toolTip() == "A reason."
        dock.process.kill()
    assert [(type(field.parentWidget()).__name__, field.objectName()) for field in silent] == []
