"""Knows when the values of an image are replaced, and which sites still belong to the values before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal

from napari_stemlearn.widgets.layers import SITE_KINDS, about, image_layers, our_layers

if TYPE_CHECKING:
    from napari.components import ViewerModel


class ImageWatch(QObject):
    """Follows the images of a viewer; `replaced` brings one whose values are others now.

    Parameters
    ----------
    viewer
        Whose images.
    """

    replaced = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None):
        super().__init__(parent)
        self._viewer = viewer
        self._old: dict[str, Any] = {}
        viewer.layers.events.inserted.connect(self._on_list)
        self._on_list()

    def is_outdated(self, layer: Any) -> bool:
        """Whether the sites of a layer were made for an image that was replaced since, and are still the same."""
        # sites that are made anew come in a new array
        return layer is not None and layer.data is self._old.get(str(layer.unique_id))

    def is_as_before(self, image: Any) -> None:
        """Only the array of an image was replaced, its values are the same: its sites are good."""
        for layer in our_layers(self._viewer, SITE_KINDS):
            if about(layer).get("source_id") == str(image.unique_id):
                self._old.pop(str(layer.unique_id), None)

    def _on_list(self, _event: Any = None) -> None:
        if isalive(self):
            for image in image_layers(self._viewer):
                image.events.data.connect(self._on_data)

    def _on_data(self, event: Any) -> None:
        if not isalive(self):
            return
        image = event.source
        for layer in our_layers(self._viewer, SITE_KINDS):
            if about(layer).get("source_id") == str(image.unique_id):
                self._old[str(layer.unique_id)] = layer.data
        self.replaced.emit(image)
