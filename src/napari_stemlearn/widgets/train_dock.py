"""The Train dock: choose what to learn and from what, watch it learn, use the model."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_stemlearn import jobs
from napari_stemlearn.datasets.places import ENDING, data_sets_in, is_data_set
from napari_stemlearn.errors import ModelError, SettingsError
from napari_stemlearn.file_errors import reason
from napari_stemlearn.folder_names import folder_name
from napari_stemlearn.jobs import Run, RunState
from napari_stemlearn.learning.generator_cards import (
    BY_A_SET,
    GENERATOR_CARD,
    knows_no_simulation,
    read_generator_card,
)
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.starting_model import like_model, starting_problem
from napari_stemlearn.models.card import ModelCard, read_card
from napari_stemlearn.models.store import CARD, find_model, shipped_folder
from napari_stemlearn.widgets.background import Background
from napari_stemlearn.widgets.choosers import Sentences
from napari_stemlearn.widgets.copy_python import CopyButton, job_lines
from napari_stemlearn.widgets.dock import Dock, docks_of, separator
from napari_stemlearn.widgets.editors import CalmComboBox
from napari_stemlearn.widgets.form import SettingsForm
from napari_stemlearn.widgets.generator_chooser import is_generator, known_generators
from napari_stemlearn.widgets.job_panel import JobPanel
from napari_stemlearn.widgets.keeping import keep
from napari_stemlearn.widgets.labels import DimLabel
from napari_stemlearn.widgets.project import Project, ProjectRow, shared_project
from napari_stemlearn.widgets.query_row import QueryRow
from napari_stemlearn.widgets.rows import lay_out_chooser
from napari_stemlearn.widgets.run_settings import take_settings
from napari_stemlearn.widgets.section import Section
from napari_stemlearn.widgets.typed_values import keep_typed

if TYPE_CHECKING:
    from napari.components import ViewerModel

SIMULATED = "images simulated while it trains"
TRANSLATED = "simulated, with the look of "
OTHER = "another folder…"

SHOWN_AS_SOURCE = ("data.source", "data.folder", "data.where", "data.generator")
"""Settings that the chooser of the source shows."""

KEPT = (
    *("name", "description", "structures", "imaging", "pixel_size", "acquisition_pixel_size"),
    *("start_from", "targets", "data", "validation.held_out_style"),
)
"""Settings that a set or a generator brings: once one is chosen, a preset says only how is learnt."""

RUNS_READ = 200
"""Newest runs that are looked through for sets."""


class SourceChooser(QWidget):
    """Where labelled images come from: simulation on the fly, with a generator or without, or a stored set."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.project = shared_project()
        self.folder = ""
        self.generator = ""
        self._entries: list[tuple[str, str]] = []
        self._known: list[tuple[str, str]] = []
        self.box = CalmComboBox()
        self.box.setToolTip("Simulation never shows the same image twice; a stored set is learnt from again and again")
        self.note = DimLabel()
        self.query = QueryRow("Only images where")
        self.query.hide()
        lay_out_chooser(self, "Learns from", [self.box], beneath=[self.note, self.query])
        self.box.activated.connect(self._chosen)
        self.query.changed.connect(self.changed)
        self.query.counted.connect(self.changed)
        self._lister = Background(self)
        self._lister.done.connect(self._listed)
        self._lister.failed.connect(lambda sentence, _detail: self._tell(sentence))
        self.project.changed.connect(self.refresh)
        self._fill()

    @property
    def where(self) -> str:
        """Query for the images of a data set; empty takes all."""
        return self.query.where if self.query.path else ""

    def record(self) -> dict[str, str]:
        """The settings of `napari_stemlearn.learning.settings.DataSettings` that are chosen here."""
        source = "folder" if self.folder else "simulation"
        return {"source": source, "folder": self.folder, "where": self.where, "generator": self.generator}

    def refresh(self) -> None:
        """List the sets and generators of the project again, in a thread: many folders are looked through."""
        self._lister.start(known_sources, self.project)

    def _listed(self, known: list[tuple[str, str]]) -> None:
        self._known = known
        self._fill()

    def _fill(self) -> None:
        self._entries = [("", ""), *self._known]
        chosen = ("folder", self.folder) if self.folder else ("generator" if self.generator else "", self.generator)
        if chosen not in self._entries:
            self._entries.append(chosen)
        self.box.clear()
        words = [entry_words(kind, Path(path)) for kind, path in self._entries]
        for (_kind, path), name in zip(self._entries, words, strict=True):
            self.box.addItem(f"{name} ({run_of(Path(path))})" if words.count(name) > 1 else name)
            self.box.setItemData(self.box.count() - 1, path, Qt.ItemDataRole.ToolTipRole)
        self.box.addItem(OTHER)
        self.box.setCurrentIndex(self._entries.index(chosen))
        self._describe()

    def show_value(self, data: dict[str, Any]) -> None:
        """Show settings as those of `record`, without telling that they changed."""
        stored = data.get("source") == "folder"
        self.folder = str(data.get("folder") or "") if stored else ""
        self.generator = "" if stored else str(data.get("generator") or "")
        self._fill()
        if self.query.path:
            self.query.show_value(self.query.path, str(data.get("where") or ""))

    def choose(self, folder: str) -> None:
        """Take a folder of labelled images, or simulation for an empty text."""
        self.folder, self.generator = folder, ""
        self._fill()
        self.changed.emit()

    def choose_generator(self, folder: str) -> None:
        """Simulate, and let a generator translate what was simulated."""
        self.folder, self.generator = "", folder
        self._fill()
        self.changed.emit()

    def problem(self) -> str | None:
        """Why nothing can be learnt from what is chosen."""
        if self.generator and not is_generator(self.generator):
            return f"There is no generator in {self.generator}."
        if self.generator:
            try:
                unknown = knows_no_simulation(read_generator_card(self.generator), BY_A_SET)
            except ModelError as error:
                return str(error)
            if unknown:
                return unknown
        if self.query.path:
            return self.query.problem()
        if self.folder and not any(Path(self.folder).glob("*_sites.csv")):
            return (
                f"There are no labelled images (a data set NAME.stemset, or NAME.tif with NAME_sites.csv) "
                f"in {self.folder}."
            )
        return None

    def showEvent(self, event: object) -> None:
        self.refresh()
        super().showEvent(event)

    def _tell(self, sentence: str) -> None:
        self.note.setText(sentence)
        self.note.setVisible(bool(sentence))

    def _describe(self) -> None:
        self._tell(self.folder or self.generator)
        queried = self.folder if self.folder and is_data_set(self.folder) else ""
        self.query.setVisible(bool(queried))
        if queried != self.query.path:
            self.query.show_value(queried)

    def _chosen(self, index: int) -> None:
        if index < len(self._entries):
            kind, path = self._entries[index]
            (self.choose_generator if kind == "generator" else self.choose)(path)
            return
        self._fill()
        dialog = QFileDialog(self, "Folder of labelled images, or of a generator", str(self.project.folder))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(self.choose_any)
        dialog.open()

    def choose_any(self, folder: str) -> None:
        """Take a folder, whatever of all this it holds."""
        sets = data_sets_in(folder)
        if (Path(folder) / GENERATOR_CARD).is_file():
            self.choose_generator(folder)
        else:
            # the folder of a result holds one set
            self.choose(str(sets[0]) if len(sets) == 1 else folder)


