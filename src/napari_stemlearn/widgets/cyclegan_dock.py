"""The CycleGAN dock: choose an experiment and a specimen, watch simulations take on its look, keep the generator."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from napari_stemlearn.errors import SettingsError, StemlearnError
from napari_stemlearn.events import Checkpoint, Event, Log
from napari_stemlearn.file_errors import reason
from napari_stemlearn.jobs import Run, RunState
from napari_stemlearn.labelling.label_store import slug
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.generator_cards import GENERATOR_CARD, generators_in, read_generator_card, words_on
from napari_stemlearn.learning.settings import MixtureSettings
from napari_stemlearn.structures.settings import StructureSettings
from napari_stemlearn.widgets.background import Background
from napari_stemlearn.widgets.choosers import Sentences
from napari_stemlearn.widgets.copy_python import CopyButton, job_lines
from napari_stemlearn.widgets.cyclegan_curves import CycleGANCurves
from napari_stemlearn.widgets.dock import Dock, separator
from napari_stemlearn.widgets.editors import CalmComboBox
from napari_stemlearn.widgets.experiment_chooser import ExperimentChooser
from napari_stemlearn.widgets.experiment_look import write_once
from napari_stemlearn.widgets.form import SettingsForm
from napari_stemlearn.widgets.job_panel import JobPanel
from napari_stemlearn.widgets.keeping import keep
from napari_stemlearn.widgets.labels import ErrorLabel
from napari_stemlearn.widgets.layers import about, our_layers, place_in_view
from napari_stemlearn.widgets.project import ProjectRow
from napari_stemlearn.widgets.rows import labelled_row
from napari_stemlearn.widgets.run_settings import take_settings
from napari_stemlearn.widgets.section import Section
from napari_stemlearn.widgets.simulate_dock import simulation_of
from napari_stemlearn.widgets.simulated_look import Wanted, write_stack_once
from napari_stemlearn.widgets.specimen_button import structure_of
from napari_stemlearn.widgets.specimen_chooser import SpecimenChooser
from napari_stemlearn.widgets.stack_chooser import StackChooser
from napari_stemlearn.widgets.translation_previews import TranslationPreviews
from napari_stemlearn.widgets.typed_values import keep_typed

if TYPE_CHECKING:
    from napari.components import ViewerModel

KEPT = ("name", "experiment", "pixel_size", "simulated", "structures", "imaging")
"""Settings that say what is learnt; a preset only says how."""

OF_CRYSTAL, STACK = 0, 1
"""Places in the list of what simulations there are."""

NOT_OF_STACK = ("structures", "imaging")
"""Settings of simulations that a simulated stack has behind it."""

WAITS = "Learning waits: "

LEGEND = (
    "Each row: input, translated, cycled. From above: a simulation, its Fourier amplitudes, "
    "an experimental image, its Fourier amplitudes."
)
"""Beneath the pictures' tick box."""


