"""The dock that finds atoms and defects with one button."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QWidget,
)

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.finding.candidates import Candidates, lowest_scores
from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.widgets.choosers import LayerChooser, PixelSizeRow, ReasonedButton, Sentences
from napari_stemlearn.widgets.dock import Dock
from napari_stemlearn.widgets.found_panel import FoundPanel
from napari_stemlearn.widgets.labels import ErrorLabel
from napari_stemlearn.widgets.layers import current_frame, image_layers, kind_of, micrograph_from_layer, why_no_image
from napari_stemlearn.widgets.model_chooser import ModelChooser
from napari_stemlearn.widgets.project import shared_project
from napari_stemlearn.widgets.search_child import SearchRequest
from napari_stemlearn.widgets.search_history import SearchHistory
from napari_stemlearn.widgets.search_options import SearchOptions
from napari_stemlearn.widgets.search_process import SearchProcess, guarded
from napari_stemlearn.widgets.search_results import results_of
from napari_stemlearn.widgets.typed_values import keep_typed

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
TURN_MS = 15
"""Between two parts of the drawing the window has this time for everything else."""
IDLE_MS = 10 * 60 * 1000
"""An idle search process is let go after this time, for its memory."""


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
        self.history = SearchHistory(napari_viewer)
        self.worker: Any = None
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
            tip="The image or stack that is searched",
            follows=lambda layer: self.worker is None and kind_of(layer) != "preview",
        )
        self.pixel_size = PixelSizeRow(napari_viewer)
        self.model = ModelChooser(lambda: [shared_project().models], shared_project())
        self.this_frame = QRadioButton("this frame")
        self.all_frames = QRadioButton("all frames")
        self.frames = QWidget()
        self.options = SearchOptions()
        self.find_button = ReasonedButton("Find", main=True, tip="Mark the sites of the image in a layer of points")
        self.bar = QProgressBar()
        self.stop_button = QPushButton("Stop")
        self.state = Sentences()
        self.error = ErrorLabel()
        self.results = FoundPanel(self.model_in_python)
        self._lay_out()
        self._drawing = self._timer(TURN_MS, self._draw_step)
        self._reveal = self._timer(TURN_MS, self._show_layer)
        self._unseen: Any = None
        self._selected: Any = None
        process, history = self.process, self.history
        self._idle = self._timer(IDLE_MS, process.close)
        # whatever is called then knows no dock
        self.destroyed.connect(lambda _object=None: (process.close(), history.leave()))
        self._connect()
        keep_typed(napari_viewer, "Find", options=self.options)
        self._image_changed()
        self._show_earlier()

    def _timer(self, interval: int, action: Any) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(interval)
        timer.timeout.connect(action)
        return timer

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
        self.column.addLayout(grid)
        self.column.addWidget(self.options)
        self.column.addWidget(self.find_button)
        self.column.addLayout(running)
        self.column.addWidget(self.state)
        self.column.addWidget(self.error)
        self.column.addWidget(self.results)
        self.column.addStretch(1)
        for widget in (self.bar, self.stop_button):
            widget.hide()

    def _connect(self) -> None:
        self.image.chosen.connect(lambda _layer: self._other_image())
        self.image.calibrated.connect(self._image_changed)
        self.image.listed.connect(self.refresh)
        self.model.changed.connect(self.refresh)
        self.options.changed.connect(self.refresh)
        self.find_button.clicked.connect(self.find)
        self.stop_button.clicked.connect(self.stop)
        self.viewer.layers.events.removed.connect(self._on_removed)
        self.viewer.layers.selection.events.active.connect(self._on_selected)
        self.viewer.dims.events.current_step.connect(self._on_frame)

    # -- what is chosen

    def _other_image(self) -> None:
        if self.worker is None:
            # what was said of the search before is of the image before
            self.state.say()
            self.error.say(None)
        self._image_changed()

    def _image_changed(self) -> None:
        layer = self.results.chosen = self.image.layer()
        self.pixel_size.ask_for(layer)
        frames = frames_of(layer)
        self.frames.setVisible(frames > 1)
        self.frames_label.setVisible(frames > 1)
        if frames > 1:
            self.all_frames.setText(f"all {frames} frames")
            self._on_frame()
        self.refresh()

    def _on_frame(self, _event: Any = None) -> None:
        layer = self.image.layer() if isalive(self) else None
        if layer is not None and layer.ndim > 2 and layer in self.viewer.layers:
            self.this_frame.setText(f"this frame ({current_frame(self.viewer, layer)})")

    def why_not(self) -> str | None:
        """Why nothing can be searched, or None."""
        layer = self.image.layer()
        if layer is None:
            return why_no_image(self.viewer)
        if self.worker is not None:
            return "A search is running."
        try:
            micrograph = micrograph_from_layer(layer)
        except StemlearnError as error:
            return str(error)
        if micrograph.pixel_size is None:
            return "Give the pixel size of the image first."
        if not self.options.allowed:
            return "A setting under “Options” is not allowed."
        return None

    def refresh(self) -> None:
        """Switch the buttons to what can be done."""
        running = self.worker is not None
        self.find_button.allow(None if running else self.why_not())
        self.find_button.setVisible(not running)
        self.bar.setVisible(running)
        self.stop_button.setVisible(running)
        self.results.refresh()

    @property
    def layer(self) -> Any:
        """The layer of the results in view; None where there are none."""
        return self.results.found.layer if self.results.found is not None else None

    # -- searching

    def find(self) -> None:
        """Search the chosen image."""
        if self.why_not():
            self.refresh()
            return
        layer = self.image.layer()
        micrograph = micrograph_from_layer(layer)
        settings = self.options.settings()
        thresholds = self.model.thresholds()
        floor = LOWEST_CLASSICAL if self.model.entry is None else LOWEST_SCORE
        lowest = lowest_scores(thresholds, floor)
        one = micrograph.is_stack and self.this_frame.isChecked()
        assert micrograph.pixel_size is not None
        request = SearchRequest(
            model=self.model.path,
            device=self.options.device_name(),
            settings=settings.record(),
            name=micrograph.name,
            shape=tuple(int(length) for length in micrograph.data.shape),
            dtype=np.dtype(micrograph.data.dtype).str,
            pixel_size=micrograph.pixel_size,
            frames=(current_frame(self.viewer, layer),) if one else None,
            with_maps=self.options.with_maps(),
            lowest=lowest,
        )
        distance = self._distance(settings) / micrograph.pixel_size
        fresh = Candidates(
            thresholds, lowest, micrograph.pixel_size, micrograph.shape, self.model.exclusive(), distance
        )
        self.history.begin(layer, request, self.model.name, fresh)
        self._watch_image(layer)
        self._draw_time = self._drawn_at = 0.0
        self._stop_asked = self._image_gone = False
        self._selected = self.viewer.layers.selection.active
        self._begin = time.perf_counter()
        self._start(request, micrograph)

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
        if self.history.running is None:
            return
        self.history.running.add(part)
        since = time.perf_counter() - self._drawn_at
        if self._draw_time <= SHARE_FOR_DRAWING * since:
            self._drawing.start()

    def _finish(self, *, stopped: bool, error: str | None, detail: str = "") -> None:
        """Show the rest, then be ready for the next search."""
        self._end = (stopped, error, detail)
        self._drawing.start()

    def _ended(self, stopped: bool, error: str | None, detail: str) -> None:
        search = self.history.running
        self.worker = None
        self._end = None
        self._idle.start()
        if search is None:
            # the dock was closed meanwhile, and has come back
            self.refresh()
            return
        frames = len(search.candidates.frames)
        self.history.end()
        self.results.look()
        if error is not None:
            self.state.say()
            self.error.say(None if self._stop_asked else error, detail)
        if search.is_shown and self._may_select():
            self.viewer.layers.selection.active = search.layer
        if self._image_gone:
            self.state.say("Stopped: the image was removed.")
        elif self._stop_asked or stopped:
            self.state.say(f"Stopped; {frames} finished frame{'' if frames == 1 else 's'} kept.")
        elif error is None:
            self.state.say(f"Done in {duration(time.perf_counter() - self._begin)} on {self._device_name}.")
        self.refresh()

    def _may_select(self) -> bool:
        """Whether nobody works on what is selected in the viewer, nor selected it since the search began."""
        from napari.layers import Image

        active = self.viewer.layers.selection.active
        return active is None or (
            active == self._selected and (isinstance(active, Image) or results_of(active) is not None)
        )

    # -- showing

    def _draw_step(self) -> None:
        """Show what was found so far; a new layer is made, filled and first drawn in three turns of the event loop."""
        search = self.history.running
        complete = self._end is not None and self._end[:2] == (False, None) and not self._stop_asked
        if search is not None and (search.candidates.frames or complete):
            if not search.is_shown and search.image in self.viewer.layers:
                self.history.make_layer()
                self._unseen = search.layer
                self._drawing.start()
                return
            if search.is_shown:
                self._draw()
        if self._end is not None:
            self._ended(*self._end)

    def _draw(self) -> None:
        search = self.history.running
        begin = time.perf_counter()
        first = search not in self.history.results
        self.history.draw(ended=self._end is not None)
        if first:
            self._watch_layer(search.layer)
            self.results.show_found(search)
        elif self.results.found is search:
            self.results.filter()
        else:
            search.filter()
        self._drawn_at = time.perf_counter()
        self._draw_time = self._drawn_at - begin
        if self._unseen is not None:
            self._reveal.start()

    def _show_layer(self) -> None:
        layer, self._unseen = self._unseen, None
        if layer is not None:
            layer.visible = True

    # -- what others change

    def _show_earlier(self) -> None:
        """Show what was found before this dock was opened."""
        for one in self.history.results:
            self._watch_layer(one.layer)
            self._watch_image(one.image)
        self.results.show_found(self.history.latest())

    def _watch_layer(self, layer: Any) -> None:
        layer.events.data.connect(self._on_edit)
        layer.events.features.connect(self._on_edit)

    def _watch_image(self, image: Any) -> None:
        for event in (image.events.data, image.events.name, image.events.scale, image.events.units):
            # the results learn first that they are old
            event.connect(self._on_image, position="last")

    def _on_removed(self, event: Any) -> None:
        if not isalive(self):
            return
        search = self.history.running
        self.history.forget(event.value)
        if self.results.found is not None and self.results.found not in self.history.results:
            self.results.show_found(self.history.latest())
        if search is not None and search.image == event.value:
            self._image_gone = self._stop_asked = True
            self.process.kill()
        self.refresh()

    def _on_selected(self, _event: Any = None) -> None:
        found = results_of(self.viewer.layers.selection.active) if isalive(self) else None
        if found is not None and found is not self.results.found:
            self.results.show_found(found)

    def _on_edit(self, event: Any) -> None:
        found = results_of(event.source) if isalive(self) else None
        if found is not None and not found.locked:
            found.look()
            if found is self.results.found:
                self.results.soon()

    def _on_image(self, _event: Any = None) -> None:
        if isalive(self):
            self.results.look()

    # -- taking away

    def model_in_python(self, name: str) -> str:
        """By which name or folder scripts find a model."""
        entry = next((one for one in self.model.entries if one.name == name), None)
        return str(entry.folder) if entry is not None and entry.origin == "given" else name

    # -- coming and going

    def enterEvent(self, event: Any) -> None:
        """Load the network while the mouse is on its way to the button."""
        if self.worker is None and self.model.entry is not None and self.why_not() is None:
            self.process.warm_up(self.model.path, self.options.device_name())
            self._idle.start()
        super().enterEvent(event)

    def closeEvent(self, event: Any) -> None:
        self.process.close()
        super().closeEvent(event)

    def event(self, event: QEvent) -> bool:
        # a dock that is closed only loses its parent, and what Python collects later tells nobody
        if event.type() == QEvent.Type.ParentChange and self.parentWidget() is None:
            self.process.close()
            self.history.leave()
        return super().event(event)


def frames_of(layer: Any) -> int:
    """Number of frames of an image layer that can be searched; 0 where there is none or it is refused."""
    if layer is None:
        return 0
    try:
        return micrograph_from_layer(layer).n_frames
    except StemlearnError:
        # the button says why
        return 0


def duration(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