def known_sources(project: Project) -> list[tuple[str, str]]:
    """Kind and folder of the generators and the labelled sets of a project."""
    generators = [("generator", str(path)) for path, _name in known_generators(project)]
    return generators + [("folder", str(path)) for path in known_sets(project)]


def known_sets(project: Project) -> list[Path]:
    """Folders of the labelled sets of a project's runs, newest first, then the data sets that lie in the project."""
    found: list[Path] = []
    for run in jobs.list_runs(project.runs)[:RUNS_READ]:
        if "-simulate" in run.name and (run.result_folder / "images.csv").exists():
            found.append(run.result_folder)
        elif "-generate" in run.name:
            found += data_sets_in(run.result_folder)
    return found + data_sets_in(project.data_sets)


def run_of(path: Path) -> str:
    """Name of the run that something is a result of, else of the folder that it lies in."""
    return next((above.parent.name for above in path.parents if above.name == "result"), path.parent.name)


def entry_words(kind: str, path: Path) -> str:
    """Words for a source in the list."""
    if kind == "generator":
        return TRANSLATED + path.name
    if kind == "folder":
        return path.parent.name if path.name == "result" else path.stem if path.suffix == ENDING else path.name
    return SIMULATED


class TrainDock(Dock):
    """Train a network that marks sites."""

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None):
        super().__init__(
            napari_viewer,
            "A network learns from labelled images to mark atoms or defects. "
            "Choose a preset, say where the images come from, then press Train.",
            parent,
        )
        self.form = SettingsForm(SegmentationSettings, preset="quick", hidden=SHOWN_AS_SOURCE, recipes=recipes())
        self.source = SourceChooser()
        self.column.addWidget(ProjectRow())
        self.copy_button = CopyButton(self.lines)
        self.taken = Sentences()
        self.adopt_button = QPushButton("Take over its network and classes")
        self.adopt_button.setToolTip("Set network, targets and normalisation to those of the model under Start from")
        self.setup = Section("What and how to learn", self._make_setup, indent=0)
        self.setup.open()
        self.column.addWidget(self.setup)
        self.column.addWidget(separator())
        self.panel = JobPanel(
            napari_viewer,
            ("train",),
            start_text="Train",
            with_settings=True,
            empty_text="Training runs in a process of its own: it goes on when this dock or napari is closed.",
        )
        self.panel.start_button.setToolTip(
            "Train the network in a process of its own, which can be stopped and resumed"
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
        self.adopt_button.clicked.connect(self.adopt)
        keep_typed(napari_viewer, "Train", form=self.form)
        self._check()
        self.panel.settings_wanted.connect(self._take_wanted)
        run = self.panel.attach_to_active()
        if run is not None:
            self.take_settings_of(run)

    def _make_setup(self) -> QWidget:
        setup = QWidget()
        layout = QVBoxLayout(setup)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.source)
        layout.addWidget(self.taken)
        layout.addWidget(self.form)
        layout.addWidget(self.adopt_button)
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
        chosen = self.source.record()
        if any(str(data.get(name) or "") != value for name, value in chosen.items()):
            self.source.show_value(data)
            self.taken.say()
        self._follow_source()
        self._check()

    def _source_changed(self) -> None:
        values = self.form.body.raw()
        data = values.get("data") or {}
        chosen = self.source.record()
        if any(str(data.get(name) or "") != value for name, value in chosen.items()):
            self.form.set_value({**values, "data": {**data, **chosen}})
        else:
            self._follow_source()
            self._check()

    def _follow_source(self) -> None:
        self.form.keep(KEPT if self.source.folder or self.source.generator else ())

    def _check(self) -> None:
        start_problem = self._start_problem() if self.form.problem is None else None
        self.adopt_button.setVisible(start_problem is not None and self._start_card() is not None)
        problem = self.form.problem or self.source.problem() or start_problem
        self.copy_button.setEnabled(self.form.problem is None)
        self.panel.set_start_problem(f"Train waits: {problem}" if problem else None)

    def take(self, settings: SegmentationSettings, sentence: str) -> None:
        """Show settings that another dock hands over, with a sentence about them; nothing starts."""
        self.setup.open()
        self.form.say("")
        self.form.set_value(settings)
        self.taken.say(sentence)

    def take_settings_of(self, run: Run) -> None:
        """Show what a run was asked to do; what cannot be read is said."""
        self.taken.say()
        take_settings(self.form, run)

    def _take_wanted(self, run: Run) -> None:
        self.setup.open()
        self.take_settings_of(run)

    def _start_card(self) -> ModelCard | None:
        """Card of the model whose weights are the start; None where there is none."""
        name = str(self.form.body.raw().get("start_from") or "")
        if not name:
            return None
        with contextlib.suppress(ModelError):
            return read_card(find_model(name, [self.panel.project.models]) / CARD)
        return None

    def _start_problem(self) -> str | None:
        """Why the training cannot start from the chosen model, or None."""
        settings = self.settings()
        if not settings.start_from:
            return None
        card = self._start_card()
        if card is None:
            return f"There is no model '{settings.start_from}' to start from."
        return starting_problem(settings, card)

    def adopt(self) -> None:
        """Take over network, targets and normalisation of the model whose weights are the start."""
        card = self._start_card()
        if card is not None:
            self.form.set_value({**self.form.body.raw(), **like_model(card)})

    # -- training

    def train(self) -> None:
        """Start the training."""
        with contextlib.suppress(SettingsError):
            settings = self.settings()
            self.panel.start("train", settings, label=settings.name)

    def _watched(self, run: Run | None) -> None:
        self.taken.say()
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
            self.panel.say(f"The model cannot be kept: {reason(error)}.", bad=True)
            return
        opened = open_in_find(self.viewer, kept)
        self.used.setText(f"Kept as {kept}. " + ("Find uses it now." if opened else "Choose it in the Find dock."))
        self.used.show()


