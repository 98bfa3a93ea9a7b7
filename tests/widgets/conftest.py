"""What all tests of the docks have: folders and settings of their own, a viewer, and a display where one is needed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from qtpy.QtCore import QSettings


@pytest.fixture(autouse=True, scope="session")
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("settings")
    QSettings.setPath(QSettings.Format.NativeFormat, QSettings.Scope.UserScope, str(folder))


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A project, models, and a folder for labels that cannot be saved, of each test alone."""
    monkeypatch.setenv("STEMLEARN_PROJECT", str(tmp_path / "project"))
    monkeypatch.setenv("STEMLEARN_MODELS", str(tmp_path / "models"))
    for module in ("labelling.label_store", "widgets.label_saver", "widgets.label_dock"):
        monkeypatch.setattr(f"napari_stemlearn.{module}.rescue_root", lambda: tmp_path / "rescued")


@pytest.fixture(autouse=True)
def _display(request: pytest.FixtureRequest) -> None:
    """Real windows need a display."""
    seen = os.environ.get("QT_QPA_PLATFORM") != "offscreen" and (os.name == "nt" or os.environ.get("DISPLAY"))
    if request.node.get_closest_marker("gui") and not seen:
        pytest.skip("needs a display with OpenGL, for example Xvfb with Mesa")


@pytest.fixture
def viewer():
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture
def at_work(qtbot):
    """A Label dock on a stack of three frames, labelling."""
    from hands import start_labelling
    from napari.components import ViewerModel

    from napari_stemlearn.widgets.label_dock import LabelDock

    dock = LabelDock(ViewerModel())
    qtbot.addWidget(dock)
    return start_labelling(dock)
