"""A hand label layer at work: it shows the labels, takes clicks and napari's own edits, and is saved as it changes."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemlearn.errors import SitesError, StemlearnError
from napari_stemlearn.labelling.hand_labels import HandLabels, LabelState, changed_frames
from napari_stemlearn.labelling.label_store import belongs_to, save_set, stamp_of
from napari_stemlearn.labelling.snapping import snap
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.scoring.labelled import FRAMES_DONE
from napari_stemlearn.widgets import open_labels
from napari_stemlearn.widgets.following import PLACEMENT, put_on, put_ours_on
from napari_stemlearn.widgets.keys import help_words
from napari_stemlearn.widgets.layers import (
    KEY,
    add_sites,
    current_frame,
    go_to_frame,
    micrograph_from_layer,
    position_from_view,
    sites_from_layer,
    update_sites,
)
from napari_stemlearn.widgets.pausing import shows_every_frame, why_no_place
from napari_stemlearn.widgets.words import one_of, soft
from napari_stemlearn.widgets.written_sites import note

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Image, Points

DRAG_PIXELS = 4
"""A press that moves further than this on the screen is a drag, not a click."""


def labels_left_in(layer: Points, micrograph: Micrograph) -> pd.DataFrame:
    """Labels of a hand layer that an earlier session left in the viewer, on the pixels of their image.

    Positions of such a layer are pixels of its image, wherever the two lie in the viewer now.

    Raises
    ------
    SitesError
        If a label lies outside the image.
    """
    from napari_stemlearn.sites import inside

    sites = sites_from_layer(layer, pixel_size=micrograph.pixel_size, shown_only=False)
    outside = ~inside(sites, micrograph.shape, -0.5) | (sites["frame"] >= micrograph.n_frames)
    if outside.any():
        raise SitesError(
            f"{int(outside.sum())} of {len(sites)} labels of layer '{layer.name}' lie outside the image "
            f"'{micrograph.name}', so they are not taken up. "
            "Delete these points, or remove the layer to open what was saved."
        )
    return sites


class LabelSession:
    """Labels, the layer that shows them, and the file that keeps them, in step.

    Parameters
    ----------
    viewer
        Viewer that holds the image.
    image
        Image layer that is labelled.
    labels
        The labels.
    path
        CSV file of the set.
    classes
        Classes to choose from.
    layer
        A hand layer that is there already; made where not given.
    stamp
        Of the file (`stamp_of`) where the labels were read from it.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        labels: HandLabels,
        path: Path,
        classes: list[str],
        layer: Points | None = None,
        stamp: str | None = None,
    ) -> None:
        self.viewer = viewer
        self.image = image
        self.micrograph = micrograph_from_layer(image)
        self.labels = labels
        self.path = path
        self.classes = classes
        self.site_class = classes[0] if classes else "atom"
        self.snapping = True
        self.message: Callable[[str], None] = lambda _text: None
        self.alive: Callable[[], bool] = lambda: True
        self.is_shown: Callable[[], bool] = lambda: True
        self.give_up: Callable[[], None] = self.close
        self.failure: str | None = None
        self.rescue_path: Path | None = None
        self.rescued_state: LabelState | None = None
        self.misplaced: str | None = None
        self._on_disk: tuple[LabelState, tuple[str, ...]] | None = None
        self._writing = threading.Lock()
        self._asked = self._written = 0
        self._quiet = False
        # what was found may have stayed behind while nothing of ours was open
        put_ours_on(viewer, image)
        if layer is None:
            active = viewer.layers.selection.active
            layer = add_sites(
                viewer,
                labels.sites,
                kind="hand",
                source_layer=image,
                name=f"{image.name} {path.stem}",
                record={"file": str(path)},
            )
            viewer.layers.selection.active = active
        else:
            put_on(layer, image)
            layer.visible = True
            update_sites(layer, labels.sites)
        self.layer = layer
        self.layer.metadata[KEY].update(source=image.name, source_id=str(image.unique_id))
        self.keep_in(path, stamp)
        open_labels.take(self)
        self.layer.mouse_drag_callbacks.append(self._press)
        for event, follow in self._events():
            event.connect(follow)
        # napari writes its own help at the same event
        self.layer.events.mode.connect(self._help, position="last")
        self._help()
        labels.on_change.append(self._show)
        self._note_done()
        self.choose_class(self.site_class)

    def close(self) -> None:
        """Let go of the layer; it stays in the viewer."""
        open_labels.release(self)
        if self._press in self.layer.mouse_drag_callbacks:
            self.layer.mouse_drag_callbacks.remove(self._press)
        for event, follow in self._events():
            event.disconnect(follow)
        self.layer.events.mode.disconnect(self._help)
        self._say_help(self._napari_help)
        if self._show in self.labels.on_change:
            self.labels.on_change.remove(self._show)

    def _events(self) -> list[tuple[Any, Callable[[Any], None]]]:
        image, layer = self.image.events, self.layer.events
        return [
            *((event, self._edited) for event in (layer.data, layer.features)),
            *((getattr(image, name), self._image_moved) for name in PLACEMENT),
            *((getattr(layer, name), self._layer_moved) for name in PLACEMENT),
        ]

    def _help(self, _event: Any = None) -> None:
        """Let the status bar name the keys of labelling: those of napari's tools choose classes here."""
        self._napari_help = self.layer.help
        self._say_help(help_words(self.layer.mode))

    def _say_help(self, words: str) -> None:
        self.layer.help = words
        if self.viewer.layers.selection.active == self.layer:
            self.viewer.help = words

    # -- following the image

    def fits(self) -> bool:
        """Whether the image still has the values that are labelled."""
        try:
            return belongs_to(self.path, micrograph_from_layer(self.image))
        except StemlearnError:
            return False

    def calibrate(self) -> None:
        """Follow the image, whose pixel size or place changed: all that lies on its pixels stays on them.

        Raises
        ------
        MicrographError
            If its pixels are not square any more; labels keep the pixel size of before.
        """
        self._quiet = True
        try:
            put_ours_on(self.viewer, self.image)
        finally:
            self._quiet = False
        self.micrograph = micrograph_from_layer(self.image)
        before, now = self.labels.pixel_size, self.micrograph.pixel_size
        # a rotation changes the last digits alone
        if (before is None) != (now is None) or (before and now and not math.isclose(before, now)):
            self.labels.calibrate(now)

    def _image_moved(self, _event: Any = None) -> None:
        if not self._in_use():
            return
        self.misplaced = None
        try:
            self.calibrate()
        except StemlearnError as error:
            self.misplaced = str(error)

    def _layer_moved(self, _event: Any = None) -> None:
        if self._quiet or not self._in_use():
            return
        self._quiet = True
        try:
            put_on(self.layer, self.image)
        finally:
            self._quiet = False
        if self.layer.mode == "transform":
            self.message("Labels stay on the pixels of their image.")

    # -- classes

    def choose_class(self, name: str) -> None:
        """Label with this class from now on; points of napari's own tool get it too."""
        if name not in self.classes:
            self.classes.append(name)
        self.site_class = name
        with self.layer.events.features.blocker():
            self.layer.feature_defaults = {**self._defaults(), "class": name, "score": np.nan, "origin": "hand"}

    def rename_class(self, old: str, new: str) -> None:
        """Give a class, with all its labels, another name; one that is there already takes the labels in."""
        self.classes = list(dict.fromkeys(new if name == old else name for name in self.classes))
        if self.site_class == old:
            self.site_class = new
        self.choose_class(self.site_class)
        count = self.labels.rename_class(old, new)
        self.message(f"{soft(old)} is {soft(new)} now, with {count} label{'' if count == 1 else 's'}.")

    def remove_class(self, name: str) -> None:
        """Take a class out of the choice, unless it has labels or is the last one."""
        count = self.labels.count_by_class().get(name, 0)
        if count:
            one = count == 1
            self.message(
                f"{count} label{' has' if one else 's have'} the class {soft(name)}. "
                f"Remove {'it' if one else 'them'} or give {'it' if one else 'them'} another class first."
            )
        elif self.classes == [name]:
            self.message("One class must stay.")
        else:
            self.classes.remove(name)
            if self.site_class == name:
                self.choose_class(self.classes[0])
            self.message(f"{soft(name)} is removed from the classes.")

    def _defaults(self) -> dict[str, Any]:
        defaults = self.layer.feature_defaults
        return {str(column): defaults[column].iloc[0] for column in defaults.columns}

    # -- marks

    @property
    def frame(self) -> int:
        """The frame that the viewer shows."""
        return current_frame(self.viewer, self.image)

    def position_of(self, world: Any) -> tuple[float, float]:
        """Position in pixels of a place in the viewer."""
        data = position_from_view(self.viewer, self.image, world)
        return float(data[-2]), float(data[-1])

    def click(self, y: float, x: float) -> None:
        """Label the place, moved to the column under it where snapping is on."""
        height, width = self.micrograph.shape
        if not (-0.5 <= y <= height - 0.5 and -0.5 <= x <= width - 0.5):
            self.message("That is outside the image.")
            return
        frame, words = self.frame, ""
        if self.snapping:
            there = snap(self.micrograph.frame(frame), y, x, pixel_size=self.micrograph.pixel_size)
            y, x = there.y, there.x
            words = {
                "column": " on the column",
                "site": " on the lattice site",
                "nothing": " where you clicked: there is no column near it",
            }[there.on]
        name = soft(self.site_class)
        if self.labels.add(frame, y, x, self.site_class):
            self.message(f"{name}{words}.")
        else:
            self.message(f"There is {one_of(name)} here already.")

    def remove_at(self, y: float, x: float) -> None:
        """Remove the label under a position."""
        row = self.labels.nearest(self.frame, y, x)
        if row is None:
            self.message("There is no label under the cursor.")
        else:
            self._remove([row])

    def forget_selection(self) -> None:
        """No label is selected any more; keys act on what a person sees selected."""
        if self.layer.selected_data:
            self.layer.selected_data = set()

    def _selected(self) -> list[int]:
        """Rows of the selected labels that the viewer shows."""
        rows = sorted(self.layer.selected_data) if self.layer.visible else []
        if not rows or shows_every_frame(self.viewer):
            return rows
        frames, frame = self.labels.sites["frame"].to_numpy(), self.frame
        return [row for row in rows if frames[row] == frame]

    def remove_selected(self) -> None:
        """Remove the selected labels that are shown, or the one under the cursor."""
        chosen = self._selected()
        reason = why_no_place(self.viewer, self.layer)
        if chosen:
            self._remove(chosen)
        elif reason:
            self.message(f"There is no cursor on the image: {reason}")
        else:
            self.remove_at(*self.position_of(self.viewer.cursor.position))

    def _remove(self, rows: list[int]) -> None:
        names = self.labels.sites["class"].iloc[rows].tolist()
        self.labels.remove(rows)
        self.message(_count("Removed", names))

    def undo(self) -> None:
        """Take the last change back, and go to where it was."""
        self._step(self.labels.undo, "Undone", "There is nothing to undo.")

    def redo(self) -> None:
        """Do again what was taken back, and go to where it is."""
        self._step(self.labels.redo, "Done again", "There is nothing to redo.")

    def _step(self, step: Callable[[], str], done: str, nothing: str) -> None:
        before = self.labels.state
        what = step()
        if not what:
            self.message(nothing)
            return
        frames = changed_frames(before, self.labels.state)
        where = ""
        if frames and self.micrograph.is_stack:
            if self.frame not in frames:
                go_to_frame(self.viewer, self.image, frames[0])
            where = f" in frame {frames[0]}" if len(frames) == 1 else f" in {len(frames)} frames"
        self.message(f"{done}{where}: {soft(what)}.")

    def class_key(self, name: str) -> None:
        """Choose a class; labels that are selected and shown get it."""
        chosen = self._selected()
        count = self.labels.set_class(chosen, name)
        if chosen:
            # the next key acts on them too; labels that are shown anew are not selected
            self.layer.selected_data = set(chosen)
        self.choose_class(name)
        now = f" {count} label{' is' if count == 1 else 's are'} {soft(name)} now." if chosen else ""
        self.message(f"Labelling {soft(name)}.{now}")

    # -- saving

    @property
    def unsaved(self) -> bool:
        """Whether something changed since it was saved."""
        if self._on_disk is None:
            return not self.is_empty
        state, classes = self._on_disk
        return self.labels.state is not state or tuple(self.classes) != classes

    @property
    def is_empty(self) -> bool:
        """Whether nothing was labelled yet."""
        return not (len(self.labels.sites) or len(self.labels.rejected) or self.labels.done)

    def take_as_saved(self) -> None:
        """What there is now was just read from disk."""
        self._on_disk = (self.labels.state, tuple(self.classes))
        self._keep(self.labels.state)

    def _keep(self, state: LabelState) -> None:
        open_labels.keep_layer(self.layer, open_labels.KeptLayer(self.path, self._stamp, state.sites))

    def keep_in(self, path: Path, stamp: str | None = None) -> None:
        """Write into this file from now on; without a stamp, a file that is there belongs to someone else."""
        self.path = path
        self._stamp = stamp
        self.overtaken = False
        self._on_disk = None
        self.layer.metadata[KEY]["file"] = str(path)

    def save_job(self) -> Callable[[], None]:
        """A function that writes the present state into the file of the set; it may run in a thread.

        Where a newer state was written meanwhile, it writes nothing; nor where the file was changed by someone else,
        which then stands in `overtaken`.
        """
        state, classes, target = self.labels.state, tuple(self.classes), self.path
        write = self._writer()
        self._asked += 1
        number = self._asked

        def save() -> None:
            with self._writing:
                if number < self._written or target != self.path:
                    return
                if stamp_of(target) not in (None, self._stamp):
                    self.overtaken = True
                    return
                try:
                    write(target)
                finally:
                    # a write that breaks off may have changed one of the files
                    with contextlib.suppress(OSError):
                        self._stamp = stamp_of(target)
                self._written, self._on_disk = number, (state, classes)
                self._keep(state)

        return save

    def copy_to(self, path: Path) -> None:
        """Write the present state into another file; the set stays as it is, unsaved where it was.

        Raises
        ------
        FormatError
            If it cannot be written.
        """
        write = self._writer()
        with self._writing:
            write(path)

    def _writer(self) -> Callable[[Path], None]:
        """What writes the labels as they are now into a file, whatever is labelled meanwhile."""
        state, classes = self.labels.state, list(self.classes)
        pixel_size, name = self.labels.pixel_size, self.image.name

        def write(path: Path) -> None:
            save_set(path, state, pixel_size=pixel_size, classes=classes, image_name=name)

        return write

    # -- in step

    def _show(self) -> None:
        if not self._in_use():
            return
        self._quiet = True
        try:
            update_sites(self.layer, self.labels.sites)
            self._note_done()
            self.choose_class(self.site_class)
        finally:
            self._quiet = False

    def _note_done(self) -> None:
        """Let the layer know which frames are done: the score asks it, and a copy that napari saves keeps it."""
        note(self.layer, **{FRAMES_DONE: sorted(self.labels.done)})

    def _edited(self, event: Any) -> None:
        """Take over what napari's own tools did to the layer."""
        if not self._in_use():
            return
        action = str(getattr(event, "action", "") or "")
        if self._quiet or action.rsplit(".", 1)[-1].lower() in ("adding", "removing", "changing"):
            return
        try:
            sites = sites_from_layer(self.layer, pixel_size=self.labels.pixel_size, shown_only=False)
        except StemlearnError as error:
            self.message(str(error))
            return
        before = self.labels.sites
        same = len(before) == len(sites) and all(
            before[column].equals(sites[column]) for column in ("frame", "y", "x", "class")
        )
        if same:
            return
        stay = len(before) == len(sites)
        # heard all through a drag, which another selection would break off; its end is heard as data
        if event.type == "features" and stay and before["class"].equals(sites["class"]):
            return
        selected = set(self.layer.selected_data) if stay else set()
        if stay:
            moved = ((before[["y", "x"]] - sites[["y", "x"]]).abs() > 1e-6).any(axis=1)
            sites.loc[moved & (sites["origin"] == "predicted"), "origin"] = "edited"
        self.labels.replace_sites(sites, "edit with napari's tools")
        self.layer.selected_data = selected
        more = len(sites) - len(before)
        if more:
            self.message(_count("Added" if more > 0 else "Removed", [""] * abs(more)))
        else:
            self.message("Changed with napari's own tools.")

    def _in_use(self) -> bool:
        """Whether the dock is still there; without it the session lets go of the layer."""
        if not self.alive():
            self.close()
            return False
        return True

    def _press(self, layer: Any, event: Any) -> Iterator[None]:
        if not self._in_use():
            return
        # napari presses on the selected layer alone
        if layer.mode != "pan_zoom" or why_no_place(self.viewer, layer) or self.misplaced or not self.is_shown():
            return
        if event.button not in (1, 2) or _modifiers(event):
            return
        start = np.array(event.pos, dtype=float)
        position = self.position_of(event.position)
        yield
        while event.type == "mouse_move":
            if np.hypot(*(np.array(event.pos, dtype=float) - start)) > DRAG_PIXELS:
                return
            yield
        if event.button == 1:
            self.click(*position)
        else:
            self.remove_at(*position)


def _modifiers(event: Any) -> tuple[Any, ...]:
    return tuple(getattr(event, "modifiers", ()) or ())


def _count(verb: str, names: list[str]) -> str:
    """A sentence such as "Removed a vacancy1." or "Removed 2 labels."; an empty name is any label."""
    if len(names) == 1:
        return f"{verb} {one_of(soft(names[0]) or 'label')}."
    return f"{verb} {len(names)} labels."
