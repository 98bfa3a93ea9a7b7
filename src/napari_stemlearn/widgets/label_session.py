"""A hand label layer at work: it shows the labels, takes clicks and napari's own edits, and is saved as it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.widgets.label_store import save_set
from napari_stemlearn.widgets.labelling import HandLabels
from napari_stemlearn.widgets.layers import (
    KEY,
    add_sites,
    current_frame,
    micrograph_from_layer,
    put_on,
    sites_from_layer,
    update_sites,
)
from napari_stemlearn.widgets.snapping import snap

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Points

DRAG_PIXELS = 4
"""A press that moves further than this on the screen is a drag, not a click."""


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
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        labels: HandLabels,
        path: Path,
        classes: list[str],
        layer: Points | None = None,
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
        self.saved_state: Any = None
        self._quiet = False
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
            update_sites(layer, labels.sites)
        self.layer = layer
        self.layer.metadata[KEY]["file"] = str(path)
        self.layer.mouse_drag_callbacks.append(self._press)
        for event in (self.layer.events.data, self.layer.events.features):
            event.connect(self._edited)
        labels.on_change.append(self._show)
        self.choose_class(self.site_class)

    def close(self) -> None:
        """Let go of the layer; it stays in the viewer."""
        if self._press in self.layer.mouse_drag_callbacks:
            self.layer.mouse_drag_callbacks.remove(self._press)
        for event in (self.layer.events.data, self.layer.events.features):
            event.disconnect(self._edited)
        if self._show in self.labels.on_change:
            self.labels.on_change.remove(self._show)

    def calibrate(self) -> None:
        """Follow the image, whose pixel size or place changed: labels stay on their pixels."""
        self.micrograph = micrograph_from_layer(self.image)
        put_on(self.layer, self.image)
        if self.micrograph.pixel_size != self.labels.pixel_size:
            self.labels.calibrate(self.micrograph.pixel_size)

    # -- classes

    def choose_class(self, name: str) -> None:
        """Label with this class from now on; points of napari's own tool get it too."""
        if name not in self.classes:
            self.classes.append(name)
        self.site_class = name
        with self.layer.events.features.blocker():
            self.layer.feature_defaults = {**self._defaults(), "class": name, "score": np.nan, "origin": "hand"}

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
        data = self.layer.world_to_data(np.asarray(world, dtype=float)[-self.layer.ndim :])
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
        if self.labels.add(frame, y, x, self.site_class):
            self.message(f"{self.site_class}{words}.")
        else:
            self.message(f"There is a {self.site_class} here already.")

    def remove_at(self, y: float, x: float) -> None:
        """Remove the label under a position."""
        if not self.labels.remove_at(self.frame, y, x):
            self.message("There is no label under the cursor.")

    def remove_selected(self) -> None:
        """Remove the selected labels, or the one under the cursor."""
        chosen = sorted(self.layer.selected_data)
        if chosen:
            self.labels.remove(chosen)
        else:
            self.remove_at(*self.position_of(self.viewer.cursor.position))

    def class_key(self, name: str) -> None:
        """Choose a class; labels that are selected get it."""
        chosen = sorted(self.layer.selected_data)
        if chosen:
            self.labels.set_class(chosen, name)
        self.choose_class(name)

    # -- saving

    @property
    def unsaved(self) -> bool:
        """Whether something changed since it was saved."""
        return self.labels.state is not self.saved_state

    def save_job(self) -> Callable[[], Any]:
        """A function that writes the present state and returns it; it may run in a thread."""
        state, path, classes = self.labels.state, self.path, list(self.classes)
        pixel_size, name = self.labels.pixel_size, self.image.name

        def save() -> Any:
            save_set(path, state, pixel_size=pixel_size, classes=classes, image_name=name)
            return state

        return save

    # -- in step

    def _show(self) -> None:
        if not self._in_use():
            return
        self._quiet = True
        try:
            update_sites(self.layer, self.labels.sites)
            self.choose_class(self.site_class)
        finally:
            self._quiet = False

    def _edited(self, event: Any) -> None:
        """Take over what napari's own tools did to the layer."""
        if not self._in_use():
            return
        action = str(getattr(event, "action", "") or "")
        if self._quiet or action.rsplit(".", 1)[-1].lower() in ("adding", "removing", "changing"):
            return
        try:
            sites = sites_from_layer(self.layer, self.image, pixel_size=self.labels.pixel_size, shown_only=False)
        except StemlearnError as error:
            self.message(str(error))
            return
        before = self.labels.sites
        same = len(before) == len(sites) and all(
            before[column].equals(sites[column]) for column in ("frame", "y", "x", "class")
        )
        if same:
            return
        if len(before) == len(sites):
            moved = ((before[["y", "x"]] - sites[["y", "x"]]).abs() > 1e-6).any(axis=1)
            sites.loc[moved & (sites["origin"] == "predicted"), "origin"] = "edited"
        self.labels.replace_sites(sites, "edit with napari's tools")

    def _in_use(self) -> bool:
        """Whether the dock is still there; without it the session lets go of the layer."""
        if not self.alive():
            self.close()
            return False
        return True

    def _press(self, layer: Any, event: Any) -> Iterator[None]:
        if not self._in_use():
            return
        if layer.mode != "pan_zoom" or event.button not in (1, 2) or tuple(getattr(event, "modifiers", ()) or ()):
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
