"""Watch a job: its state, device, progress, curves and pictures, and the buttons that steer it."""

from __future__ import annotations

import contextlib
import gc
import importlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_stemlearn import jobs
from napari_stemlearn.errors import JobError, StemlearnError
from napari_stemlearn.events import Checkpoint, Done, Event, Log, Metric, Preview, Progress, Started
from napari_stemlearn.jobs import Run, RunState
from napari_stemlearn.jobs.event_log import size_of
from napari_stemlearn.settings import Settings
from napari_stemlearn.widgets.background import Background
from napari_stemlearn.widgets.curves import Curves
from napari_stemlearn.widgets.dock import LATER
from napari_stemlearn.widgets.editors import CalmComboBox
from napari_stemlearn.widgets.labels import DimLabel, ElidedLabel, ErrorLabel
from napari_stemlearn.widgets.menu_button import MenuButton
from napari_stemlearn.widgets.previews import PreviewLayers
from napari_stemlearn.widgets.project import shared_project
from napari_stemlearn.widgets.run_names import RunNames, is_there
from napari_stemlearn.widgets.words import soft_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

POLL = 250
"""Milliseconds between two looks at a running job."""

TURN = 15
"""Milliseconds between two parts of the drawing, for the window to do all else."""

SLOW_POLL = 2000
"""Milliseconds between two looks at a job that has ended: somebody else may resume it."""

LONG_FILE = 200_000
"""Bytes of events from which on they are read in a thread, so that the window does not wait."""

RUNS_SHOWN = 50

_DOTS = {
    RunState.WAITING: ("#c9a227", "Starting"),
    RunState.RUNNING: ("#2fa66a", "Running"),
    RunState.STOPPING: ("#c9a227", "Stopping at the next safe point"),
    RunState.STOPPED: ("#8a8f98", "Stopped"),
    RunState.DONE: ("#3d8bff", "Done"),
    RunState.FAILED: ("#d64545", "Failed"),
}


_DELETED = ("#8a8f98", "Deleted")


