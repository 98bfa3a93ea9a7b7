"""The dock that finds atoms and defects with one button."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.widgets.background import Background
from napari_stemlearn.widgets.candidates import Candidates, ThresholdTable, gather, lowest_scores
from napari_stemlearn.widgets.choosers import LayerChooser, PixelSizeRow, ReasonedButton, Sentences
from napari_stemlearn.widgets.copy_python import CopyButton
from napari_stemlearn.widgets.device_editor import DeviceEditor
from napari_stemlearn.widgets.dock import Dock, heading, separator
from napari_stemlearn.widgets.form import SettingsForm
from napari_stemlearn.widgets.label_store import slug
from napari_stemlearn.widgets.labels import ErrorLabel
from napari_stemlearn.widgets.layers import (
    KEY,
    about,
    add_sites,
    current_frame,
    image_layers,
    kind_of,
    made_by_hand,
    micrograph_from_layer,
    our_layers,
    pixel_size_of,
    show_only,
    shown_counts,
    sites_from_layer,
    update_sites,
)
from napari_stemlearn.widgets.model_chooser import ModelChooser
from napari_stemlearn.widgets.probability_maps import ProbabilityMaps
from napari_stemlearn.widgets.project import ProjectRow, shared_project
from napari_stemlearn.widgets.search_child import CLASSICAL, SearchRequest
from napari_stemlearn.widgets.search_lines import search_lines
from napari_stemlearn.widgets.search_process import SearchProcess, guarded
from napari_stemlearn.widgets.section import Section

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_stemlearn.finding.found import FrameFound
    from napari_stemlearn.micrograph import Micrograph

LOWEST_SCORE = 0.1
"""Candidates of a network are kept down to this score, so that thresholds can be moved after the search."""
LOWEST_CLASSICAL = 0.4
"""Each candidate of the classical finder costs a fit, so fewer are kept."""
SHARE_FOR_DRAWING = 0.1
"""While a stack is searched, at most this share of the time goes into drawing what is found so far."""
RESULTS = ("layer", "searched_layer", "candidates", "_searched", "_record", "_request", "_notes", "_maps")
"""What belongs to the results of one search."""
TURN_MS = 15
"""Between two parts of the drawing the window has this time for everything else."""
IDLE_MS = 10 * 60 * 1000
"""An idle search process is let go after this time, for its memory."""
EDITED = "edited_by_hand"
"""Marks a layer of results whose points somebody has moved, added or deleted."""
OUTDATED = "The image has changed since: search again."
BY_HAND = (
    "Edited by hand: thresholds no longer act, and Export writes what the layer shows. "
    "Search again for a new layer with thresholds."
)


class FindDock(Dock):
    """Find atoms and defects.

    Parameters
    ----------
    napari_viewer
        The viewer to search in.
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None):
        super().__init__(napari_viewer, "A trained network marks atoms and defects in an image or a stack.", parent)
        self.process = SearchProcess()
        self.worker: Any = None
        self.candidates: Candidates | None = None
        self.layer: Any = None
        self.searched_layer: Any = None
        self._record: dict[str, Any] = {}
        self._request: Any = None
        self._notes: list[str] = []
        self._maps: ProbabilityMaps | None = None
        self._changes: Counter[str] = Counter()
        self._searched = 0
        self._before: dict[str, Any] = {}
        self._drawn_at = 0.0
        self._draw_time = 0.0
        self._stop_asked = False
        self._image_gone = False
        self._end: tuple[bool, str | None, str] | None = None
        self._begin = 0.0
        self._device_name = "cpu"
        self.image = LayerChooser(
            napari_viewer,
            image_layers,
            empty_text="open an image first",
            follows=lambda layer: self.worker is None and kind_of(layer) != "preview",
        )
        self.pixel_size = PixelSizeRow(napari_viewer)
        self.model = ModelChooser(lambda: [shared_project().models], shared_project())
        self.this_frame = QRadioButton("this frame")
        self.all_frames = QRadioButton("all frames")
        self.frames = QWidget()
        self.options = Section("Options", self._make_options)
        self.form: SettingsForm | None = None
        self.device: DeviceEditor | None = None
        self.maps_box: QCheckBox | None = None
        self.find_button = ReasonedButton("Find", main=True)
        self.bar = QProgressBar()
        self.stop_button = QPushButton("Stop")
        self.state = Sentences()
        self.error = ErrorLabel()
        self.results = QWidget()
        self.found_heading = heading("")
        self.found_heading.setWordWrap(True)
        self.old = ErrorLabel()
        self.by_hand = Sentences()
        self.table = ThresholdTable()
        self.notes = Sentences()
        self.export_button = QPushButton("Export CSV")
        self.copy_button = CopyButton(self.python_lines)
        self.left_out = Sentences()
        self.saved = Sentences()
        self._lay_out()
        self._writing = Background(self)
        self._writing.done.connect(lambda path: self.saved.say(f"Saved {path.name} in {path.parent}"))
        self._writing.failed.connect(lambda sentence, _detail: self.error.say(sentence))
        self._filtering = QTimer(self)
        self._filtering.setSingleShot(True)
        self._filtering.setInterval(20)
        self._filtering.timeout.connect(self._filter)
        self._drawing = QTimer(self)
        self._drawing.setSingleShot(True)
        self._drawing.setInterval(TURN_MS)
        self._drawing.timeout.connect(self._draw_step)
        self._reveal = QTimer(self)
        self._reveal.setSingleShot(True)
        self._reveal.setInterval(TURN_MS)
        self._reveal.timeout.connect(self._show_layer)
        self._unseen = False
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(IDLE_MS)
        process = self.process
        self._idle.timeout.connect(process.close)
        self.destroyed.connect(lambda _object=None: process.close())
        self._connect()
        self._image_changed()

    def _lay_out(self) -> None:
        group = QButtonGroup(self)
        row = QHBoxLayout(self.frames)
        row.setContentsMargins(0, 0, 0, 0)
        for button in (self.this_frame, self.all_frames):
            group.addButton(button)
            row.addWidget(button)
        row.addStretch(1)
        self.all_frames.setChecked(True)
        self.frames_label = QLabel("Search")
        model_label = QLabel("Model")
        model_label.setContentsMargins(0, 5, 0, 0)
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        grid.setVerticalSpacing(6)
        grid.addWidget(QLabel("Image"), 0, 0)
        grid.addWidget(self.image, 0, 1)
        grid.addWidget(self.pixel_size, 1, 0, 1, 2)
        grid.addWidget(model_label, 2, 0, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(self.model, 2, 1)
        grid.addWidget(self.frames_label, 3, 0)
        grid.addWidget(self.frames, 3, 1)
        running = QHBoxLayout()
        running.addWidget(self.bar, 1)
        running.addWidget(self.stop_button)
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(14)
        inner = QVBoxLayout(self.results)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(6)
        inner.addWidget(separator())
        inner.addWidget(self.found_heading)
        inner.addWidget(self.old)
        inner.addWidget(self.by_hand)
        inner.addWidget(self.table)
        inner.addWidget(self.notes)
        inner.addWidget(ProjectRow())
        buttons = QHBoxLayout()
        buttons.addWidget(self.export_button)
        buttons.addWidget(self.copy_button)
        inner.addLayout(buttons)
        inner.addWidget(self.left_out)
        inner.addWidget(self.saved)
        self.column.addLayout(grid)
        self.column.addWidget(self.options)
        self.column.addWidget(self.find_button)
        self.column.addLayout(running)
        self.column.addWidget(self.state)
        self.column.addWidget(self.error)
        self.column.addWidget(self.results)
        self.column.addStretch(1)
        for widget in (self.bar, self.stop_button, self.results):
            widget.hide()

    def _make_options(self) -> QWidget:
        widget = QWidget()
        layout = QVBoxLayout(widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.form = SettingsForm(FindSettings, hidden=("threshold", "thresholds", "classes"), with_presets=False)
        self.form.changed.connect(self.refresh)
        self.maps_box = QCheckBox("Show probability maps")
        self.maps_box.setToolTip("One image layer a class with the network's score of every pixel")
        self.device = DeviceEditor()
        row = QHBoxLayout()
        row.addWidget(QLabel("Device"))
        row.addWidget(self.device, 1)
        layout.addWidget(self.form)
        layout.addWidget(self.maps_box)
        layout.addLayout(row)
        return widget

    def _connect(self) -> None:
        self.image.chosen.connect(lambda _layer: self._image_changed())
        self.image.calibrated.connect(self._calibrated)
        self.model.changed.connect(self.refresh)
        self.find_button.clicked.connect(self.find)
        self.stop_button.clicked.connect(self.stop)
        self.table.changed.connect(self._filtering.start)
        self.export_button.clicked.connect(self.export)
        self.viewer.layers.events.removed.connect(self._on_removed)
        self.viewer.dims.events.current_step.connect(self._on_frame)

    # -- what is chosen

    def _image_changed(self) -> None:
        layer = self.image.layer()
        self.pixel_size.ask_for(layer)
        frames = frames_of(layer)
        self.frames.setVisible(frames > 1)
        self.frames_label.setVisible(frames > 1)
        if frames > 1:
            self.all_frames.setText(f"all {frames} frames")
            self._on_frame()
        self.refresh()

    def _calibrated(self) -> None:
        layer, candidates = self.image.layer(), self.candidates
        self._image_changed()
        if self.worker is not None or candidates is None or layer is None or layer != self.searched_layer:
            return
        if self.outdated:
            return
        try:
            size = pixel_size_of(layer)
        except StemlearnError:
            return
        if size is not None and size != candidates.pixel_size:
            before = f"{candidates.pixel_size:.4g}\u00a0Å"
            candidates.calibrate(size)
            self._filter()
            self.state.say(f"These sites were found with a pixel size of {before}: search again with the new one.")

    def _on_frame(self, _event: Any = None) -> None:
        layer = self.image.layer() if isalive(self) else None
        if layer is not None and layer.ndim > 2 and layer in self.viewer.layers:
            self.this_frame.setText(f"this frame ({current_frame(self.viewer, layer)})")

    def settings(self) -> FindSettings:
        """The settings of the options, checked."""
        if self.form is None:
            return FindSettings()
        if self.form.problem:
            raise StemlearnError(self.form.problem)
        return self.form.value()  # type: ignore[return-value]

    def why_not(self) -> str | None:
        """Why nothing can be searched, or None."""
        layer = self.image.layer()
        if layer is None:
            return "Open an image or a stack first."
        if self.worker is not None:
            return "A search is running."
        try:
            micrograph = micrograph_from_layer(layer)
        except StemlearnError as error:
            return str(error)
        if micrograph.pixel_size is None:
            return "Give the pixel size of the image first."
        if self.form is not None and self.form.problem:
            return "A setting under “Options” is not allowed."
        return None

    def refresh(self) -> None:
        """Switch the buttons to what can be done."""
        running = self.worker is not None
        self.find_button.allow(None if running else self.why_not())
        self.find_button.setVisible(not running)
        self.bar.setVisible(running)
        self.stop_button.setVisible(running)
        self.export_button.setEnabled(self.layer is not None and not running and not self.outdated)
        self.export_button.setToolTip(OUTDATED if self.outdated else "")
        self.copy_button.setEnabled(self.searched_layer is not None)
        self.old.say(OUTDATED if self.outdated else None)
        self.by_hand.say(BY_HAND if self.edited and not self.outdated else None)
        self.table.lock(self.edited)
        hidden = len(self.candidates.hidden) if self.candidates is not None else 0
        self.left_out.say(left_out(hidden))

    # -- searching

    def find(self) -> None:
        """Search the chosen image."""
        if self.why_not():
            self.refresh()
            return
        layer = self.image.layer()
        micrograph = micrograph_from_layer(layer)
        settings = self.settings()
        thresholds = self.model.thresholds()
        floor = LOWEST_CLASSICAL if self.model.entry is None else LOWEST_SCORE
        lowest = lowest_scores(thresholds, floor)
        one = micrograph.is_stack and self.this_frame.isChecked()
        assert micrograph.pixel_size is not None
        request = SearchRequest(
            model=self.model.path,
            device=str(self.device.raw()) if self.device is not None else "auto",
            settings=settings.record(),
            name=micrograph.name,
            shape=tuple(int(length) for length in micrograph.data.shape),
            dtype=np.dtype(micrograph.data.dtype).str,
            pixel_size=micrograph.pixel_size,
            frames=(current_frame(self.viewer, layer),) if one else None,
            with_maps=self.maps_box is not None and self.maps_box.isChecked(),
            lowest=lowest,
        )
        self._prepare(layer, micrograph, settings, thresholds, lowest, request)
        self._start(request, micrograph)

    def _prepare(
        self,
        layer: Any,
        micrograph: Micrograph,
        settings: FindSettings,
        thresholds: dict[str, float],
        lowest: dict[str, float],
        request: SearchRequest,
    ) -> None:
        """Get ready for results: a layer of the same image and model is filled anew, its thresholds stay."""
        assert micrograph.pixel_size is not None
        record = {"model": self.model.name, "settings": settings.record()}
        mark = str(layer.unique_id)
        same = [
            other
            for other in our_layers(self.viewer, "predicted")
            if about(other).get("source_id") == mark and about(other).get("model") == self.model.name
        ]
        last = same[-1] if same else None
        kept = self.candidates if last is not None and last == self.layer else None
        stale = self.outdated or self.edited
        fresh = Candidates(
            thresholds,
            lowest,
            micrograph.pixel_size,
            micrograph.shape,
            self.model.exclusive(),
            self._distance(settings) / micrograph.pixel_size,
        )
        if kept is not None and kept.classes == fresh.classes:
            fresh.hidden = set(kept.hidden)
            fresh.thresholds = {name: max(value, lowest[name]) for name, value in kept.thresholds.items()}
            alike = about(self.layer).get("settings") == record["settings"] and kept.pixel_size == fresh.pixel_size
            if alike and not stale:
                again = set(request.frames if request.frames is not None else range(micrograph.n_frames))
                for frame, table in zip(kept.frames, kept.tables, strict=True):
                    if frame not in again:
                        fresh.add(frame, table)
        # a search that finds nothing, because it broke or was stopped, leaves the results before it
        self._before = {name: getattr(self, name) for name in RESULTS}
        # what was edited by hand is never overwritten
        self.layer = None if last is None or about(last).get(EDITED) else last
        if self.layer is not None:
            self._own(self.layer)
        self.searched_layer = layer
        layer.events.data.connect(self._on_image)
        self._searched = self._changes[mark]
        self.candidates = fresh
        self._record = record
        self._request = request
        self._notes = []
        self._maps = ProbabilityMaps(self.viewer, layer, request, self.model.name)
        self._draw_time = self._drawn_at = 0.0
        self._stop_asked = False
        self._image_gone = False
        self._begin = time.perf_counter()

    def _distance(self, settings: FindSettings) -> float:
        """Least distance of two sites in angstrom; that of the classical finder is of no use here."""
        entry = self.model.entry
        if settings.min_distance is not None or entry is None:
            return settings.min_distance or 0.0
        return entry.card.min_distance

    def _start(self, request: SearchRequest, micrograph: Micrograph) -> None:
        from napari.qt.threading import thread_worker

        process = self.process

        def messages() -> Iterator[tuple[Any, ...]]:
            return process.search(request, micrograph)

        # in a process: importing torch in a thread held the interpreter, and with it the window, for 0.4 to 0.8 s
        self.worker = thread_worker(guarded, start_thread=False)(messages)
        self.worker.yielded.connect(self._heard)
        self._idle.stop()
        self.error.say(None)
        self.saved.say()
        self.state.say("Searching…" if process.alive else "Loading the network…")
        self.bar.setRange(0, 0)
        self.stop_button.setText("Stop")
        self.stop_button.setEnabled(True)
        self.worker.start()
        self.refresh()

    def stop(self) -> None:
        """Stop at the next tile and keep finished frames; asked again, end the search process at once."""
        if self.worker is None:
            return
        if self._stop_asked:
            self.process.kill()
            return
        self._stop_asked = True
        self.state.say("Stopping after this tile…")
        self.stop_button.setText("Stop now")
        self.process.stop()

    def _heard(self, message: tuple[Any, ...]) -> None:
        if not isalive(self):
            return
        kind, *rest = message
        if kind == "started":
            self._device_name = str(rest[0])
            self.state.say(f"Searching on {self._device_name}…")
        elif kind == "progress":
            done, total = rest
            self.bar.setRange(0, total)
            self.bar.setValue(done)
        elif kind == "found":
            self._take(rest[0])
        elif kind == "end":
            self._finish(stopped=bool(rest[0]), error=None)
        elif kind == "failed":
            self._finish(stopped=False, error=rest[0], detail=rest[1])

    def _take(self, part: FrameFound) -> None:
        assert self.candidates is not None
        self.candidates.add(part.frame, part.sites)
        self._notes += [note for note in part.notes if note not in self._notes]
        if part.maps is not None:
            self._maps.show(part)
        since = time.perf_counter() - self._drawn_at
        if self._draw_time <= SHARE_FOR_DRAWING * since:
            self._drawing.start()

    def _finish(self, *, stopped: bool, error: str | None, detail: str = "") -> None:
        """Show the rest, then be ready for the next search."""
        self._end = (stopped, error, detail)
        self._drawing.start()

    def _ended(self, stopped: bool, error: str | None, detail: str) -> None:
        self.worker = None
        self._end = None
        self._idle.start()
        if self.layer is not None:
            self.layer.editable = True
        if error is not None:
            self.state.say()
            self.error.say(None if self._stop_asked else error, detail)
        if self.layer is not None and self.layer in self.viewer.layers:
            self.viewer.layers.selection.active = self.layer
        frames = len(self.candidates.frames) if self.candidates is not None else 0
        without = not frames or (self._image_gone and self.layer is None)
        if without and (error is not None or self._stop_asked or stopped):
            self._bring_back()
        if self._image_gone:
            self.state.say("Stopped: the image was removed.")
        elif self._stop_asked or stopped:
            self.state.say(f"Stopped; {frames} finished frame{'' if frames == 1 else 's'} kept.")
        elif error is None:
            self.state.say(f"Done in {duration(time.perf_counter() - self._begin)} on {self._device_name}.")
        self.refresh()

    def _bring_back(self) -> None:
        """Show the results again that were there before a search without any."""
        for name, value in self._before.items():
            setattr(self, name, value)
        if self.layer is not None and self.layer not in self.viewer.layers:
            self.layer = None
        self.results.setVisible(self.layer is not None)

    # -- showing

    def _draw_step(self) -> None:
        """Show what was found so far; a new layer is made, filled and first drawn in three turns of the event loop."""
        candidates = self.candidates
        assert candidates is not None
        complete = self._end is not None and self._end[:2] == (False, None) and not self._stop_asked
        anything = bool(candidates.frames) or complete
        there = self.layer is not None and self.layer in self.viewer.layers
        if anything and not there and self.searched_layer in self.viewer.layers:
            self._make_layer()
            self._drawing.start()
            return
        if anything and there:
            begin = time.perf_counter()
            self._fill_layer(candidates)
            self._drawn_at = time.perf_counter()
            self._draw_time = self._drawn_at - begin
            if not self.layer.visible and self._unseen:
                self._unseen = False
                self._reveal.start()
        if self._end is not None:
            self._ended(*self._end)

    def _make_layer(self) -> None:
        from napari_stemlearn.sites import empty_sites

        active = self.viewer.layers.selection.active
        self.layer = add_sites(
            self.viewer,
            empty_sites(),
            kind="predicted",
            source_layer=self.searched_layer,
            name=f"{self.searched_layer.name} {self.model_name}",
            visible=False,
        )
        self._own(self.layer)
        self._unseen = True
        self.viewer.layers.selection.active = active
        before = self._before["layer"]
        if before is not None and about(before).get(EDITED) and self._before["searched_layer"] == self.searched_layer:
            # two layers of the same sites would be hard to tell apart
            before.visible = False

    def _own(self, layer: Any) -> None:
        """Fill a layer during a search; nobody edits it meanwhile, for each new frame writes it anew."""
        layer.editable = False
        layer.events.data.connect(self._on_edit)

    def _show_layer(self) -> None:
        if self.layer is not None and self.layer in self.viewer.layers:
            self.layer.visible = True

    def _fill_layer(self, candidates: Candidates) -> None:
        table = candidates.table()
        update_sites(self.layer, table)
        # new points make a layer editable
        self.layer.editable = self._end is not None
        self.layer.metadata[KEY].update(
            {
                **self._record,
                "thresholds": dict(candidates.thresholds),
                "lowest": dict(candidates.lowest),
                "classes": candidates.classes,
                "frames": sorted(candidates.frames),
                "notes": list(self._notes),
                EDITED: False,
            }
        )
        if self.table.candidates is not candidates:
            self.table.show_candidates(candidates)
        self.results.show()
        self._filter()
        self.notes.say(*gather(self._notes))

    def _filter(self) -> None:
        """Show those at or above the thresholds."""
        candidates, layer = self.candidates, self.layer
        if candidates is None or layer is None or layer not in self.viewer.layers:
            return
        if self.edited:
            counts = shown_counts(layer)
        else:
            table = candidates.table()
            if len(table) != len(layer.data):
                # a search has begun to fill it anew, and filters then
                return
            if len(table):
                show_only(layer, candidates.mask(table))
            layer.metadata[KEY]["thresholds"] = dict(candidates.thresholds)
            counts = candidates.counts(table)
        self.table.show_counts(counts, candidates.area())
        total, frames = sum(counts.values()), len(candidates.frames)
        where = f" in {frames} frames" if frames > 1 else ""
        number = f"{total:,}".replace(",", "\u202f")
        self.found_heading.setText(
            f"{number} site{'' if total == 1 else 's'}{where} of {shortened(self.searched_layer.name)}"
        )
        self.refresh()

    def _on_removed(self, event: Any) -> None:
        if not isalive(self):
            return
        if event.value == self.layer:
            self.layer = None
            if self.worker is None:
                self.results.hide()
        if event.value == self.searched_layer and self.worker is not None:
            self._image_gone = self._stop_asked = True
            self.process.kill()
        self.refresh()

    # -- what others change

    @property
    def edited(self) -> bool:
        """Whether somebody moved, added or deleted sites of the layer."""
        return self.layer is not None and bool(about(self.layer).get(EDITED))

    @property
    def outdated(self) -> bool:
        """Whether the searched image got other pixels since."""
        layer = self.searched_layer
        return layer is not None and self._changes[str(layer.unique_id)] != self._searched

    def _on_edit(self, event: Any) -> None:
        # what we write ourselves is not heard
        if isalive(self):
            event.source.metadata[KEY][EDITED] = True
            if event.action == "added":
                made_by_hand(event.source, event.data_indices)
            if event.source == self.layer:
                self._filtering.start()

    def _on_image(self, event: Any) -> None:
        if isalive(self):
            self._changes[str(event.source.unique_id)] += 1
            self.refresh()

    # -- taking away

    def sites(self) -> Any:
        """Site table of what is shown.

        Raises
        ------
        StemlearnError
            If the layer was edited so that it gives no table.
        """
        assert self.candidates is not None
        if self.edited:
            return sites_from_layer(self.layer, self.searched_layer, pixel_size=self.candidates.pixel_size)
        table = self.candidates.table()
        return table[self.candidates.mask(table)].reset_index(drop=True)

    def export(self) -> None:
        """Write the shown sites as CSV into the project folder."""
        if self.candidates is None or self.layer is None or self.outdated:
            return
        try:
            sites = self.sites()
        except StemlearnError as error:
            self.error.say(str(error))
            return
        record = {key: value for key, value in about(self.layer).items() if key != "source_id"}
        name = f"{slug(self.searched_layer.name)}-{self.model_name}-{datetime.now():%Y%m%d-%H%M%S}.csv"
        path = shared_project().folder / "sites" / name
        self._writing.start(_write, path, sites, self.candidates, record)

    @property
    def model_name(self) -> str:
        """Name of the model that the results come from."""
        return str(self._record["model"])

    def python_lines(self) -> str:
        """The lines that find the same with the public API."""
        if self.searched_layer is None or self.candidates is None:
            raise StemlearnError("Nothing was searched yet, so there is nothing to copy.")
        request = self._request
        source = getattr(getattr(self.searched_layer, "source", None), "path", None) or f"{slug(request.name)}.tif"
        model = CLASSICAL if request.model == CLASSICAL else self.model_name
        entry = next((one for one in self.model.entries if one.name == model), None)
        if entry is not None and entry.origin == "given":
            model = str(entry.folder)
        return search_lines(request, self.candidates.thresholds, str(source), model)

    # -- coming and going

    def enterEvent(self, event: Any) -> None:
        """Load the network while the mouse is on its way to the button."""
        if self.worker is None and self.model.entry is not None and self.why_not() is None:
            device = str(self.device.raw()) if self.device is not None else "auto"
            self.process.warm_up(self.model.path, device)
            self._idle.start()
        super().enterEvent(event)

    def closeEvent(self, event: Any) -> None:
        self.process.close()
        super().closeEvent(event)


def frames_of(layer: Any) -> int:
    """Number of frames of an image layer that can be searched; 0 where there is none or it is refused."""
    if layer is None:
        return 0
    try:
        return micrograph_from_layer(layer).n_frames
    except StemlearnError:
        # the button says why
        return 0


def left_out(hidden: int) -> str:
    """Sentence on classes that are not shown, and so not exported either."""
    if not hidden:
        return ""
    return "1 hidden class is left out." if hidden == 1 else f"{hidden} hidden classes are left out."


def shortened(name: str, length: int = 28) -> str:
    """A name that fits into a narrow dock."""
    half = (length - 1) // 2
    return name if len(name) <= length else f"{name[:half]}…{name[-half:]}"


def duration(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


def _write(path: Path, sites: Any, candidates: Candidates, record: dict[str, Any]) -> Path:
    from napari_stemlearn.formats import write_sites
    from napari_stemlearn.formats.atomic import make_folder

    make_folder(path.parent)
    return write_sites(path, sites, pixel_size=candidates.pixel_size, classes=candidates.classes, provenance=record)
