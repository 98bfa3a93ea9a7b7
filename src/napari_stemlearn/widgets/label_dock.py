"""The dock to label by hand, to review predictions, and to score what was found."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.widgets.background import Background
from napari_stemlearn.widgets.choosers import LayerChooser, PixelSizeRow, ReasonedButton, Sentences
from napari_stemlearn.widgets.class_chooser import DEFAULT_CLASSES, ClassChooser, in_order
from napari_stemlearn.widgets.dock import Dock, separator
from napari_stemlearn.widgets.editors import CalmComboBox
from napari_stemlearn.widgets.frame_table import FrameTable
from napari_stemlearn.widgets.keys import bind, key_rows, unbind
from napari_stemlearn.widgets.label_session import LabelSession
from napari_stemlearn.widgets.label_store import folder_for, free_name, load_set, saved_sets
from napari_stemlearn.widgets.labelling import HandLabels
from napari_stemlearn.widgets.labels import ErrorLabel
from napari_stemlearn.widgets.layers import (
    about,
    go_to_frame,
    image_layers,
    micrograph_from_layer,
    our_layers,
    sites_from_layer,
)
from napari_stemlearn.widgets.project import ProjectRow, shared_project
from napari_stemlearn.widgets.review_panel import ReviewPanel
from napari_stemlearn.widgets.score_panel import ScorePanel
from napari_stemlearn.widgets.section import Section

if TYPE_CHECKING:
    from napari.components import ViewerModel

SAVE_MS = 1000
"""Labels are written this long after the first change that is not yet on disk."""
NEW = "new labels"


class LabelDock(Dock):
    """Label, review, score.

    Parameters
    ----------
    napari_viewer
        The viewer to label in.
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None):
        super().__init__(
            napari_viewer, "Mark columns and defects by hand, then score what was found against them.", parent
        )
        self.sessions: list[LabelSession] = []
        self.session: LabelSession | None = None
        self._sets: list[tuple[str, LabelSession | Path | None]] = []
        self.project = ProjectRow()
        self.image = LayerChooser(napari_viewer, image_layers, empty_text="open an image first")
        self.pixel_size = PixelSizeRow(napari_viewer)
        self.sets = CalmComboBox()
        self.start_button = ReasonedButton("Start labelling", main=True)
        self.error = ErrorLabel()
        self.work = QWidget()
        self.classes = ClassChooser()
        self.label_box = QCheckBox("Click to label")
        self.label_box.setToolTip("On while the layer of the labels is the selected layer")
        self.snap_box = QCheckBox("Snap (S)")
        self.snap_box.setToolTip("Move each click to the column under it, or to the lattice site of a vacancy")
        self.snap_box.setChecked(True)
        self.undo_button, self.redo_button = QPushButton("Undo"), QPushButton("Redo")
        self.message = Sentences()
        self.frames = FrameTable()
        self.done_box = QCheckBox("This frame is done (D)")
        self.done_box.setToolTip(
            "Every site of this frame is labelled; only finished frames are scored once there are any"
        )
        self.saved = Sentences()
        self.review = ReviewPanel(napari_viewer, self._new_set)
        self.review_section = Section("Review predictions", lambda: self.review)
        self.keys_section = Section("Keys", _key_list)
        self.score = ScorePanel(napari_viewer, self._labelled_frames)
        self.score_section = Section("Score", lambda: self.score)
        self._lay_out()
        self._saving = Background(self)
        self._saving.done.connect(self._saved)
        self._saving.failed.connect(lambda sentence, _detail: self._save_failed(sentence))
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SAVE_MS)
        self._timer.timeout.connect(self._save)
        self._connect()
        self._image_changed()

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        grid.addWidget(QLabel("Image"), 0, 0)
        grid.addWidget(self.image, 0, 1)
        grid.addWidget(self.pixel_size, 1, 0, 1, 2)
        grid.addWidget(QLabel("Labels"), 2, 0)
        grid.addWidget(self.sets, 2, 1)
        boxes = QHBoxLayout()
        boxes.addWidget(self.label_box)
        boxes.addWidget(self.snap_box)
        boxes.addStretch(1)
        steps = QHBoxLayout()
        steps.addWidget(self.undo_button)
        steps.addWidget(self.redo_button)
        inner = QVBoxLayout(self.work)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(6)
        inner.addWidget(self.classes)
        inner.addLayout(boxes)
        inner.addWidget(self.message)
        inner.addLayout(steps)
        inner.addWidget(self.frames)
        inner.addWidget(self.done_box)
        inner.addWidget(self.saved)
        self.work.hide()
        self.column.addWidget(self.project)
        self.column.addLayout(grid)
        self.column.addWidget(self.start_button)
        self.column.addWidget(self.error)
        self.column.addWidget(self.work)
        self.column.addWidget(separator())
        self.column.addWidget(self.review_section)
        self.column.addWidget(separator())
        self.column.addWidget(self.score_section)
        self.column.addWidget(separator())
        self.column.addWidget(self.keys_section)
        self.column.addStretch(1)

    def _connect(self) -> None:
        self.image.chosen.connect(lambda _layer: self._image_changed())
        self.image.calibrated.connect(self._calibrated)
        self.project.project.changed.connect(self._list_sets)
        self.sets.activated.connect(lambda _index: self._set_chosen())
        self.start_button.clicked.connect(self.start)
        self.classes.chosen.connect(self._class_clicked)
        self.label_box.clicked.connect(self._label_clicked)
        self.snap_box.toggled.connect(self._snap_toggled)
        self.undo_button.clicked.connect(self.undo)
        self.redo_button.clicked.connect(self.redo)
        self.frames.frame_chosen.connect(self._go)
        self.frames.done_changed.connect(self._set_done)
        self.done_box.clicked.connect(lambda on: self.session and self._set_done(self.session.frame, on))
        self.viewer.layers.selection.events.active.connect(self._on_active)
        self.viewer.layers.events.removed.connect(self._on_removed)
        self.viewer.dims.events.current_step.connect(self._on_frame)

    # -- choosing

    def _image_changed(self) -> None:
        layer = self.image.layer()
        self.pixel_size.ask_for(layer)
        if self.session is not None and self.session.image != layer:
            self._use(None)
        self._list_sets()
        mine = [session for session in self.sessions if session.image == layer]
        if mine and self.session is None:
            self._use(mine[-1])

    def _calibrated(self) -> None:
        layer = self.image.layer()
        for session in self.sessions:
            if session.image == layer:
                try:
                    session.calibrate()
                except StemlearnError as error:
                    self.error.say(str(error))
        self._image_changed()
        self.score.soon()

    def _list_sets(self) -> None:
        """Sets of the chosen image: those at work, those on disk, and a new one."""
        self.sets.clear()
        self._sets = []
        layer = self.image.layer()
        reason = self._why_not(layer)
        if reason is None:
            try:
                folder = folder_for(shared_project().labels, micrograph_from_layer(layer))
                working = [session for session in self.sessions if session.image == layer]
                self._sets += [(session.path.stem, session) for session in working]
                open_paths = {session.path for session in working}
                for entry in saved_sets(folder):
                    if entry.path not in open_paths:
                        self._sets.append((f"{entry.name} ({entry.n_sites} saved)", entry.path))
            except (StemlearnError, OSError) as error:
                reason = str(error)
            self._sets.append((NEW, None))
        for words, _what in self._sets:
            self.sets.addItem(words)
        present = [
            index for index, (_words, what) in enumerate(self._sets) if what is not None and what is self.session
        ]
        self.sets.setCurrentIndex(present[0] if present else 0)
        self.sets.setEnabled(bool(self._sets))
        self.start_button.allow(reason)
        self._show_start()

    def _why_not(self, layer: Any) -> str | None:
        if layer is None:
            return "Open an image or a stack first."
        try:
            if micrograph_from_layer(layer).pixel_size is None:
                return "Give the pixel size of the image first."
        except StemlearnError as error:
            return str(error)
        return None

    def _chosen_set(self) -> LabelSession | Path | None:
        index = self.sets.currentIndex()
        return self._sets[index][1] if 0 <= index < len(self._sets) else None

    def _set_chosen(self) -> None:
        what = self._chosen_set()
        if isinstance(what, LabelSession):
            self._use(what)
        self._show_start()

    def _show_start(self) -> None:
        what = self._chosen_set()
        self.start_button.button.setText("Continue labelling" if isinstance(what, Path) else "Start labelling")
        self.start_button.setVisible(self.session is None or what is not self.session)
        self.work.setVisible(self.session is not None and what is self.session)

    # -- sessions

    def start(self) -> None:
        """Start new labels, or continue those that are chosen."""
        what = self._chosen_set()
        if isinstance(what, LabelSession):
            self._use(what)
        elif isinstance(what, Path):
            self._open(what)
        else:
            self._new_set()
        if self.session is not None:
            self.viewer.layers.selection.active = self.session.layer

    def _new_set(self) -> LabelSession | None:
        layer = self.image.layer()
        reason = self._why_not(layer)
        if reason:
            self.error.say(reason)
            return None
        micrograph = micrograph_from_layer(layer)
        folder = folder_for(shared_project().labels, micrograph)
        taken = {session.path.stem for session in self.sessions if session.image == layer}
        path = folder / f"{free_name(folder, 'labels', taken)}.csv"
        labels = HandLabels(pixel_size=micrograph.pixel_size, n_frames=micrograph.n_frames)
        return self._add(LabelSession(self.viewer, layer, labels, path, self._known_classes(layer)))

    def _open(self, path: Path) -> LabelSession | None:
        layer = self.image.layer()
        micrograph = micrograph_from_layer(layer)
        try:
            loaded = load_set(path, pixel_size=micrograph.pixel_size)
        except StemlearnError as error:
            self.error.say(str(error))
            return None
        self.error.say(None)
        there = self._layer_of(path)
        sites = loaded.state.sites
        if there is not None:
            # what is in the viewer is newer than what is on disk
            sites = sites_from_layer(there, layer, pixel_size=micrograph.pixel_size, shown_only=False)
        labels = HandLabels(
            pixel_size=micrograph.pixel_size,
            n_frames=micrograph.n_frames,
            sites=sites,
            rejected=loaded.state.rejected,
            done=loaded.state.done,
        )
        classes = list(dict.fromkeys([*loaded.classes, *loaded.state.sites["class"], *self._known_classes(layer)]))
        session = LabelSession(self.viewer, layer, labels, path, classes, there)
        if there is None:
            session.saved_state = labels.state
        else:
            self._timer.start()
        return self._add(session)

    def _layer_of(self, path: Path) -> Any:
        """A hand layer of this file that an earlier dock left in the viewer."""
        return next((one for one in our_layers(self.viewer, "hand") if about(one).get("file") == str(path)), None)

    def _known_classes(self, image: Any) -> list[str]:
        """Classes of the predictions of an image, then the usual defects."""
        found: list[str] = []
        for layer in our_layers(self.viewer, ("predicted", "truth")):
            if about(layer).get("source_id") == str(image.unique_id):
                names = about(layer).get("classes") or list(dict.fromkeys(layer.features.get("class", [])))
                found += [str(name) for name in names]
        return list(dict.fromkeys([*in_order(found), *DEFAULT_CLASSES]))

    def _add(self, session: LabelSession) -> LabelSession:
        session.message = self.message.say
        session.alive = lambda: isalive(self)
        session.snapping = self.snap_box.isChecked()
        session.labels.on_change.append(lambda: self._changed(session))
        bind(session.layer, self._actions(session))
        self.sessions.append(session)
        self._use(session)
        return session

    def _use(self, session: LabelSession | None) -> None:
        self.session = session
        self.message.say()
        if session is not None:
            self.classes.set_classes(session.classes)
            self.classes.choose(session.site_class)
            self.score.truth.choose(session.layer)
        self._list_sets()
        self.review.use(session)
        if session is not None and self.review.source.layer() is not None:
            self.review_section.open()
            self.score_section.open()
        self._refresh()

    def _actions(self, session: LabelSession) -> dict[str, Any]:
        actions: dict[str, Any] = {
            "snap": self.snap_box.toggle,
            "remove": session.remove_selected,
            "undo": self.undo,
            "redo": self.redo,
            "next": lambda: self.review.step(1),
            "previous": lambda: self.review.step(-1),
            "accept": self.review.accept,
            "reject": self.review.reject,
            "done": lambda: self._set_done(session.frame, session.frame not in session.labels.done),
        }
        for number in range(1, 10):
            actions[f"class_{number}"] = lambda number=number: self._class_key(number)
        return actions

    # -- acting

    def _class_clicked(self, name: str) -> None:
        if self.session is not None:
            self.session.class_key(name)
            self.classes.set_classes(self.session.classes)
            self.classes.choose(name)

    def _class_key(self, number: int) -> None:
        name = self.classes.name_of_key(number)
        if name is not None:
            self._class_clicked(name)
            self.message.say(f"Labelling {name}.")

    def _label_clicked(self, on: bool) -> None:
        if self.session is not None:
            self.session.layer.mode = "pan_zoom"
            self.viewer.layers.selection.active = self.session.layer if on else self.session.image

    def _snap_toggled(self, on: bool) -> None:
        for session in self.sessions:
            session.snapping = on
        self.message.say("Clicks snap to the column." if on else "Clicks stay where you make them.")

    def undo(self) -> None:
        """Take the last change back."""
        if self.session is not None:
            what = self.session.labels.undo()
            self.message.say(f"Undone: {what}." if what else "There is nothing to undo.")

    def redo(self) -> None:
        """Do again what was taken back."""
        if self.session is not None:
            what = self.session.labels.redo()
            self.message.say(f"Done again: {what}." if what else "There is nothing to redo.")

    def _go(self, frame: int) -> None:
        if self.session is not None:
            go_to_frame(self.viewer, self.session.image, frame)

    def _set_done(self, frame: int, done: bool) -> None:
        if self.session is not None:
            self.session.labels.set_done(frame, done)
            self._refresh()

    # -- following

    def _changed(self, session: LabelSession) -> None:
        if not self._timer.isActive():
            self._timer.start()
        if session is self.session:
            self._refresh()
            self.review.labels_changed()
        self.score.soon()

    def _refresh(self) -> None:
        session = self.session
        if session is None:
            return
        labels = session.labels
        frame = session.frame
        self.classes.set_counts(labels.count_by_class())
        self.frames.show_progress(labels.count_by_frame().tolist(), labels.done, frame)
        self.frames.table.setVisible(session.micrograph.is_stack)
        self.done_box.setChecked(frame in labels.done)
        self.undo_button.setEnabled(bool(labels.undo_name))
        self.undo_button.setToolTip(f"Undo: {labels.undo_name} (Ctrl+Z)" if labels.undo_name else "Nothing to undo")
        self.redo_button.setEnabled(bool(labels.redo_name))
        self.redo_button.setToolTip(
            f"Redo: {labels.redo_name} (Ctrl+Shift+Z)" if labels.redo_name else "Nothing to redo"
        )
        self._on_active()

    def _on_active(self, _event: Any = None) -> None:
        if isalive(self) and self.session is not None:
            on = self.viewer.layers.selection.active == self.session.layer
            self.label_box.setChecked(on)
            if not on:
                self.message.say("Paused: another layer is selected. Tick “Click to label” to go on.")
            elif self.message.text().startswith("Paused"):
                self.message.say("Click adds a label, right-click removes it.")

    def _on_frame(self, _event: Any = None) -> None:
        if isalive(self) and self.session is not None and self.session.micrograph.is_stack:
            self._refresh()

    def _on_removed(self, event: Any) -> None:
        if not isalive(self):
            return
        for session in [one for one in self.sessions if event.value in (one.layer, one.image)]:
            self._save_now(session)
            unbind(session.layer)
            session.close()
            self.sessions.remove(session)
            if session is self.session:
                self._use(None)
        self._list_sets()

    def _labelled_frames(self, layer: Any) -> list[int] | None:
        for session in self.sessions:
            if session.layer == layer:
                return session.labels.labelled_frames()
        return None

    # -- saving

    def _save(self) -> None:
        if self._saving.running:
            self._timer.start()
            return
        waiting = [session for session in self.sessions if session.unsaved]
        if waiting:
            self._saving.start(_save_one, waiting[0], waiting[0].save_job())

    def _saved(self, result: tuple[LabelSession, Any]) -> None:
        session, state = result
        session.saved_state = state
        if session is self.session:
            self.saved.say(f"Saved {time.strftime('%H:%M:%S')} to {_short(session.path)}")
            self.saved.setToolTip(str(session.path))
        if any(one.unsaved for one in self.sessions):
            self._timer.start()

    def _save_failed(self, sentence: str) -> None:
        self.error.say(f"The labels are not saved: {sentence}")

    def _save_now(self, session: LabelSession) -> None:
        """Write what is not yet on disk before the layer or the dock goes away."""
        if session.unsaved:
            try:
                session.saved_state = session.save_job()()
            except StemlearnError as error:
                self._save_failed(str(error))

    def save_all(self) -> None:
        """Write every set that changed since it was saved."""
        for session in self.sessions:
            self._save_now(session)

    def hideEvent(self, event: Any) -> None:
        self.save_all()
        super().hideEvent(event)

    def closeEvent(self, event: Any) -> None:
        self.save_all()
        super().closeEvent(event)


def _save_one(session: LabelSession, job: Any) -> tuple[LabelSession, Any]:
    return session, job()


def _short(path: Path) -> str:
    return str(Path(*path.parts[-3:]))


def _key_list() -> QWidget:
    rows = "".join(
        f'<tr><td style="padding-right: 12px; white-space: nowrap;"><b>{keys}</b></td><td>{text}</td></tr>'
        for keys, text in key_rows()
    )
    label = QLabel(f"<table>{rows}</table>")
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setWordWrap(True)
    return label