class JobPanel(QWidget):
    """Everything about the runs of some kinds of job.

    What a dock adds to `results` stands above the curves.

    Parameters
    ----------
    viewer
        Viewer for the preview layers.
    kinds
        Kinds of jobs in the list of runs.
    start_text
        Words on the start button.
    empty_text
        What to do next while there is no run.
    with_curves
        Whether these jobs have metrics.
    preview_text
        Words beside the box that switches the preview layers.
    with_settings
        Whether `settings_wanted` is listened to: the menu beside the list of runs offers those of the chosen one.
    curves
        Curves that know the metrics of these jobs.
    previews
        Kind of preview layers.
    """

    start_requested = Signal()
    ended = Signal(object)
    watched = Signal(object)
    settings_wanted = Signal(object)
    heard = Signal(list)

    def __init__(
        self,
        viewer: ViewerModel,
        kinds: tuple[str, ...],
        *,
        start_text: str = "Start",
        empty_text: str = "No run yet: press Start.",
        with_curves: bool = True,
        preview_text: str = "Show what it sees as layers",
        with_settings: bool = False,
        curves: Curves | None = None,
        previews: type[PreviewLayers] = PreviewLayers,
        parent: QWidget | None = None,
    ):
        super().__init__(parent)
        self.viewer = viewer
        self.kinds = kinds
        self.project = shared_project()
        self.run: Run | None = None
        self.state: RunState | None = None
        self.last_metrics: dict[str, float] = {}
        self._empty_text = empty_text
        self.curves = curves or Curves()
        self._preview_kind = previews
        self._previews: PreviewLayers | None = None
        self._position = 0
        self._pace: deque[tuple[float, int]] = deque(maxlen=40)
        self._stage = ""
        self._log: deque[str] = deque(maxlen=30)
        self._start_problem: str | None = None
        self._listed: list[Run] = []
        self._names = RunNames()
        self._gone = False
        self._reader = Background(self)
        self._reader.done.connect(self._caught_up)
        self._reader.failed.connect(lambda sentence, _detail: self.say(sentence, bad=True))
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.poll)
        self._plots_loading: threading.Thread | None = None
        self._turns: dict[str, Callable[[], object]] = {}
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.setInterval(TURN)
        self._turn.timeout.connect(self._take_turn)
        self._build(start_text, with_curves, preview_text, with_settings)
        self.project.changed.connect(self.refresh_runs)
        self.refresh_runs()
        self._show_state()
        if with_curves:
            loading = QTimer(self)
            loading.setSingleShot(True)
            loading.timeout.connect(self._load_plots)
            loading.start(2 * LATER)

    # -- making

    def _build(self, start_text: str, with_curves: bool, preview_text: str, with_settings: bool) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)

        self.start_button = QPushButton(start_text)
        self.stop_button = QPushButton("Stop")
        self.stop_button.setToolTip("Finish the step, keep a checkpoint, then stop")
        self.resume_button = QPushButton("Resume")
        self.resume_button.setToolTip("Go on from the last checkpoint")
        self.kill_button = QPushButton("Kill")
        self.kill_button.setToolTip("End the process at once; the last checkpoint stays")
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        for button in (self.start_button, self.stop_button, self.resume_button, self.kill_button):
            button.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
            buttons.addWidget(button, 2 if button is self.start_button else 1)
        layout.addLayout(buttons)
        self.reason = DimLabel()
        layout.addWidget(self.reason)
        self.error = ErrorLabel()
        layout.addWidget(self.error)

        self.run_box = CalmComboBox()
        self.run_box.setPlaceholderText("choose an earlier run")
        self.run_box.setToolTip("Earlier and running jobs of this project; choose one to look at it again")
        self.run_row = QWidget()
        row = QHBoxLayout(self.run_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("Run"))
        row.addWidget(self.run_box, 1)
        self.menu_button = MenuButton("More about runs")
        self.take_action = self.menu_button.entries.addAction("Use this run's settings", self._want_settings)
        self.take_action.setVisible(with_settings)
        self.menu_button.entries.addAction("Look for runs again", self.refresh_runs)
        row.addWidget(self.menu_button)
        layout.addWidget(self.run_row)

        self.details = QWidget()
        inner = QGridLayout(self.details)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setVerticalSpacing(4)
        self.dot = QLabel("●")
        self.state_label = ElidedLabel()
        self.device_label = ElidedLabel()
        inner.addWidget(self.dot, 0, 0)
        inner.addWidget(self.state_label, 0, 1)
        inner.addWidget(self.device_label, 1, 1)
        inner.setColumnStretch(1, 1)
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        inner.addWidget(self.bar, 2, 0, 1, 2)
        self.eta_label = DimLabel()
        inner.addWidget(self.eta_label, 3, 0, 1, 2)
        self.log_label = ElidedLabel(colour_of=soft_of)
        inner.addWidget(self.log_label, 4, 0, 1, 2)
        layout.addWidget(self.details)

        self.results = QVBoxLayout()
        self.results.setSpacing(6)
        layout.addLayout(self.results)
        self.curves.setVisible(with_curves)
        layout.addWidget(self.curves)
        self._with_curves = with_curves
        self.preview_box = QCheckBox(preview_text)
        self.preview_box.setChecked(True)
        layout.addWidget(self.preview_box)

        self.start_button.clicked.connect(self.start_requested)
        self.stop_button.clicked.connect(lambda: self._steer("stop"))
        self.resume_button.clicked.connect(lambda: self._steer("resume"))
        self.kill_button.clicked.connect(lambda: self._steer("kill"))
        self.run_box.activated.connect(self._chosen)

    # -- starting and choosing

    def set_start_problem(self, sentence: str | None) -> None:
        """Say why nothing can be started now, or None when it can."""
        self._start_problem = sentence
        self._show_buttons()

    def start(self, kind: str, settings: Settings, *, label: str = "", inputs: dict[str, object] | None = None) -> bool:
        """Start a job in a process of its own and watch it; False, with the sentence shown, where it cannot start."""
        try:
            # checking loads torch, for which the window would stand still; the run says what is missing
            run = jobs.start(kind, settings, runs_folder=self.project.runs, label=label, inputs=inputs, check=False)
        except StemlearnError as error:
            self.say(str(error), bad=True)
            return False
        self.watch(run)
        return True

    def watch(self, run: Run | None) -> None:
        """Look at a run from its beginning; nothing happens to the run that was looked at before."""
        self._reader.forget()
        self._turns.clear()
        self.run = run
        self.state = None
        self._gone = False
        self._position = 0
        self._previews = self._preview_kind(self.viewer, run.name) if run is not None else None
        self.last_metrics = {}
        self._forget_progress()
        self._log.clear()
        self.curves.clear()
        self.log_label.set_full_text("")
        self.device_label.set_full_text("")
        self.error.say(None)
        self.refresh_runs()
        # before it is read: a run that has ended tells so at once
        self.watched.emit(run)
        if run is None:
            self._timer.stop()
            self._show_state()
        elif size_of(run.folder / "events.jsonl") > LONG_FILE:
            self._reader.start(_read_all, run)
            self._timer.start(POLL)
        else:
            self._timer.start(POLL)
            self.poll()
        if run is not None and self._with_curves:
            self._load_plots()

    def refresh_runs(self) -> None:
        """List the runs of the project again."""
        known = [run for run in jobs.list_runs(self.project.runs) if self._is_ours(run)]
        self._listed = known[:RUNS_SHOWN]
        if self.run is not None and self.run not in self._listed:
            self._listed.insert(0, self.run)
        self.run_box.blockSignals(True)
        self.run_box.clear()
        for run, words in zip(self._listed, self._names.of(self._listed), strict=True):
            self.run_box.addItem(words if is_there(run) else f"{words} (deleted)")
            self.run_box.setItemData(self.run_box.count() - 1, run.name, Qt.ItemDataRole.ToolTipRole)
        self.run_box.setCurrentIndex(self._listed.index(self.run) if self.run is not None else -1)
        self.run_box.blockSignals(False)
        self.run_row.setVisible(bool(self._listed))
        self.take_action.setEnabled(self.run is not None and is_there(self.run))

    def attach_to_active(self) -> Run | None:
        """Watch the newest run that is still going, where nothing is watched yet; returns it."""
        if self.run is not None:
            return None
        for run in self._listed[:10]:
            with contextlib.suppress(StemlearnError):
                if run.attempt and run.state.active:
                    self.watch(run)
                    return run
        return None

    def _want_settings(self) -> None:
        if self.run is not None:
            self.settings_wanted.emit(self.run)

    def _is_ours(self, run: Run) -> bool:
        # the kind is part of the folder's name, after date and time; a name of our own kind reads the file
        parts = run.name.split("-", 3)
        return (len(parts) > 2 and parts[2] in self.kinds) or any(":" in kind for kind in self.kinds)

    def _chosen(self, index: int) -> None:
        self.watch(self._listed[index])

    def _steer(self, what: str) -> None:
        if self.run is None:
            return
        self.error.say(None)
        try:
            getattr(self.run, what)()
        except JobError as error:
            self.say(str(error), bad=True)
        if what == "resume":
            self._forget_progress()
        self._timer.start(POLL)
        self.poll()

    # -- watching

    def poll(self) -> None:
        """Read what is new and show it; cheap when nothing is."""
        if self.run is None or self._reader.running:
            return
        try:
            state = self.run.state
            events, self._position = self.run.events(self._position)
        except (StemlearnError, OSError) as error:
            self._timer.stop()
            self.say(f"The run cannot be read: {error}", bad=True)
            return
        self._take(events)
        self._enter(state)
        gone = not is_there(self.run)
        if gone != self._gone:
            self._gone = gone
            self.refresh_runs()
            self._show_state()

    def _caught_up(self, content: tuple[list[Event], int]) -> None:
        events, self._position = content
        self._take(events)
        self.poll()

    def _take(self, events: list[Event]) -> None:
        """Show events; of previews and progress only the newest."""
        if not events:
            return
        previews: dict[str, Preview] = {}
        progress: Progress | None = None
        for event in events:
            if isinstance(event, Metric):
                self.last_metrics.update(event.values)
                self.curves.append(event.step, event.values)
            elif isinstance(event, Progress):
                progress = event
                self._note_pace(event)
            elif isinstance(event, Preview):
                previews[event.name] = event
            elif isinstance(event, Started):
                self._forget_progress()
                self._show_device(event)
            elif isinstance(event, Log):
                self._add_log(event.message)
            elif isinstance(event, Checkpoint):
                self._add_log(f"Checkpoint '{event.name}' written at step {event.step}.")
            elif isinstance(event, Done):
                self._add_log("Stopped." if event.stopped else "Done.")
        if progress is not None:
            self._show_progress(progress)
        if self._with_curves:
            for kind in self.curves.kinds():
                self._later(f"draw {kind}", lambda kind=kind: self._draw(kind))
        if self.preview_box.isChecked():
            if previews and self._previews is not None and self._previews.empty:
                # making a layer sets off a full search for garbage, as long as making it is; so that is done before
                self._later("collect", gc.collect)
            for name, preview in previews.items():
                self._later(f"show {name}", lambda preview=preview: self._show_preview(preview))
        self.heard.emit(events)

    def _later(self, name: str, action: Callable[[], object]) -> None:
        """Do something in a turn of the event loop of its own; a newer action of the same name takes its place."""
        self._turns[name] = action
        if not self._turn.isActive():
            self._turn.start()

    def _draw(self, kind: str) -> None:
        if self._plots_loading is not None and self._plots_loading.is_alive():
            self._later(f"draw {kind}", lambda: self._draw(kind))
        else:
            self.curves.draw(kind)

    def _load_plots(self) -> None:
        """Load the plotting library in a thread before the first numbers come; that makes no Qt objects."""
        if self._plots_loading is None:
            self._plots_loading = threading.Thread(
                target=importlib.import_module, args=("pyqtgraph",), name="load-plots", daemon=True
            )
            self._plots_loading.start()

    def _take_turn(self) -> None:
        if self._turns:
            self._turns.pop(next(iter(self._turns)))()
        if self._turns:
            self._turn.start()

    def _enter(self, state: RunState) -> None:
        """Take notice of a state."""
        if state == self.state:
            return
        before, self.state = self.state, state
        if state is RunState.WAITING:
            # what was reported so far belongs to an earlier attempt
            self._forget_progress()
            self.log_label.set_full_text("", "\n".join(self._log))
        self._show_state()
        if state.active:
            self._timer.setInterval(POLL)
            return
        self._timer.setInterval(SLOW_POLL)
        if before is not None and before.active:
            self.refresh_runs()
        self.ended.emit(self.run)

    # -- showing

    def say(self, sentence: str, bad: bool = False) -> None:
        """Show a sentence: red under the buttons when bad, else as the newest line of the log."""
        if bad:
            self.error.say(sentence)
        else:
            self._add_log(sentence)

    def _show_state(self) -> None:
        self.details.setVisible(self.run is not None)
        self.curves.setVisible(self.run is not None and self._with_curves)
        self.preview_box.setVisible(self.run is not None)
        if self.run is not None and self.state is not None:
            colour, words = _DELETED if self._gone else _DOTS[self.state]
            self.dot.setStyleSheet(f"color: {colour};")
            self.state_label.set_full_text(words, f"{words}: {self.run.folder}")
            active = self.state.active
            if self.state is RunState.WAITING:
                self.bar.setRange(0, 0)
            elif self.bar.maximum() == 0:
                self.bar.setRange(0, 1)
                self.bar.setValue(1 if self.state is RunState.DONE else 0)
            self.bar.setVisible(active or self.state is RunState.STOPPED)
            self.eta_label.setVisible(active and bool(self.eta_label.text()))
            self.device_label.setVisible(bool(self.device_label.full_text))
            if self.state is RunState.FAILED:
                failure = self.run.failure
                if failure is not None:
                    self.error.say(failure.message, failure.detail)
            else:
                self.error.say(None)
        self._show_buttons()

    def _show_buttons(self) -> None:
        state = self.state if self.run is not None else None
        active = state is not None and state.active
        self.start_button.setEnabled(self._start_problem is None and not active)
        self.stop_button.setEnabled(state in (RunState.RUNNING, RunState.WAITING))
        resumable = state in (RunState.STOPPED, RunState.FAILED) and not self._gone
        self.resume_button.setEnabled(resumable)
        self.kill_button.setEnabled(state is RunState.STOPPING)
        for button in (self.stop_button, self.resume_button, self.kill_button):
            button.setVisible(self.run is not None)
        self.resume_button.setVisible(resumable)
        self.stop_button.setVisible(active and state is not RunState.STOPPING)
        self.kill_button.setVisible(state is RunState.STOPPING)
        reason = ""
        if active:
            reason = "One run at a time: stop this one before starting another."
            if state is RunState.STOPPING:
                reason = "It finishes its step and keeps a checkpoint. Kill ends it at once and loses that step."
        elif self._start_problem is not None:
            reason = self._start_problem
        elif self.run is None:
            reason = self._empty_text
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason))

    def _show_device(self, event: Started) -> None:
        words = f"on {event.device}"
        if event.device_name:
            words += f" ({event.device_name})"
        if event.memory_free_gb is not None:
            words += f", {event.memory_free_gb:.1f} GB free"
        if event.resumed_at:
            words += f", resumed at step {event.resumed_at}"
        self.device_label.set_full_text(words)
        self.device_label.show()

    def _forget_progress(self) -> None:
        self._pace.clear()
        self._stage = ""
        self.bar.setRange(0, 0)
        self.eta_label.setText("")
        self.eta_label.hide()

    def _note_pace(self, event: Progress) -> None:
        if event.stage != self._stage:
            self._stage = event.stage
            self._pace.clear()
        self._pace.append((event.time, event.done))

    def _show_progress(self, event: Progress) -> None:
        stage = event.stage or "step"
        self.bar.setRange(0, max(event.total, 1))
        self.bar.setValue(event.done)
        self.bar.setFormat(f"{stage}: {event.done} of {event.total}" if event.total else f"{stage}: {event.done}")
        left = self._seconds_left(event)
        self.eta_label.setText("" if left is None else f"about {duration(left)} left")
        self.eta_label.setVisible(left is not None)

    def _seconds_left(self, event: Progress) -> float | None:
        if len(self._pace) < 2 or not event.total:
            return None
        (first_time, first_done), (last_time, last_done) = self._pace[0], self._pace[-1]
        if last_done <= first_done or last_time <= first_time:
            return None
        pace = (last_done - first_done) / (last_time - first_time)
        return max((event.total - event.done) / pace - (time.time() - last_time), 0.0)

    def _show_preview(self, event: Preview) -> None:
        if self.run is None or self._previews is None:
            return
        array = self.run.load_preview(event)
        if array is not None:
            sentence = self._previews.show(event.name, array, event.pixel_size, event.step)
            if sentence:
                self._add_log(sentence)
            if self._previews.unseen:
                # before the next layer is made
                self._turns = {"reveal": self._previews.reveal, **self._turns}

    def close_previews(self) -> None:
        """Take the live pictures of the watched run away, and those that are still to be drawn with them."""
        if self._previews is not None:
            self._previews.close()

    def _add_log(self, message: str) -> None:
        self._log.append(message)
        self.log_label.set_full_text(message, "\n".join(self._log))

    def closeEvent(self, event: object) -> None:
        self._timer.stop()
        self._turns.clear()
        super().closeEvent(event)


def _read_all(run: Run) -> tuple[list[Event], int]:
    return run.events(0)


def duration(seconds: float) -> str:
    """Words for a time span: "40 s", "3 min", "2 h 10 min"."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