def recipes() -> dict[str, Path]:
    """The settings with which the shipped models were trained, by name."""
    return {path.stem: path for path in sorted((shipped_folder() / "recipes").glob("*.yaml"))}


def keep_model(result: Path, models: Path) -> Path:
    """Copy a run's model to the project's models, under its own name, numbered where another model has that name."""
    return keep(result, models, folder_name(read_card(result / CARD).name, "model"), CARD)


def open_in_find(viewer: ViewerModel, model: Path) -> bool:
    """Choose a model in the viewer's Find dock, opened if it is not; False where there is no window."""
    window = getattr(viewer, "window", None)
    if window is None:
        return False
    widget, find = window.add_plugin_dock_widget("napari-stemlearn", "Find", tabify=True)
    widget.raise_()
    find.model.refresh()
    return find.model.choose(model.name)


def open_in_train(viewer: ViewerModel, settings: SegmentationSettings) -> bool:
    """Show settings in the viewer's Train dock, opened if it is not; False where there is neither dock nor window."""
    window = getattr(viewer, "window", None)
    if window is not None:
        widget, _dock = window.add_plugin_dock_widget("napari-stemlearn", "Train", tabify=True)
        widget.raise_()
    for train in docks_of(viewer, TrainDock):
        where = f" where {settings.data.where}" if settings.data.where else ""
        source = f"the set {settings.name}{where}" if settings.data.folder else f"the generator {settings.name}"
        train.take(settings, f"Set up for {source}; look through it, then press Train.")
        return True
    return False