class CycleGANDock(Dock):
    """Train a generator that gives simulations the look of an experiment.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers are offered, and which shows the pictures.
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None):
        super().__init__(
            napari_viewer,
            "Simulations take on the look of your images; atoms and labels stay in place. "
            "Choose unlabelled images and the crystal in them, then press Learn the look.",
            parent,
        )
        self.experiment = ExperimentChooser(napari_viewer)
        self.source = CalmComboBox()
        self.source.addItems(["of a crystal", "from a stack"])
        self.source.setToolTip("Simulations are made by settings, or taken from a stack that is simulated already")
        self.specimen = SpecimenChooser()
        self.stack = StackChooser(napari_viewer)
        self.form = SettingsForm(
            CycleGANSettings,
            preset="quick",
            hidden=("experiment", "pixel_size", "simulated"),
            kept=KEPT,
            folded="All settings",
        )
        self.take_button = QPushButton("from another dock")
        self.take_button.setToolTip("Take the specimen that another dock has set up")
        menu = QMenu(self.take_button)
        menu.addAction("Specimen of the Structure dock", self.take_structure)
        menu.addAction("Specimen and microscope of the Simulate dock", self.take_simulation)
        self.take_button.setMenu(menu)
        self.copy_button = CopyButton(self.lines)
        self.column.addWidget(ProjectRow())
        self.setup = Section("What and how to learn", self._make_setup, indent=0)
        self.setup.open()
        self.column.addWidget(self.setup)
        self.column.addWidget(separator())
        self.curves = CycleGANCurves()
        self.panel = JobPanel(
            napari_viewer,
            ("cyclegan",),
            start_text="Learn the look",
            with_settings=True,
            empty_text="Learning runs in a process of its own: it goes on when this dock or napari is closed.",
            preview_text="Show the pictures as layers",
            curves=self.curves,
            previews=TranslationPreviews,
        )
        self.refused = ErrorLabel()
        self.zoom_button = QPushButton("Zoom to the pictures")
        self.legend = Sentences()
        self.summary = Sentences()
        self.keep_button = QPushButton("Keep this generator")
        self.data_button = QPushButton("Make training data")
        self.kept = Sentences()
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.keep_button)
        row.addWidget(self.data_button)
        self.panel.results.addWidget(self.refused)
        self.panel.results.addWidget(self.summary)
        self.panel.results.addLayout(row)
        self.panel.results.addWidget(self.kept)
        self.panel.start_button.setToolTip(
            "Train the generator in a process of its own, which can be stopped and resumed"
        )
        self.column.addWidget(self.panel)
        self.column.addWidget(self.legend)
        self.column.addWidget(self.zoom_button)
        self.column.addStretch(1)
        for widget in (self.zoom_button, self.keep_button, self.data_button):
            widget.hide()
        self._name = str(self.form.value().name)
        self._structures = self.form.body.raw()["structures"]
        self._starting: CycleGANSettings | None = None
        self._writer = Background(self)
        self._writer.done.connect(self._written)
        self._writer.failed.connect(self._not_written)
        self._connect()
        keep_typed(napari_viewer, "CycleGAN", form=self.form)
        layer = self.experiment.layer()
        if layer is not None and self.form.raw()["name"] == slug(layer.name):
            # the generator was called after its images
            self._name = slug(layer.name)
        self._form_changed()
        self._source_changed()
        run = self.panel.attach_to_active()
        if run is not None:
            self.take_settings_of(run)

    def _make_setup(self) -> QWidget:
        setup = QWidget()
        layout = QVBoxLayout(setup)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        self.take = labelled_row("Or take it", self.take_button)
        layout.addWidget(self.experiment)
        layout.addWidget(labelled_row("Simulations", self.source))
        layout.addWidget(self.specimen)
        layout.addWidget(self.take)
        layout.addWidget(self.stack)
        layout.addWidget(self.form)
        layout.addWidget(self.copy_button, 0, Qt.AlignmentFlag.AlignRight)
        return setup

    def _connect(self) -> None:
        self.experiment.changed.connect(self._experiment_changed)
        self.source.activated.connect(lambda _place: self._source_changed())
        self.stack.changed.connect(self._check)
        self.specimen.changed.connect(self._specimen_changed)
        self.specimen.checked.connect(self._check)
        self.form.changed.connect(self._form_changed)
        self.panel.start_requested.connect(self.train)
        self.panel.watched.connect(self._watched)
        self.panel.settings_wanted.connect(self._take_wanted)
        self.panel.heard.connect(self._heard)
        self.panel.ended.connect(self._ended)
        self.viewer.layers.events.inserted.connect(self._on_layers)
        self.viewer.layers.events.removed.connect(self._on_layers)
        self.zoom_button.clicked.connect(self.zoom_to_pictures)
        self.keep_button.clicked.connect(self.keep_generator)
        self.data_button.clicked.connect(self.make_data)

    # -- settings

    def settings(self) -> CycleGANSettings:
        """The settings of the form, with the chosen images; without their files where layers are in none yet.

        Raises
        ------
        SettingsError
            If a value is not allowed.
        """
        look = self.experiment.look
        settings: CycleGANSettings = self.form.value()
        if look is not None:
            settings = settings.changed(experiment=look.files, pixel_size=look.pixel_size)
        if self.takes_stack and self.stack.look is not None:
            settings = settings.changed(simulated=self.stack.look.files)
        return settings

    @property
    def takes_stack(self) -> bool:
        """Whether a simulated stack is taken in place of settings."""
        return self.source.currentIndex() == STACK

    def take_stack(self, taken: bool = True) -> None:
        """Take a simulated stack in place of settings, or settings again."""
        self.source.setCurrentIndex(STACK if taken else OF_CRYSTAL)
        self._source_changed()

    def lines(self) -> str:
        """The same in Python; layers that are in no file are written first."""
        settings = self.settings()
        layer, stack = self.experiment.layer(), self.stack.layer() if self.takes_stack else None
        imported, written = ["from napari_stemlearn.widgets.layers import micrograph_from_layer"], []
        if not settings.experiment and layer is not None:
            path = f"{slug(layer.name)}.tif"
            settings = settings.changed(experiment=(path,))
            written.append(f"write_tiff({path!r}, micrograph_from_layer(viewer.layers[{layer.name!r}]))")
        if not settings.simulated and stack is not None:
            name = slug(stack.name)
            settings = settings.changed(simulated=(f"{name}.tif",))
            imported.append("from napari_stemlearn.widgets.simulated_look import sites_of")
            written += [
                f"stack = viewer.layers[{stack.name!r}]",
                f"write_tiff({f'{name}.tif'!r}, micrograph_from_layer(stack))",
                f"write_sites({f'{name}_sites.csv'!r}, sites_of(viewer, stack))",
            ]
        first = ""
        if written:
            formats = "write_sites, write_tiff" if len(imported) > 1 else "write_tiff"
            first = "\n".join([f"from napari_stemlearn.formats import {formats}", *imported, "", *written, "", ""])
        return first + job_lines("cyclegan", settings, self.panel.project.runs, settings.name)

    def take_structure(self) -> None:
        """Take over the specimen of the Structure dock of this viewer, or of the layers that it made."""
        structure = structure_of(self.viewer)
        if structure is None:
            self.form.say("There is no specimen yet: open the Structure dock and press Build.", bad=True)
            return
        self.form.set_value({**self.form.body.raw(), "structures": [mixture_of(structure)]})
        self.form.say(f"The specimen is now that of the Structure dock ({structure.crystal}).")

    def take_simulation(self) -> None:
        """Take over specimen and microscope of the Simulate dock of this viewer."""
        simulation = simulation_of(self.viewer)
        if simulation is None:
            self.form.say("There is no simulation yet: open the Simulate dock and set it up.", bad=True)
            return
        taken = {"structures": [mixture_of(simulation.structure)], "imaging": simulation.imaging.record()}
        self.form.set_value({**self.form.body.raw(), **taken})
        self.form.say(f"Specimen and microscope are now those of the Simulate dock ({simulation.structure.crystal}).")

    def take_settings_of(self, run: Run) -> None:
        """Show what a run was asked to do, with its images; what cannot be read is said."""
        self.take_stack(False)
        # its name stays, whatever its images are called
        self._name = ""
        take_settings(self.form, run)

    def _take_wanted(self, run: Run) -> None:
        self.setup.open()
        self.take_settings_of(run)

    def _form_changed(self) -> None:
        values = self.form.body.raw()
        if values.get("experiment"):
            # a loaded file may bring images of its own
            files, size = tuple(str(path) for path in values["experiment"]), values.get("pixel_size")
            self.form.set_value({**values, "experiment": (), "pixel_size": None})
            self.experiment.choose_files(files, size)
            return
        if values.get("simulated"):
            # or a simulated stack; the crystal stays as it was before for when settings are taken again
            stack = tuple(str(path) for path in values["simulated"])
            structures = values.get("structures") or self._structures
            self.form.set_value({**values, "simulated": (), "structures": structures})
            self.stack.choose_files(stack)
            self.take_stack()
            return
        self._structures = values.get("structures") or self._structures
        with contextlib.suppress(AttributeError, TypeError):
            self.specimen.show_value(list(values.get("structures") or ()))
        self._fit_stack()
        self._check()

    def _source_changed(self) -> None:
        taken = self.takes_stack
        for widget in (self.specimen, self.take, *(self.form.body.sections[name] for name in NOT_OF_STACK)):
            widget.setVisible(not taken)
        self._fit_stack()
        self.stack.use(taken)
        self._check()

    def _fit_stack(self) -> None:
        """Tell the chooser of a stack what it must fit; it looks again where that changed."""
        if self.takes_stack and self.form.problem is None:
            settings, look = self.form.value(), self.experiment.look
            size = look.pixel_size if look is not None else None
            self.stack.fit_to(Wanted(size, settings.crop, settings.simulations))

    def _specimen_changed(self) -> None:
        self.form.set_value({**self.form.body.raw(), "structures": self.specimen.raw()})

    def _experiment_changed(self) -> None:
        look = self.experiment.look
        values = self.form.body.raw()
        if look is not None and values.get("name") == self._name and self._name != slug(look.name):
            # the generator is called after its images until somebody gives it a name
            self._name = slug(look.name)
            self.form.set_value({**values, "name": self._name})
        self._fit_stack()
        self._check()

    def problem(self) -> str | None:
        """Why no training can start, or None."""
        problem = self.experiment.problem()
        if problem:
            return problem
        chosen: StackChooser | SpecimenChooser = self.stack if self.takes_stack else self.specimen
        if chosen.problem():
            return chosen.problem()
        if self.form.problem:
            return self.form.problem
        look, crop = self.experiment.look, self.form.value().crop
        if look is not None and min(look.shape) < crop:
            height, width = look.shape
            return (
                f"The images have {height} by {width} pixels; crops of {crop} pixels need larger ones, "
                "so choose a smaller crop under “All settings”."
            )
        try:
            self.settings()
        except SettingsError as error:
            return str(error)
        return None

    def _check(self) -> None:
        problem = self.problem()
        if problem is None and self._starting is not None:
            problem = "the images are being written to the project folder."
        chosen = self.experiment.look is not None and (self.stack.look is not None or not self.takes_stack)
        self.copy_button.setEnabled(self.form.problem is None and chosen)
        self.panel.set_start_problem(f"{WAITS}{problem[:1].lower()}{problem[1:]}" if problem else None)

    # -- training

    def train(self) -> None:
        """Start the training; images that are in no file are written to the project folder first."""
        if self.problem() or self._starting is not None:
            self._check()
            return
        settings, look, project = self.settings(), self.experiment.look, self.panel.project
        assert look is not None
        writes: Writes = {}
        try:
            if not look.files:
                measured = self.experiment.micrograph()
                writes["experiment"] = lambda: write_once(look, measured, project.experiments).files
            if self.takes_stack and not settings.simulated:
                simulated, sites = self.stack.micrograph(), self.stack.sites()
                writes["simulated"] = lambda: write_stack_once(simulated, sites, project.simulations)
        except StemlearnError as error:
            self.panel.say(str(error), bad=True)
            return
        if not writes:
            self.panel.start("cyclegan", settings, label=settings.name)
            return
        self._starting = settings
        self._writer.start(_write_all, writes)
        self._check()

    def _written(self, files: dict[str, tuple[str, ...]]) -> None:
        settings, self._starting = self._starting, None
        self._check()
        if settings is not None:
            self.panel.start("cyclegan", settings.changed(**files), label=settings.name)

    def _not_written(self, sentence: str, detail: str) -> None:
        self._starting = None
        self._check()
        self.panel.error.say(sentence, detail)

    # -- watching

    def _watched(self, run: Run | None) -> None:
        # the curves need the room; one click brings the settings back
        self.setup.open(run is None)
        self.refused.say(None)
        self.summary.say()
        self.kept.say()
        self.keep_button.hide()
        self.data_button.hide()
        if run is not None:
            with contextlib.suppress(StemlearnError):
                settings = run.settings
                if isinstance(settings, CycleGANSettings):
                    self.curves.require(settings.survival)
        self._show_zoom()

    def _heard(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Log) and event.level == "warning":
                judged = event.message.startswith("The generator")
                self.refused.say(f"Refused as it is now: {event.message}" if judged else event.message)
            elif isinstance(event, Checkpoint) and event.name == "best":
                self.refused.say(None)

    def _ended(self, run: Run) -> None:
        generator = self.generator()
        if run.state is RunState.FAILED or generator is not None:
            # the panel says why it failed, the summary what the kept generator does
            self.refused.say(None)
        self.keep_button.setVisible(generator is not None)
        self.data_button.setVisible(generator is not None)
        if generator is not None:
            try:
                self.summary.say(*words_on(read_generator_card(generator)))
            except StemlearnError as error:
                self.panel.say(str(error), bad=True)

    def _show_zoom(self) -> None:
        shown = bool(self.pictures())
        self.zoom_button.setVisible(shown)
        self.legend.say(LEGEND if shown else None)

    def _on_layers(self, _event: Any = None) -> None:
        if isalive(self):
            self._show_zoom()

    def pictures(self) -> list[Any]:
        """Layers of the watched run's pictures that are in the viewer."""
        run = self.panel.run
        layers = our_layers(self.viewer, "preview") if run is not None else []
        return [layer for layer in layers if run is not None and about(layer).get("run") == run.name]

    def zoom_to_pictures(self) -> None:
        """Let the viewer show all pictures of the watched run."""
        import numpy as np

        layers = self.pictures()
        if not layers:
            return
        # the canvas holds all layers at this zoom; from that follows one at which it holds the pictures
        self.viewer.reset_view()
        (top, left), (bottom, right) = np.asarray(self.viewer.layers.extent.world)[:, -2:]
        corners = np.array(
            [place_in_view(self.viewer, layer, corner)[-2:] for layer in layers for corner in layer.extent.data]
        )
        low, high = corners.min(axis=0), corners.max(axis=0)
        height, width = high - low
        self.viewer.camera.zoom *= min((bottom - top) / height, (right - left) / width)
        self.viewer.camera.center = (0.0, *((low + high) / 2))

    # -- using

    def generator(self) -> Path | None:
        """Folder of the generator of the watched run, or None."""
        found = generators_in(self.panel.run.result_folder) if self.panel.run is not None else []
        return found[0] if found else None

    def keep_generator(self) -> Path | None:
        """Copy the generator of the watched run to the project; returns the copy."""
        generator = self.generator()
        if generator is None:
            return None
        try:
            kept = keep(generator, self.panel.project.generators, generator.name, GENERATOR_CARD)
        except OSError as error:
            self.panel.say(f"The generator cannot be kept: {reason(error)}.", bad=True)
            return None
        self.kept.say(f"Kept as {kept}.")
        return kept

    def make_data(self) -> None:
        """Keep the generator and choose it in the Training data dock."""
        kept = self.keep_generator()
        if kept is not None:
            opened = open_in_training_data(self.viewer, kept)
            self.kept.say(
                f"Kept as {kept}.",
                "Training data uses it now." if opened else "Choose it in the Training data dock.",
            )


Writes = dict[str, Callable[[], tuple[str, ...]]]
"""By the name of a setting, what writes its files and returns them."""


def _write_all(writes: Writes) -> dict[str, tuple[str, ...]]:
    """Files that were written, by the setting that takes them."""
    return {name: write() for name, write in writes.items()}


def mixture_of(structure: StructureSettings) -> dict[str, Any]:
    """Plain settings of a mixture of one specimen."""
    return MixtureSettings(structure=structure).record()


def open_in_training_data(viewer: ViewerModel, generator: Path) -> bool:
    """Choose a generator in the viewer's Training data dock, opened if it is not; False where that cannot be."""
    window = getattr(viewer, "window", None)
    if window is None:
        return False
    try:
        widget, data = window.add_plugin_dock_widget("napari-stemlearn", "Training data", tabify=True)
        widget.raise_()
    except (KeyError, ValueError):
        return False
    choose: Any = getattr(data, "choose_generator", None)
    if choose is None:
        return False
    choose(generator)
    return True
