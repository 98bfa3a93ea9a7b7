"""The Train dock: choose what to learn and from what, watch it learn, use the model."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_stemlearn import jobs
from napari_stemlearn.errors import SettingsError
from napari_stemlearn.jobs import Run, RunState
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.models.store import CARD, shipped_folder
from napari_stemlearn.widgets.copy_python import CopyButton, job_lines
from napari_stemlearn.widgets.dock import Dock, separator
from napari_stemlearn.widgets.editors import CalmComboBox
from napari_stemlearn.widgets.form import LABEL_WIDTH, SettingsForm
from napari_stemlearn.widgets.job_panel import JobPanel
from napari_stemlearn.widgets.keeping import keep
from napari_stemlearn.widgets.labels import DimLabel
from napari_stemlearn.widgets.project import Project, ProjectRow, shared_project
from napari_stemlearn.widgets.section import Section

if TYPE_CHECKING:
    from napari.components import ViewerModel

SIMULATED = "images simulated while it trains"
OTHER = "another folder…"


class SourceChooser(QWidget):
    """Where labelled images come from: simulation on the fly, a set of the Simulate dock, or any folder of such."""

    changed = Signal()

    def __init__(self, project: Project | None = None, parent: QWidget | None = None):
        super().__init__(parent)
        self.project = project or shared_project()
        self.folder = ""
        self._folders: list[str] = []
        self.box = CalmComboBox()
        self.box.setToolTip("Simulation never shows the same image twice; a stored set is learnt from again and again")
        self.note = DimLabel()
        label = QLabel("Learns from")
        label.setMinimumWidth(LABEL_WIDTH)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 1)
        grid.addWidget(label, 0, 0)
        grid.addWidget(self.box, 0, 1)
        grid.addWidget(self.note, 1, 0, 1, 2)
        self.box.activated.connect(self._chosen)
        self.project.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """List the sets of the project again."""
        sets = [
            run.result_folder
            for run in jobs.list_runs(self.project.runs)[:200]
            if "-simulate" in run.name and (run.result_folder / "images.csv").exists()
        ]
        self._folders = ["", *(str(folder) for folder in sets)]
        if self.folder and self.folder not in self._folders:
            self._folders.append(self.folder)
        self.box.clear()
        self.box.addItem(SIMULATED)
        for folder in self._folders[1:]:
            path = Path(folder)
            self.box.addItem(path.parent.name if path.name == "result" else path.name or folder)
            self.box.setItemData(self.box.count() - 1, folder, Qt.ItemDataRole.ToolTipRole)
        self.box.addItem(OTHER)
        self.box.setCurrentIndex(self._folders.index(self.folder))
        self._describe()

    def choose(self, folder: str) -> None:
        """Take a folder of labelled images, or simulation for an empty text."""
        self.folder = folder
        self.refresh()
        self.changed.emit()

    def problem(self) -> str | None:
        """Why the chosen folder cannot be learnt from."""
        if self.folder and not any(Path(self.folder).glob("*_sites.csv")):
            return f"There are no labelled images (NAME.tif with NAME_sites.csv) in {self.folder}."
        return None

    def showEvent(self, event: object) -> None:
        self.refresh()
        super().showEvent(event)

    def _describe(self) -> None:
        self.note.setText(self.folder)
        self.note.setVisible(bool(self.folder))

    def _chosen(self, index: int) -> None:
        if index < len(self._folders):
            self.choose(self._folders[index])
            return
        self.box.setCurrentIndex(self._folders.index(self.folder))
        dialog = QFileDialog(self, "Folder of labelled images", str(self.project.folder))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.choose)
        dialog.open()


class TrainDock(Dock):
    """Train a network that marks sites."""

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None):
        super().__init__(
            napari_viewer,
            "A network learns from labelled images to mark atoms or defects. "
            "Choose a preset, say where the images come from, then press Train.",
            parent,
        )
        self.form = SettingsForm(
            SegmentationSettings, preset="quick", hidden=("data.source", "data.folder"), recipes=recipes()
        )
        self.source = SourceChooser()
        self.column.addWidget(ProjectRow())
        self.copy_button = CopyButton(self.lines)
        self.setup = Section("What and how to learn", self._make_setup, indent=0)
        self.setup.open()
        self.column.addWidget(self.setup)
        self.column.addWidget(separator())
        self.panel = JobPanel(
            napari_viewer,
            ("train",),
            start_text="Train",
            empty_text="Training runs in a process of its own: it goes on when this dock or napari is closed.",
        )
        self.column.addWidget(self.panel)
        self.use_button = QPushButton("Use this model in Find")
        self.use_button.hide()
        self.column.addWidget(self.use_button)
        self.used = DimLabel()
        self.used.hide()
        self.column.addWidget(self.used)
        self.column.addStretch(1)

        self.form.changed.connect(self._form_changed)
        self.source.changed.connect(self._source_changed)
        self.panel.start_requested.connect(self.train)
        self.panel.watched.connect(self._watched)
        self.panel.ended.connect(self._ended)
        self.use_button.clicked.connect(self.use_model)
        self._check()
        self.panel.attach_to_active()

    def _make_setup(self) -> QWidget:
        setup = QWidget()
        layout = QVBoxLayout(setup)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.source)
        layout.addWidget(self.form)
        layout.addWidget(self.copy_button, 0, Qt.AlignmentFlag.AlignRight)
        return setup

    # -- settings

    def settings(self) -> SegmentationSettings:
        """The settings of the form, with the chosen source.

        Raises
        ------
        SettingsError
            If a value is not allowed.
        """
        return self.form.value()

    def lines(self) -> str:
        """The same in Python."""
        settings = self.settings()
        return job_lines("train", settings, self.panel.project.runs, settings.name)

    def _form_changed(self) -> None:
        # a loaded file or a preset may bring a source of its own
        data = self.form.body.raw().get("data") or {}
        folder = str(data.get("folder") or "") if data.get("source") == "folder" else ""
        if folder != self.source.folder:
            self.source.folder = folder
            self.source.refresh()
        self._check()

    def _source_changed(self) -> None:
        values = self.form.body.raw()
        folder = self.source.folder
        data = {**(values.get("data") or {}), "source": "folder" if folder else "simulation", "folder": folder}
        self.form.set_value({**values, "data": data})

    def _check(self) -> None:
        problem = self.form.problem or self.source.problem()
        self.copy_button.setEnabled(self.form.problem is None)
        self.panel.set_start_problem(f"Train waits: {problem}" if problem else None)

    # -- training

    def train(self) -> None:
        """Start the training."""
        with contextlib.suppress(SettingsError):
            settings = self.settings()
            self.panel.start("train", settings, label=settings.name)

    def _watched(self, run: Run | None) -> None:
        # the curves need the room; one click brings the settings back
        self.setup.open(run is None)
        self.use_button.hide()
        self.used.hide()

    def _ended(self, run: Run) -> None:
        there = run.state in (RunState.DONE, RunState.STOPPED) and (run.result_folder / CARD).exists()
        self.use_button.setVisible(there)

    def use_model(self) -> None:
        """Keep the model of the watched run in the project and choose it in the Find dock."""
        if self.panel.run is None:
            return
        try:
            kept = keep_model(self.panel.run.result_folder, self.panel.project.models)
        except OSError as error:
            self.panel.say(f"The model cannot be kept: {error.strerror or error}.", bad=True)
            return
        opened = open_in_find(self.viewer, kept)
        self.used.setText(f"Kept as {kept}. " + ("Find uses it now." if opened else "Choose it in the Find dock."))
        self.used.show()


def recipes() -> dict[str, Path]:
    """The settings with which the shipped models were trained, by name."""
    return {path.stem: path for path in sorted((shipped_folder() / "recipes").glob("*.yaml"))}


def keep_model(result: Path, models: Path) -> Path:
    """Copy a run's model to the project's models, under its own name, numbered where another model has that name."""
    from napari_stemlearn.models.card import read_card

    return keep(result, models, read_card(result / CARD).name, CARD)


def open_in_find(viewer: ViewerModel, model: Path) -> bool:
    """Choose a model in the viewer's Find dock, opened if it is not; False where there is no window."""
    window = getattr(viewer, "window", None)
    if window is None:
        return False
    _dock, find = window.add_plugin_dock_widget("napari-stemlearn", "Find")
    find.model.refresh()
    return find.model.choose(model.name)
