"""Tests of the docks leave the user's settings alone."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QSettings


@pytest.fixture(autouse=True, scope="session")
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("settings")
    QSettings.setPath(QSettings.Format.NativeFormat, QSettings.Scope.UserScope, str(folder))


@pytest.fixture
def at_work(qtbot):
    """A Label dock on a stack of three frames, labelling."""
    from hands import start_labelling
    from napari.components import ViewerModel

    from napari_stemlearn.widgets.label_dock import LabelDock

    dock = LabelDock(ViewerModel())
    qtbot.addWidget(dock)
    return start_labelling(dock)
