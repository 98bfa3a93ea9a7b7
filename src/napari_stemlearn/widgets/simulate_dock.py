"""The Simulate dock: look at one labelled micrograph, then make a set of many."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from napari_stemlearn.datasets.settings import SimulateSettings
from napari_stemlearn.errors import SettingsError
from napari_stemlearn.jobs import Run, RunState
from napari_stemlearn.widgets.background import Background
from napari_stemlearn.widgets.copy_python import CopyButton, simulate_lines
from napari_stemlearn.widgets.dock import Dock, docks_of, heading, separator
from napari_stemlearn.widgets.editors import NumberEditor
from napari_stemlearn.widgets.form import SettingsForm
from napari_stemlearn.widgets.job_panel import JobPanel
from napari_stemlearn.widgets.labels import ErrorLabel
from napari_stemlearn.widgets.preview_process import PreviewImage, PreviewProcess
from napari_stemlearn.widgets.project import ProjectRow
from napari_stemlearn.widgets.specimen_button import SpecimenButton, structure_of
from napari_stemlearn.widgets.typed_values import keep_typed

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

    from napari_stemlearn.imaging.labelled import LabelledMicrograph
    from napari_stemlearn.micrograph import Micrograph

IDLE = 10 * 60 * 1000
"""Milliseconds after which a process that simulates nothing is let go, for its memory."""

SHOWN_IMAGES = 50
"""Images of a set that are opened as one stack; the rest stay on disk."""


class SimulateDock(Dock):
    """Simulate labelled micrographs."""

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None):
        super().__init__(
            napari_viewer,
            "Micrographs from a specimen and a microscope, with the truth about every column. "
            "Preview shows one; Make a set writes many.",
            parent,
        )
        self.form = SettingsForm(
            SimulateSettings, hidden=("structure.field_of_view", "structure.margin"), with_presets=False
        )
        self.take_button = SpecimenButton(napari_viewer, "Take the specimen of the Structure dock")
        self.column.addWidget(self.form)
        self.column.addWidget(self.take_button)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(QLabel("Image"))
        self.index = NumberEditor(whole=True, bounds=(0, None))
        self.index.set_raw(0)
        self.index.setToolTip("Which image of the set the preview shows; the set will hold the very same one")
        self.index.setMaximumWidth(70)
        row.addWidget(self.index)
        self.preview_button = QPushButton("Preview")
        self.preview_button.setToolTip("Simulate one image and show it with its true sites; nothing is written")
        row.addWidget(self.preview_button, 1)
        self.stop_button = QPushButton("Stop")
        self.stop_button.setToolTip("Stop simulating this image; settings that ask for less are faster")
        self.stop_button.hide()
        row.addWidget(self.stop_button)
        self.copy_button = CopyButton(self.lines)
        row.addWidget(self.copy_button)
        self.column.addLayout(row)
        self.reason = ErrorLabel()
        self.column.addWidget(self.reason)
        self.report = QLabel()
        self.report.setWordWrap(True)
        self.report.hide()
        self.column.addWidget(self.report)

        self.column.addWidget(separator())
        self.column.addWidget(heading("A set on disk"))
        self.column.addWidget(ProjectRow())
        self.panel = JobPanel(
            napari_viewer,
            ("simulate",),
            start_text="Make a set",
            empty_text="Make a set writes images and their sites to the project folder; it can be stopped and resumed.",
            with_curves=False,
            preview_text="Show the newest image as a layer",
        )
        self.panel.start_button.setToolTip(
            "Simulate all images in a process of its own, and write them with their sites"
        )
        self.column.addWidget(self.panel)
        self.open_button = QPushButton("Open the set in the viewer")
        self.open_button.hide()
        self.column.addWidget(self.open_button)
        self.column.addStretch(1)

        self.labelled: LabelledMicrograph | None = None
        process = self._process = PreviewProcess()
        self.destroyed.connect(lambda _object=None: process.close())
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(IDLE)
        self._idle.timeout.connect(self._rest)
        self._background = Background(self)
        self._background.done.connect(self._show)
        self._background.failed.connect(self._failed)
        self._opener = Background(self)
        self._opener.done.connect(self._show_set)
        self._opener.failed.connect(self._open_failed)
        self.form.changed.connect(self._check)
        self.index.changed.connect(self._check)
        self.take_button.clicked.connect(self.take_structure)
        self.preview_button.clicked.connect(self.preview)
        self.stop_button.clicked.connect(self.stop)
        self.panel.start_requested.connect(self.make_set)
        self.panel.ended.connect(self._ended)
        self.panel.watched.connect(lambda _run: self.open_button.hide())
        self.open_button.clicked.connect(self.open_set)
        keep_typed(napari_viewer, "Simulate", form=self.form, index=self.index)
        self._check()
        self.panel.attach_to_active()

    # -- settings

    def settings(self) -> SimulateSettings:
        """The settings of the form.

        Raises
        ------
        SettingsError
            If a value is not allowed.
        """
        return self.form.value()

    def lines(self) -> str:
        """The same in Python."""
        return simulate_lines(self.settings(), self._index() or 0)

    def take_structure(self) -> None:
        """Take over the specimen of the Structure dock of this viewer, or of the layers that it made."""
        structure = structure_of(self.viewer)
        if structure is None:
            self.take_button.refresh()
            return
        self.form.set_value({**self.form.body.raw(), "structure": structure.record()})
        self.form.say(
            f"The settings of the specimen are now those of the Structure dock ({structure.crystal}); "
            "each image draws its own atoms."
        )

    def _index(self) -> int | None:
        text = str(self.index.raw())
        return int(text) if text.isdigit() else None

    def _check(self) -> None:
        problem = self.form.problem
        preview_problem = problem
        if problem is None and self._index() is None:
            preview_problem = "The number of the image is a whole number from 0."
        self.preview_button.setEnabled(preview_problem is None and not self._background.running)
        self.copy_button.setEnabled(preview_problem is None)
        self.reason.say(f"Preview waits: {preview_problem}" if preview_problem else None)
        self.panel.set_start_problem(problem)

    # -- one image

    def preview(self) -> None:
        """Simulate one image of the set in a process of its own and show it with its truth."""
        self.preview_button.setText("Simulating…")
        # a narrow dock has no room for both
        self.copy_button.hide()
        self.stop_button.show()
        self._idle.start()
        self._background.start(self._process.simulate, self.settings().record(), self._index())
        self._check()

    def stop(self) -> None:
        """End the simulation of the image; nothing is shown of it."""
        self._background.forget()
        self._process.kill()
        self._ready()

    def _show(self, image: PreviewImage) -> None:
        self._ready()
        labelled = self.labelled = image.labelled
        # the field may hold another number by now
        micrograph = replace(labelled.micrograph, name=f"simulated image {image.index}")
        show_truth(self.viewer, micrograph, labelled.columns, labelled.defects, "preview")
        height, width = labelled.micrograph.shape
        size = f"{height} × {width} pixels of {labelled.micrograph.pixel_size:g} Å"
        content = f"{len(labelled.columns)} columns, {counts_of(labelled.defects)}"
        self.report.setText(
            " ".join([f"{size} in {image.seconds:.2g} s on {image.device}: {content}.", *labelled.notes.values()])
        )
        self.report.show()

    def _failed(self, sentence: str, detail: str) -> None:
        self._ready()
        self.reason.say(sentence, detail)

    def _ready(self) -> None:
        self.preview_button.setText("Preview")
        self.stop_button.hide()
        self.copy_button.show()
        self._check()

    # -- coming and going

    def enterEvent(self, event: object) -> None:
        """Let torch load in the other process while the mouse is on its way to the button."""
        if not self._idle.isActive():
            self._process.start()
        self._idle.start()
        super().enterEvent(event)

    def closeEvent(self, event: object) -> None:
        self._process.close()
        super().closeEvent(event)

    def _rest(self) -> None:
        if self._background.running:
            self._idle.start()
        else:
            self._process.close()

    # -- a set

    def make_set(self) -> None:
        """Start the job that writes the set."""
        with contextlib.suppress(SettingsError):
            settings = self.settings()
            self.panel.start("simulate", settings, label=Path(settings.structure.crystal).stem)

    def _ended(self, run: Run) -> None:
        self.open_button.setVisible(run.state in (RunState.DONE, RunState.STOPPED))
        if run.state is RunState.DONE:
            self.panel.say(f"The set is in {run.result_folder}; Train can learn from it.")

    def open_set(self) -> None:
        """Read the set of the watched run in a thread and show it as a stack with its truth."""
        if self.panel.run is not None:
            self.open_button.setEnabled(False)
            self.open_button.setText("Opening…")
            self._opener.start(_read_set, self.panel.run.result_folder)

    def _show_set(self, content: tuple[Micrograph, pd.DataFrame, pd.DataFrame, int]) -> None:
        self._opened()
        # the set takes the place of its newest image
        self.panel.close_previews()
        micrograph, columns, defects, total = content
        show_truth(self.viewer, micrograph, columns, defects, "set")
        if total > micrograph.n_frames:
            self.panel.say(f"The first {micrograph.n_frames} of {total} images are shown.")

    def _open_failed(self, sentence: str, _detail: str) -> None:
        self._opened()
        self.panel.say(sentence, bad=True)

    def _opened(self) -> None:
        self.open_button.setEnabled(True)
        self.open_button.setText("Open the set in the viewer")


def _read_set(folder: Path) -> tuple[Micrograph, pd.DataFrame, pd.DataFrame, int]:
    import numpy as np

    from napari_stemlearn.errors import FormatError
    from napari_stemlearn.formats import read_micrograph, read_sites
    from napari_stemlearn.micrograph import Micrograph
    from napari_stemlearn.sites import concat_sites

    images = sorted(path for path in folder.glob("*.tif") if (folder / f"{path.stem}_sites.csv").exists())
    if not images:
        raise FormatError(f"There are no labelled images in {folder}.")
    frames, tables = [], []
    pixel_size = None
    for number, path in enumerate(images[:SHOWN_IMAGES]):
        micrograph = read_micrograph(path)
        pixel_size = micrograph.pixel_size
        frames.append(micrograph.frame(0))
        tables.append(read_sites(folder / f"{path.stem}_sites.csv").assign(frame=number))
    sites = concat_sites(tables)
    defects = sites["kind"] == "defect"
    stack = Micrograph(np.stack(frames), pixel_size, folder.parent.name, {"synthetic": True, "folder": str(folder)})
    return stack, sites[~defects].reset_index(drop=True), sites[defects].reset_index(drop=True), len(images)


def simulation_of(viewer: ViewerModel) -> SimulateSettings | None:
    """Settings of the Simulate dock that is open for a viewer, or None."""
    for dock in docks_of(viewer, SimulateDock):
        with contextlib.suppress(SettingsError):
            return dock.settings()
    return None


def counts_of(defects: pd.DataFrame) -> str:
    """Words for how many defects of which class there are."""
    if not len(defects):
        return "no defects"
    return ", ".join(
        f"{count} {str(name).replace('_', ' ')}" for name, count in defects["class"].value_counts().items()
    )


def show_truth(
    viewer: ViewerModel, micrograph: Micrograph, columns: pd.DataFrame, defects: pd.DataFrame, part: str
) -> None:
    """Show an image, its columns (hidden at first) and its defects, without the specimen of the Structure dock.

    Layers of the same part are used again, unless labels or predictions lie on them: those keep their image.
    """
    from napari_stemlearn.widgets.layers import add_sites, update_sites
    from napari_stemlearn.widgets.structure_dock import hide_specimen

    first = not len(viewer.layers)
    hide_specimen(viewer)
    _leave_to_others(viewer, part)
    before = _find(viewer, part, "image")
    scale = None if before is None else tuple(before.scale)
    image = _image(viewer, micrograph, part)
    for role, table, visible in (("columns", columns, False), ("defects", defects, True)):
        layer = _find(viewer, part, role)
        name = f"{micrograph.name} {role}"
        # symbols are as large as atoms, so another pixel size needs others
        if layer is not None and layer.ndim == image.ndim and tuple(image.scale) == scale:
            update_sites(layer, table)
            layer.name = name
            continue
        if layer is not None:
            visible = layer.visible
            viewer.layers.remove(layer)
        record = {"step": "simulate", "part": part, "role": role}
        add_sites(viewer, table, kind="truth", source_layer=image, name=name, record=record, visible=visible)
    if first:
        viewer.reset_view()


def _leave_to_others(viewer: ViewerModel, part: str) -> None:
    """Where other layers of ours refer to the image of a part, let it and its truth be parts no longer."""
    from napari_stemlearn.widgets.layers import KEY, about, our_layers

    layers = [layer for role in ("image", "columns", "defects") if (layer := _find(viewer, part, role)) is not None]
    images = [str(layer.unique_id) for layer in layers if about(layer)["role"] == "image"]
    if any(about(other).get("source_id") in images for other in our_layers(viewer) if other not in layers):
        for layer in layers:
            layer.metadata[KEY]["part"] = f"earlier {part}"


def _find(viewer: ViewerModel, part: str, role: str) -> Any:
    from napari_stemlearn.widgets.layers import about, our_layers

    for layer in our_layers(viewer, ("simulated", "truth")):
        record = about(layer)
        if record.get("step") == "simulate" and record.get("part") == part and record.get("role") == role:
            return layer
    return None


def _image(viewer: ViewerModel, micrograph: Micrograph, part: str) -> Any:
    from napari_stemlearn.widgets.layers import KEY, add_image, set_pixel_size

    layer = _find(viewer, part, "image")
    if layer is not None and layer.ndim == micrograph.data.ndim:
        layer.data = micrograph.data
        layer.name = micrograph.name
        if micrograph.pixel_size is not None:
            set_pixel_size(layer, micrograph.pixel_size)
        layer.metadata[KEY]["provenance"] = micrograph.provenance
        layer.reset_contrast_limits()
        return layer
    if layer is not None:
        viewer.layers.remove(layer)
    record = {"step": "simulate", "part": part, "role": "image"}
    return add_image(viewer, micrograph, kind="simulated", record=record)
