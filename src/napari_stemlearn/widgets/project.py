"""The project folder that all docks share: where runs, models, labels and data sets go."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from qtpy.QtCore import QObject, QSettings, Qt, QUrl, Signal
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_stemlearn.file_errors import reason
from napari_stemlearn.project_folder import VARIABLE, project_folder, remember_project_folder, variable_rules
from napari_stemlearn.widgets.labels import ElidedLabel, ErrorLabel
from napari_stemlearn.widgets.menu_button import MenuButton

MODEL_KEY = "last_model"


class Project(QObject):
    """The project folder and the folders in it; none is made before something is written."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._store = QSettings("napari-stemlearn", "napari-stemlearn")

    @property
    def folder(self) -> Path:
        """The project folder: by the environment, as remembered, or the default."""
        return project_folder()

    @property
    def runs(self) -> Path:
        """Run folders of all jobs."""
        return self.folder / "runs"

    @property
    def models(self) -> Path:
        """Models that were kept."""
        return self.folder / "models"

    @property
    def generators(self) -> Path:
        """Generators that were kept."""
        return self.folder / "generators"

    @property
    def experiments(self) -> Path:
        """Experimental images that were in no file when a training took them."""
        return self.folder / "experiments"

    @property
    def simulations(self) -> Path:
        """Simulated stacks that were in no file when a training took them."""
        return self.folder / "simulations"

    @property
    def labels(self) -> Path:
        """Hand labels."""
        return self.folder / "labels"

    @property
    def data_sets(self) -> Path:
        """Simulated sets."""
        return self.folder / "data_sets"

    def set_folder(self, folder: str | Path) -> str | None:
        """Choose another project folder and remember it; returns the sentence that says why it cannot be used."""
        if variable_rules():
            return f"The environment variable {VARIABLE} names the project folder, so it cannot be changed here."
        folder = Path(folder).expanduser().absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return f"The folder {folder} cannot be made: {reason(error)}."
        if not os.access(folder, os.W_OK):
            return f"Nothing can be written to {folder}."
        try:
            remember_project_folder(folder)
        except OSError as error:
            return f"The choice cannot be remembered: {reason(error)}."
        self.changed.emit()
        return None

    @property
    def last_model(self) -> str:
        """Name of the model that was last chosen in this project; empty where none was."""
        return str(self._store.value(self._model_key(), "", type=str))

    def remember_model(self, name: str) -> None:
        """Remember the model that was chosen; kept with the user's settings, so that no folder is made for it."""
        self._store.setValue(self._model_key(), name)

    def _model_key(self) -> str:
        return f"{MODEL_KEY}/{hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]}"


_shared: Project | None = None


def shared_project() -> Project:
    """The one project of this program."""
    global _shared
    if _shared is None:
        _shared = Project()
    return _shared


class ProjectRow(QWidget):
    """One line that shows the project folder, with a menu to change or open it; why it was not changed stands below."""

    def __init__(self, project: Project | None = None, parent: QWidget | None = None):
        super().__init__(parent)
        self.project = project or shared_project()
        self.label = ElidedLabel()
        self.button = MenuButton("Change or open the project folder")
        self.button.entries.addAction("Change the project folder…", self._ask)
        self.button.entries.addAction("Open the folder", self._open)
        self.error = ErrorLabel()
        row = QHBoxLayout()
        row.addWidget(QLabel("Project"))
        row.addWidget(self.label, 1)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.error)
        self.project.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the folder as it is now."""
        folder = str(self.project.folder)
        home = str(Path.home())
        short = "~" + folder[len(home) :] if folder.startswith(home + os.sep) else folder
        self.error.say(None)
        self.label.set_full_text(short, f"Runs, models and labels go to {folder}")

    def choose(self, folder: str) -> None:
        """Use another folder; says why where it cannot be used."""
        problem = self.project.set_folder(folder)
        # a line cannot be broken inside a path otherwise
        self.error.say(problem.replace(os.sep, f"{os.sep}\u200b") if problem else None)

    def _ask(self) -> None:
        if variable_rules():
            # said before somebody looks for a folder in vain
            self.choose("")
            return
        dialog = QFileDialog(self, "Project folder", str(self.project.folder))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.choose)
        dialog.open()

    def _open(self) -> None:
        folder = self.project.folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))
