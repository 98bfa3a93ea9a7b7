"""The Training data dock: choose a generator and what to simulate, make a labelled set, look at it, train on it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_stemlearn.datasets.places import data_sets_in
from napari_stemlearn.errors import SettingsError, StemlearnError
from napari_stemlearn.events import Event, Progress
from napari_stemlearn.generation.settings import GenerateSettings, usual_structures
from napari_stemlearn.jobs import Run, RunState
from napari_stemlearn.learning.generator_cards import knows_no_simulation, learnt_stack
from napari_stemlearn.learning.settings import MixtureSettings, SegmentationSettings
from napari_stemlearn.marking.visible_mark import check_visible_mark
from napari_stemlearn.widgets.background import Background
from napari_stemlearn.widgets.choosers import ReasonedButton, Sentences
from napari_stemlearn.widgets.copy_python import CopyButton, job_lines
from napari_stemlearn.widgets.data_set_layers import ShownImages, read_images, show_images
from napari_stemlearn.widgets.dock import Dock, heading, separator
from napari_stemlearn.widgets.editors import CalmComboBox
from napari_stemlearn.widgets.form import SettingsForm
from napari_stemlearn.widgets.generator_chooser import GeneratorChooser, crystals_of
from napari_stemlearn.widgets.job_panel import JobPanel
from napari_stemlearn.widgets.labels import DimLabel, ErrorLabel
from napari_stemlearn.widgets.project import ProjectRow
from napari_stemlearn.widgets.query_row import QueryRow
from napari_stemlearn.widgets.rows import labelled_row
from napari_stemlearn.widgets.run_settings import take_settings
from napari_stemlearn.widgets.section import Section
from napari_stemlearn.widgets.specimen_button import SpecimenButton, structure_of
from napari_stemlearn.widgets.specimen_chooser import SpecimenChooser
from napari_stemlearn.widgets.train_dock import open_in_train
from napari_stemlearn.widgets.typed_values import keep_typed

if TYPE_CHECKING:
    from napari.components import ViewerModel

WAITS = "Making waits: "

FROM_GENERATOR, OWN = 0, 1
"""Places in the list of specimens."""

CHOOSE_BOTH = "choose specimens here, and tick “set it here” under “Imaging” for the microscope of that stack"
"""What to do with a generator that learnt from a simulated stack."""

FEWEST = 2
"""Images that a training needs: one to learn from, one to validate on."""


class TrainingDataDock(Dock):
    """Make labelled micrographs in bulk, with the look of an experiment where a generator is chosen.

    Parameters
    ----------
    napari_viewer
        The viewer that shows the set.
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None):
        super().__init__(
            napari_viewer,
            "Labelled images to train on, many at once. A generator of the CycleGAN dock gives them the look of "
            "your microscope.",
            parent,
        )
        self.generator = GeneratorChooser()
        self.specimens = CalmComboBox()
        self.specimens.addItems(["", "chosen here"])
        self.specimens.setToolTip("Which crystals are simulated: those that the generator learnt from, or others")
        self.specimen = SpecimenChooser("“Structures”")
        self.unlike = Sentences()
        self.take_button = SpecimenButton(napari_viewer, "Take it from the Structure dock")
        self.form = SettingsForm(
            GenerateSettings, hidden=("generator",), kept=("name", "generator", "structures"), with_presets=True
        )
        self.copy_button = CopyButton(self.lines)
        self.direct_button = QPushButton("Train with this generator directly")
        self.direct_button.setToolTip(
            "Without a set on disk: Train simulates and translates while it learns, and no image is seen twice"
        )
        self.column.addWidget(ProjectRow())
        self.setup = Section("What to make", self._make_setup, indent=0)
        self.setup.open()
        self.column.addWidget(self.setup)
        self.column.addWidget(separator())
        self.panel = JobPanel(
            napari_viewer,
            ("generate",),
            start_text="Make the set",
            with_settings=True,
            empty_text="Making runs in a process of its own; it can be stopped and resumed, and goes on when this "
            "dock or napari is closed.",
            with_curves=False,
            preview_text="Show the newest image as a layer",
        )
        self.panel.start_button.setToolTip("Simulate the images in a process of its own, and keep them as a data set")
        self.column.addWidget(self.panel)
        self.result = self._make_result()
        self.column.addWidget(self.result)
        self.said = DimLabel()
        self.said.hide()
        self.column.addWidget(self.said)
        self.refused = ErrorLabel()
        self.column.addWidget(self.refused)
        self.column.addStretch(1)
        self._name = str(self.form.value().name)
        self._opens = False
        self._reader = Background(self)
        self._reader.done.connect(self._show)
        self._reader.failed.connect(self._not_shown)
        self._teller = Background(self)
        self._teller.done.connect(lambda words: self.facts.say(*words))
        self._teller.failed.connect(lambda sentence, _detail: self.facts.say(sentence))
        self._hand = Background(self)
        self._hand.done.connect(self._hand_over)
        self._hand.failed.connect(lambda sentence, detail: self.refused.say(sentence, detail))
        self._connect()
        keep_typed(napari_viewer, "Training data", form=self.form)
        self._form_changed()
        self._know_name()
        run = self.panel.attach_to_active()
        if run is not None:
            self.take_settings_of(run)

    def _make_setup(self) -> QWidget:
        setup = QWidget()
        layout = QVBoxLayout(setup)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.generator)
        layout.addWidget(labelled_row("Specimens", self.specimens))
        layout.addWidget(self.specimen)
        layout.addWidget(self.take_button)
        layout.addWidget(self.unlike)
        layout.addWidget(self.form)
        layout.addWidget(self.copy_button, 0, Qt.AlignmentFlag.AlignRight)
        layout.addWidget(self.direct_button)
        return setup

    def _make_result(self) -> QWidget:
        result = QWidget()
        layout = QVBoxLayout(result)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(separator())
        layout.addWidget(heading("The set"))
        self.facts = Sentences()
        self.query = QueryRow("Images where")
        self.show_button = QPushButton("Show")
        self.show_button.setToolTip("Open the first of these images as a stack with their columns and defects")
        self.train_button = ReasonedButton("Train on this")
        layout.addWidget(self.facts)
        layout.addWidget(self.query)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.show_button, 1, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.train_button, 1, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(row)
        result.hide()
        return result

    def _connect(self) -> None:
        self.generator.changed.connect(self._generator_changed)
        self.specimens.activated.connect(self._specimens_chosen)
        self.specimen.changed.connect(self._specimen_changed)
        self.specimen.checked.connect(self._check)
        self.take_button.clicked.connect(self.take_structure)
        self.form.changed.connect(self._form_changed)
        self.direct_button.clicked.connect(self.train_directly)
        self.panel.start_requested.connect(self.make)
        self.panel.watched.connect(self._watched)
        self.panel.settings_wanted.connect(self._take_wanted)
        self.panel.heard.connect(self._heard)
        self.panel.ended.connect(self._ended)
        self.panel.resume_button.clicked.connect(self._open_when_done)
        self.query.changed.connect(self._check_set)
        self.query.counted.connect(self._check_set)
        self.query.line.returnPressed.connect(self.show_set)
        self.show_button.clicked.connect(self.show_set)
        self.train_button.clicked.connect(self.train_on_set)

    # -- settings

    def settings(self) -> GenerateSettings:
        """The settings of the form.

        Raises
        ------
        SettingsError
            If a value is not allowed.
        """
        return self.form.value()

    def lines(self) -> str:
        """The same in Python."""
        settings = self.settings()
        return job_lines("generate", settings, self.panel.project.runs, settings.name)

    def choose_generator(self, folder: str | Path) -> None:
        """Choose the generator of a folder, and look at what can be set; nothing happens to a run that is watched."""
        self.setup.open()
        self.generator.choose(folder)

    def take_structure(self) -> None:
        """Take over the specimen of the Structure dock of this viewer, or of the layers that it made."""
        structure = structure_of(self.viewer)
        if structure is None:
            self.take_button.refresh()
            return
        self._change(structures=[MixtureSettings(structure=structure).record()])
        self.form.say(f"The specimen is now that of the Structure dock ({structure.crystal}).")

    def take_settings_of(self, run: Run) -> None:
        """Show what a run was asked to make; what cannot be read is said."""
        take_settings(self.form, run)
        self._know_name()

    def _know_name(self) -> None:
        if self.generator.card.get("name") == self.form.body.raw().get("name"):
            # the set was called after its generator
            self._name = str(self.generator.card["name"])

    def _take_wanted(self, run: Run) -> None:
        self.setup.open()
        self.take_settings_of(run)

    def _change(self, **values: Any) -> None:
        self.form.set_value({**self.form.body.raw(), **values})

    def _generator_changed(self) -> None:
        card, changes = self.generator.card, {"generator": self.generator.folder}
        if self.form.body.raw().get("name") == self._name:
            # the set is called after its generator until somebody gives it a name
            self._name = str(card.get("name") or GenerateSettings().name)
            changes["name"] = self._name
        self._change(**changes)

    def _specimens_chosen(self, place: int) -> None:
        if place == FROM_GENERATOR:
            self._change(structures=None)
        elif self.form.body.raw().get("structures") is None:
            first, *_ = self._usual()
            self._change(structures=[first])

    def _specimen_changed(self) -> None:
        self._change(structures=self.specimen.raw())

    def _usual(self) -> list[dict[str, Any]]:
        """Specimens that are taken where none are chosen: those of the generator, else the usual ones."""
        learnt = (self.generator.card.get("settings") or {}).get("structures")
        return list(learnt or ()) or [part.record() for part in usual_structures()]

    def _form_changed(self) -> None:
        values = self.form.body.raw()
        if str(values.get("generator") or "") != self.generator.folder:
            # a loaded file may bring a generator of its own
            self.generator.show_folder(str(values.get("generator") or ""))
        self._show_specimens(values.get("structures"))
        self._check()

    def _show_specimens(self, structures: Any) -> None:
        own = structures is not None
        crystals = crystals_of({"settings": {"structures": self._usual()}})
        name = ", ".join(crystals) or "its own"
        learnt = f"as learnt: {'not known' if learnt_stack(self.generator.card) else name}"
        self.specimens.setItemText(FROM_GENERATOR, learnt if self.generator.folder else f"usual: {name}")
        self.specimens.setCurrentIndex(OWN if own else FROM_GENERATOR)
        self.specimen.setVisible(own)
        self.take_button.setVisible(own)
        if own and structures:
            with contextlib.suppress(AttributeError, TypeError):
                self.specimen.show_value(list(structures))
        self.unlike.say(self._unlike_words(structures, crystals) if own else None)

    def _unlike_words(self, structures: Any, learnt: list[str]) -> str | None:
        """A warning where the generator has never seen what is to be simulated."""
        if not self.generator.folder or not learnt:
            return None
        with contextlib.suppress(AttributeError, TypeError):
            chosen = crystals_of({"settings": {"structures": structures}})
            new = [name for name in chosen if name not in learnt]
            if new:
                return (
                    f"The generator learnt from {', '.join(learnt)}, not from {', '.join(new)}: "
                    "look whether the atoms stay where they are."
                )
        return None

    def problem(self) -> str | None:
        """Why no set can be made, or None."""
        if self.generator.problem():
            return self.generator.problem()
        values = self.form.body.raw()
        if values.get("structures") is None or values.get("imaging") is None:
            unknown = knows_no_simulation(self.generator.card, CHOOSE_BOTH)
            if unknown:
                return unknown
        if self.form.body.raw().get("structures") is not None and self.specimen.problem():
            return self.specimen.problem()
        return self.form.problem or mark_problem(self.settings())

    def _check(self) -> None:
        problem = self.problem()
        self.copy_button.setEnabled(self.form.problem is None)
        self.direct_button.setVisible(bool(self.generator.folder))
        self.direct_button.setEnabled(self.generator.problem() is None)
        self.panel.set_start_problem(f"{WAITS}{problem[:1].lower()}{problem[1:]}" if problem else None)

    # -- making

    def make(self) -> None:
        """Start the job that makes the set."""
        if self.problem():
            self._check()
            return
        with contextlib.suppress(SettingsError):
            settings = self.settings()
            self.panel.start("generate", settings, label=settings.name)

    def _watched(self, run: Run | None) -> None:
        # one click brings the settings back
        self.setup.open(run is None)
        self.said.hide()
        self.refused.say(None)
        self.result.hide()
        self._opens = False
        if run is not None:
            with contextlib.suppress(StemlearnError):
                self._opens = run.state.active

    def _open_when_done(self) -> None:
        self._opens = True

    def _heard(self, events: list[Event]) -> None:
        if any(isinstance(event, Progress) and event.done for event in events):
            self._look()

    def _ended(self, run: Run) -> None:
        self._look()
        if run.state is RunState.DONE and self._opens:
            self._opens = False
            self.show_set()

    # -- the set

    def data_set(self) -> Path | None:
        """Folder of the set of the watched run, or None."""
        found = data_sets_in(self.panel.run.result_folder) if self.panel.run is not None else []
        return found[0] if found else None

    def _look(self) -> None:
        """Tell what the set holds by now."""
        path = self.data_set()
        self.result.setVisible(path is not None)
        if path is None:
            return
        if not self._teller.running or self.panel.state is not RunState.RUNNING:
            self._teller.start(words_on_set, path)
        if self.query.path == str(path):
            self.query.recount()
        else:
            self.query.show_value(path)
        self._check_set()

    def _check_set(self) -> None:
        problem = self.query.problem()
        few = self.query.found is None or self.query.found.matching < FEWEST
        self.show_button.setEnabled(problem is None and not self._reader.running)
        self.train_button.allow(problem or (f"A training needs at least {FEWEST} images." if few else None))
        if problem:
            # the query says it already
            self.train_button.reason.hide()

    def show_set(self) -> None:
        """Read the labels of the first images that are wanted in a thread, and show them."""
        path = self.data_set()
        if path is not None and not self._reader.running:
            self.show_button.setText("Opening…")
            self._reader.start(read_images, path, self.query.where)
            self._check_set()

    def _show(self, shown: ShownImages) -> None:
        self._read()
        # the newest image is one of the set now
        self.panel.close_previews()
        show_images(self.viewer, shown)
        number = len(shown.numbers)
        if shown.matching > number:
            self._say(f"The first {number} of {shown.matching} images are shown.")

    def _not_shown(self, sentence: str, detail: str) -> None:
        self._read()
        self.refused.say(sentence, detail)

    def _read(self) -> None:
        self.show_button.setText("Show")
        self.refused.say(None)
        self._check_set()

    def _say(self, sentence: str) -> None:
        self.said.setText(sentence)
        self.said.show()

    # -- handing over

    def train_on_set(self) -> None:
        """Let the Train dock learn from the images of the set that are wanted."""
        from napari_stemlearn.learning.suited_settings import settings_for_data_set

        path = self.data_set()
        if path is not None:
            self._hand.start(settings_for_data_set, path, self.query.where)

    def train_directly(self) -> None:
        """Let the Train dock simulate and translate with the chosen generator while it learns."""
        from napari_stemlearn.learning.suited_settings import settings_for_generator

        self._hand.start(settings_for_generator, self.generator.folder)

    def _hand_over(self, settings: SegmentationSettings) -> None:
        self.refused.say(None)
        opened = open_in_train(self.viewer, settings)
        what = "set" if settings.data.folder else "generator"
        self._say(f"Train uses this {what} now." if opened else f"Choose this {what} in the Train dock.")


def mark_problem(settings: GenerateSettings) -> str | None:
    """Why the visible mark does not fit into the images, or None."""
    if settings.visible_mark:
        try:
            check_visible_mark(settings.shape, name="Each micrograph")
        except StemlearnError as error:
            return str(error)
    return None


def words_on_set(path: Path) -> list[str]:
    """What a data set holds, one sentence a line.

    Raises
    ------
    FormatError
        If it is damaged.
    """
    from napari_stemlearn.datasets.store import open_data_set

    data_set = open_data_set(path)
    try:
        height, width = data_set.shape
        totals = data_set.table.totals()
        number = len(data_set)
    finally:
        data_set.close()
    columns = sum(totals.get("column", {}).values())
    defects = [f"{count:,} {name.replace('_', ' ')}" for name, count in totals.get("defect", {}).items()]
    size = f"{height} × {width} pixels of {data_set.pixel_size:.4g} Å"
    return [
        f"{number} image{'' if number == 1 else 's'} of {size}.",
        f"{columns:,} columns, {', '.join(defects) or 'no defects'}.",
        f"It is in {path}.",
    ]
