"""The dock to label by hand, to review predictions, and to score what was found."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.labelling.hand_labels import HandLabels, LabelState
from napari_stemlearn.labelling.label_store import (
    LoadedSet,
    folder_for,
    free_name,
    load_set,
    rescue_root,
    review_path,
    save_set,
    saved_sets,
)
from napari_stemlearn.widgets import open_labels
from napari_stemlearn.widgets.choosers import LayerChooser, PixelSizeRow, ReasonedButton, Sentences
from napari_stemlearn.widgets.class_chooser import DEFAULT_CLASSES, ClassChooser, in_order
from napari_stemlearn.widgets.dock import Dock, separator
from napari_stemlearn.widgets.editors import CalmComboBox
from napari_stemlearn.widgets.frame_table import FrameTable
from napari_stemlearn.widgets.image_watch import ImageWatch
from napari_stemlearn.widgets.keys import bind, key_rows, unbind
from napari_stemlearn.widgets.label_saver import NOT_SAVED, LabelSaver
from napari_stemlearn.widgets.label_session import LabelSession, labels_left_in
from napari_stemlearn.widgets.labels import ErrorLabel
from napari_stemlearn.widgets.layers import (
    about,
    go_to_frame,
    image_layers,
    micrograph_from_layer,
    our_layers,
    pixel_size_of,
    why_no_image,
)
from napari_stemlearn.widgets.pausing import resume, shows_every_frame, why_paused
from napari_stemlearn.widgets.project import ProjectRow, shared_project
from napari_stemlearn.widgets.review_panel import ReviewPanel
from napari_stemlearn.widgets.score_panel import ScorePanel
from napari_stemlearn.widgets.section import Section
from napari_stemlearn.widgets.words import soft

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

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
        self._paused: str | None = None
        self.watch = ImageWatch(napari_viewer, self)
        self.project = ProjectRow()
        self.image = LayerChooser(
            napari_viewer, image_layers, empty_text="open an image first", tip="The image or stack that is labelled"
        )
        self.pixel_size = PixelSizeRow(napari_viewer)
        self.sets = CalmComboBox()
        self.sets.setToolTip("The sets of labels of this image, each in a file of its own")
        self.start_button = ReasonedButton(
            "Start labelling", main=True, tip="Show the labels in a layer, where a click adds one"
        )
        self.error = ErrorLabel()
        self.work = QWidget()
        self.classes = ClassChooser()
        self.label_box = QCheckBox("Click to label")
        self.label_box.setToolTip("On while the layer of the labels is the selected layer")
        self.snap_box = QCheckBox("Snap (S)")
        self.snap_box.setToolTip("Move each click to the column under it, or to the lattice site of a vacancy")
        self.snap_box.setChecked(True)
        self.undo_button, self.redo_button = QPushButton("Undo"), QPushButton("Redo")
        self.message = Sentences(lines=2)
        self.frames = FrameTable()
        self.done_box = QCheckBox("This frame is done (D)")
        self.done_box.setToolTip(
            "Every site of this frame is labelled; only finished frames are scored once there are any"
        )
        self.saved = Sentences()
        self.review = ReviewPanel(napari_viewer, self._new_set, self.watch)
        self.review_section = Section("Review predictions", lambda: self.review)
        self.keys_section = Section("Keys", _key_list)
        self.score = ScorePanel(napari_viewer, self.watch)
        self.score_section = Section("Score", lambda: self.score)
        self._lay_out()
        self.saver = LabelSaver(lambda: self.sessions, self)
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
        self.image.activated.connect(lambda _index: self._select_labels())
        self.image.calibrated.connect(self._calibrated)
        self.image.listed.connect(self._layers_listed)
        self.project.project.changed.connect(self._project_changed)
        self.watch.replaced.connect(self._on_replaced)
        self.saver.done.connect(self._saved)
        self.saver.stepped_aside.connect(self._stepped_aside)
        self.sets.activated.connect(lambda _index: self._set_chosen())
        self.start_button.clicked.connect(self.start)
        self.classes.chosen.connect(self._class_clicked)
        self.classes.renamed.connect(self._class_renamed)
        self.classes.unwanted.connect(self._class_unwanted)
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
        for event in (self.viewer.dims.events.ndisplay, self.viewer.dims.events.order):
            event.connect(self._on_active)
        QApplication.instance().aboutToQuit.connect(self.save_all)

    def _complain(self, sentence: str | None) -> None:
        self.error.say(soft(sentence) if sentence else None)

    # -- choosing

    def _image_changed(self) -> None:
        layer = self.image.layer()
        self.pixel_size.ask_for(layer)
        if self.session is None or self.session.image != layer:
            mine = [session for session in self.sessions if session.image == layer]
            selected = [session for session in mine if session == self._selected()]
            session = (selected or mine or [None])[-1]
            if session != self.session:
                self._use(session)
                return
        self._list_sets()

    def _layers_listed(self) -> None:
        if self.image.layer() is None:
            self.start_button.allow(self._why_not(None))

    def _calibrated(self) -> None:
        # the sessions follow by themselves
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
                micrograph = micrograph_from_layer(layer)
                folder = folder_for(shared_project().labels, micrograph)
                working = [session for session in self.sessions if session.image == layer]
                self._sets += [(session.path.stem, session) for session in working]
                open_paths = {session.path for session in working}
                for entry in saved_sets(folder):
                    if entry.path not in open_paths:
                        self._sets.append((f"{entry.name} ({entry.n_sites} saved)", entry.path))
                rescued = {session.rescue_path for session in self.sessions}
                for entry in saved_sets(folder_for(rescue_root(), micrograph)):
                    if entry.path not in rescued:
                        self._sets.append((f"{entry.name} ({entry.n_sites} rescued)", entry.path))
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
            return why_no_image(self.viewer)
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
        self._select_labels()

    def _selected(self) -> LabelSession | None:
        """The labels whose layer is the selected one, which takes the clicks and the keys."""
        active = self.viewer.layers.selection.active
        return next((session for session in self.sessions if session.layer == active), None)

    def _is_shown(self, session: LabelSession | None) -> bool:
        """Whether the dock shows these labels, so that a person sees where clicks and keys go."""
        return session is not None and session is self.session and session is self._chosen_set()

    def _select_labels(self) -> None:
        """Select the layer of the labels that were just chosen; where none were, no other labels take the clicks."""
        if self.session is not None and self._is_shown(self.session):
            self.viewer.layers.selection.active = self.session.layer
        elif self._selected() is not None:
            self.viewer.layers.selection.active = self.image.layer()

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
            self._complain(reason)
            return None
        micrograph = micrograph_from_layer(layer)
        labels = HandLabels(pixel_size=micrograph.pixel_size, n_frames=micrograph.n_frames)
        path = self._free_path(layer, "labels")
        return self._add(LabelSession(self.viewer, layer, labels, path, self._known_classes(layer)))

    def _free_path(self, image: Any, wanted: str) -> Path:
        """A file for a set in the project folder that neither a set on disk nor one at work has."""
        folder = folder_for(shared_project().labels, micrograph_from_layer(image))
        return folder / f"{free_name(folder, wanted, open_labels.names_at_work(folder))}.csv"

    def _open(self, path: Path) -> LabelSession | None:
        layer = self.image.layer()
        micrograph = micrograph_from_layer(layer)
        rescued = rescue_root() in path.parents
        reason = self._why_taken(path)
        if reason:
            self._complain(reason)
            return None
        there = None if rescued else self._layer_of(path)
        try:
            loaded = load_set(path, pixel_size=micrograph.pixel_size)
            left = None if there is None else labels_left_in(there, micrograph)
            kept = None if there is None else open_labels.kept_layer(there)
            newest, both = open_labels.newest(loaded, left, kept)
            aside = self._keep_aside(path, loaded, left) if both and left is not None else None
        except StemlearnError as error:
            self._complain(str(error))
            return None
        labels = HandLabels(
            pixel_size=micrograph.pixel_size,
            n_frames=micrograph.n_frames,
            sites=newest,
            rejected=loaded.state.rejected,
            done=loaded.state.done,
        )
        classes = [*loaded.classes, *labels.sites["class"], *self._known_classes(layer, review_path(path).is_file())]
        target = self._free_path(layer, path.stem) if rescued else path
        stamp = None if rescued else loaded.stamp
        session = LabelSession(self.viewer, layer, labels, target, list(dict.fromkeys(classes)), there, stamp)
        if rescued:
            session.rescue_path, session.rescued_state = path, labels.state
        if newest is loaded.state.sites and not rescued:
            session.take_as_saved()
        else:
            self.saver.soon()
        self._add(session)
        if aside is not None:
            self._list_sets()
            self._complain(
                f"'{path.stem}' was changed on disk since layer '{session.layer.name}' was saved. "
                f"It is shown as it is on disk, and what the layer had is kept as '{aside.stem}'."
            )
        return session

    def _why_taken(self, path: Path) -> str | None:
        """Why a set cannot be opened here as well; a dock that this viewer had before gives it up."""
        other = open_labels.session_at(path)
        if other is None:
            return None
        if other in self.sessions:
            return (
                f"'{path.stem}' is at work on '{other.image.name}', which is the same image. "
                "Choose that one to go on, or start new labels."
            )
        if other.viewer != self.viewer:
            return f"'{path.stem}' is at work in another viewer. Go on there, or start new labels here."
        other.give_up()
        return None

    def _layer_of(self, path: Path) -> Any:
        """A hand layer of this file that an earlier session left in the viewer."""
        for layer in our_layers(self.viewer, "hand"):
            kept = open_labels.kept_layer(layer)
            if kept is not None and kept.path == path:
                return layer
        return None

    def _keep_aside(self, path: Path, loaded: LoadedSet, left: pd.DataFrame) -> Path:
        """Write labels that a layer had beside those on disk."""
        image = self.image.layer()
        name = free_name(path.parent, path.stem, open_labels.names_at_work(path.parent))
        return save_set(
            path.with_name(f"{name}.csv"),
            LabelState(left, loaded.state.rejected),
            pixel_size=pixel_size_of(image),
            classes=list(dict.fromkeys([*loaded.classes, *left["class"]])),
            image_name=image.name,
        )

    def _known_classes(self, image: Any, chosen: bool = False) -> list[str]:
        """Classes of the predictions of an image, then the usual defects unless classes were chosen before."""
        found: list[str] = []
        for layer in our_layers(self.viewer, ("predicted", "truth")):
            if about(layer).get("source_id") == str(image.unique_id):
                names = about(layer).get("classes") or list(dict.fromkeys(layer.features.get("class", [])))
                found += [str(name) for name in names]
        return list(dict.fromkeys([*in_order(found), *(() if chosen else DEFAULT_CLASSES)]))

    def _add(self, session: LabelSession) -> LabelSession:
        session.message = lambda sentence: self.message.say(sentence) if session is self.session else None
        session.alive = lambda: isalive(self)
        session.is_shown = lambda: self._is_shown(session)
        session.give_up = lambda: self._end(session)
        session.snapping = self.snap_box.isChecked()
        session.labels.on_change.append(lambda: self._changed(session))
        for event in (session.layer.events.mode, session.layer.events.visible):
            event.connect(self._on_active)
        bind(session.layer, self._actions(session))
        self.sessions.append(session)
        self._use(session)
        return session

    def _use(self, session: LabelSession | None) -> None:
        self.session = session
        self._paused = None
        self.message.say()
        self.saved.say()
        self._complain(self.saver.problem)
        if session is not None:
            self.classes.set_classes(session.classes)
            self.classes.choose(session.site_class)
            self.score.truth.choose(session.layer)
        self._list_sets()
        if self._selected() not in (None, session):
            # or clicks would go on to labels that are not in view
            self._select_labels()
        self.review.use(session)
        if session is not None and self.review.source.layer() is not None:
            self.review_section.open()
            self.score_section.open()
        self._refresh()

    def _actions(self, session: LabelSession) -> dict[str, Any]:
        actions: dict[str, Callable[[], Any]] = {
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

        def act(action: Callable[[], Any]) -> None:
            if self._is_shown(session):
                action()

        return {name: partial(act, action) for name, action in actions.items()}

    # -- acting

    def _class_clicked(self, name: str) -> None:
        if self.session is not None:
            self.session.class_key(name)
            self.classes.set_classes(self.session.classes)
            self.classes.choose(name)

    def _class_renamed(self, old: str, new: str) -> None:
        if self.session is not None:
            self.session.rename_class(old, new)
            self._classes_changed()

    def _class_unwanted(self, name: str) -> None:
        if self.session is not None:
            self.session.remove_class(name)
            self._classes_changed()

    def _classes_changed(self) -> None:
        self.saver.soon()
        self._refresh()

    def _class_key(self, number: int) -> None:
        name = self.classes.name_of_key(number)
        if name is not None:
            self._class_clicked(name)

    def _label_clicked(self, on: bool) -> None:
        if self.session is not None:
            if on:
                resume(self.viewer, self.session.layer)
            else:
                self.viewer.layers.selection.active = self.session.image
            self._on_active()

    def _snap_toggled(self, on: bool) -> None:
        for session in self.sessions:
            session.snapping = on
        self.message.say("Clicks snap to the column." if on else "Clicks stay where you make them.")

    def undo(self) -> None:
        """Take the last change back."""
        if self.session is not None:
            self.session.undo()

    def redo(self) -> None:
        """Do again what was taken back."""
        if self.session is not None:
            self.session.redo()

    def _go(self, frame: int) -> None:
        if self.session is not None:
            go_to_frame(self.viewer, self.session.image, frame)

    def _set_done(self, frame: int, done: bool) -> None:
        if self.session is not None:
            self.session.labels.set_done(frame, done)
            self._refresh()
            self.message.say(f"Frame {frame} is done." if done else f"Frame {frame} is open again.")

    # -- following

    def _changed(self, session: LabelSession) -> None:
        self.saver.soon()
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
        counts = labels.count_by_class()
        # undo brings back what was renamed or removed, and napari's own tools may bring anything
        session.classes += [name for name in counts if name not in session.classes]
        self.classes.set_classes(session.classes)
        self.classes.set_counts(counts)
        self.classes.choose(session.site_class)
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
        if not isalive(self):
            return
        selected = self._selected()
        if selected is not None and not self._is_shown(selected):
            self._show_labels(selected)
        if self.session is None:
            return
        before, self._paused = self._paused, why_paused(self.viewer, self.session.layer)
        self.label_box.setChecked(self._paused is None)
        if self._paused and self._paused != before:
            self.message.say(f"Paused: {self._paused} Tick “Click to label” to go on.")
        elif before and not self._paused:
            self.session.forget_selection()
            self.message.say("Click adds a label, right-click removes it.")

    def _show_labels(self, session: LabelSession) -> None:
        """Show labels whose layer was selected, with their image."""
        self.image.choose(session.image)
        if session is not self.session:
            self._use(session)
        else:
            self._list_sets()

    def _on_frame(self, _event: Any = None) -> None:
        if isalive(self) and self.session is not None and self.session.micrograph.is_stack:
            if not shows_every_frame(self.viewer):
                self.session.forget_selection()
            self._refresh()

    def _on_removed(self, event: Any) -> None:
        if not isalive(self):
            return
        for session in [one for one in self.sessions if event.value in (one.layer, one.image)]:
            self._end(session)
        open_labels.forget_layer(event.value)
        self._list_sets()

    def _end(self, session: LabelSession) -> None:
        """Save the labels and let go of their layer."""
        self.saver.write_now(session)
        unbind(session.layer)
        session.close()
        self.sessions.remove(session)
        if session is self.session:
            self._use(None)

    def _on_replaced(self, image: Any) -> None:
        """Labels belong to the values that they were made on, so they do not follow others."""
        ended = [session for session in self.sessions if session.image == image and not session.fits()]
        for session in ended:
            self._end(session)
            session.layer.visible = False
        for session in self.sessions:
            if session.image == image:
                session.micrograph = micrograph_from_layer(image)
                self.watch.is_as_before(image)
                self.review.restart()
        if image == self.image.layer():
            self._image_changed()
        if ended:
            # what could not be saved was told as it happened
            kept = "are hidden" if any(session.failure for session in ended) else "are saved and hidden"
            self._complain(f"The image has changed. The labels of the one before {kept}. Start labelling again.")

    def _project_changed(self) -> None:
        """List the sets of the other folder; labels that could not be saved go there."""
        for session in self.sessions:
            if session.failure:
                session.keep_in(self._free_path(session.image, session.path.stem))
                self.saver.soon()
        self._list_sets()

    # -- saving

    def _saved(self, sessions: list[LabelSession]) -> None:
        session, problem = self.session, self.saver.problem
        if problem or self.error.text().startswith(NOT_SAVED):
            self._complain(problem)
        if session is None or session not in sessions:
            return
        if session.failure:
            self.saved.say()
        elif not session.unsaved:
            self.saved.say(f"Saved {time.strftime('%H:%M:%S')} to {_short(session.path)}")
            self.saved.setToolTip(str(session.path))

    def _stepped_aside(self, session: LabelSession, sentence: str) -> None:
        if session is self.session:
            self._list_sets()
        self._complain(sentence)
        if not self.isVisible():
            from napari.utils.notifications import show_warning

            show_warning(sentence)

    def save_all(self) -> None:
        """Write every set that changed since it was saved."""
        if isalive(self):
            for session in self.sessions:
                self.saver.write_now(session)

    def hideEvent(self, event: Any) -> None:
        self.save_all()
        super().hideEvent(event)

    def closeEvent(self, event: Any) -> None:
        self.save_all()
        super().closeEvent(event)


def _short(path: Path) -> str:
    # names of images can be long, and a word that cannot be broken makes the dock wider
    return "/".join(part if len(part) <= 32 else f"{part[:15]}…{part[-16:]}" for part in path.parts[-3:])


def _key_list() -> QWidget:
    rows = "".join(
        f'<tr><td style="padding-right: 12px; white-space: nowrap;"><b>{keys}</b></td><td>{text}</td></tr>'
        for keys, text in key_rows()
    )
    label = QLabel(f"<table>{rows}</table>")
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setWordWrap(True)
    return label
