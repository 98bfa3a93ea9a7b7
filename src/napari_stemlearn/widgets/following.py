"""Layers of ours stay on the pixels of their image when it is scaled or moved, by docks or by napari's own tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemlearn.widgets.layers import (
    Place,
    about,
    image_layers,
    layout,
    our_layers,
    place_of,
    same_place,
    source_of,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

PLACEMENT = ("scale", "units", "translate", "rotate", "shear", "affine")
"""Events of a layer that tell that it lies elsewhere."""
IMAGE_PIXELS = "image_pixels"
"""Entry of the metadata: pixels of the image to a pixel of the layer, in each direction; 1 where it is missing."""

_FOLLOWER = "_stemlearn_follower"
"""Attribute of a list of layers, so that a viewer has one follower, which lives as long as the viewer."""


def follow_images(viewer: ViewerModel) -> None:
    """Let our layers follow their images in a viewer from now on, also when no dock is open any more."""
    layers = getattr(viewer, "__wrapped__", viewer).layers
    if not hasattr(layers, _FOLLOWER):
        setattr(layers, _FOLLOWER, _Follower(viewer))


def put_ours_on(viewer: ViewerModel, image: Image) -> None:
    """Put all layers that were made from an image on its pixels, where it now lies."""
    for layer in our_layers(viewer):
        if layer.ndim == image.ndim and about(layer).get("source_id") == str(image.unique_id):
            put_on(layer, image)


def put_on(layer: Layer, image: Layer) -> None:
    """Put a layer with as many axes on the pixels of an image, where the image now lies."""
    wanted = layout(layer.ndim, None, image)
    step = float(about(layer).get(IMAGE_PIXELS, 1.0))
    if step != 1.0:
        wanted |= coarser(image, step)
    for name, value in wanted.items():
        # each of them is drawn and heard, so what is right stays
        if not _equal(getattr(layer, name), value):
            setattr(layer, name, value)


def coarser(image: Layer, step: float) -> dict[str, Any]:
    """Scale and corner of a layer on an image, with pixels `step` times as large as those of the image."""
    shift = np.zeros(image.ndim)
    # corners coincide, so the centre of the first pixel lies half the difference further in
    shift[-2:] = 0.5 * (step - 1)
    matrix = np.asarray(getattr(image.affine, "affine_matrix", image.affine), dtype=float)
    place = np.asarray(image.data_to_world(shift), dtype=float) - matrix[:-1, -1]
    scale = np.array(image.scale, dtype=float)
    scale[-2:] *= step
    return {"scale": scale, "translate": np.linalg.solve(matrix[:-1, :-1], place)}


class _Follower:
    """Hears of every image of a viewer that is scaled or moved."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = getattr(viewer, "__wrapped__", viewer)
        self._before: dict[str, Place] = {}
        self._viewer.layers.events.inserted.connect(self._on_list)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._on_list()

    def _on_list(self, _event: Any = None) -> None:
        for image in image_layers(self._viewer):
            if str(image.unique_id) not in self._before:
                self._before[str(image.unique_id)] = place_of(image)
                for name in PLACEMENT:
                    getattr(image.events, name).connect(self._on_moved)

    def _on_removed(self, event: Any) -> None:
        image = event.value
        if self._before.pop(str(image.unique_id), None) is not None:
            for name in PLACEMENT:
                getattr(image.events, name).disconnect(self._on_moved)

    def _on_moved(self, event: Any) -> None:
        image = event.source
        before = self._before[str(image.unique_id)]
        self._before[str(image.unique_id)] = place_of(image)
        put_ours_on(self._viewer, image)
        # sites of a file need not be on the pixels of the image that they name
        named = [layer for layer in our_layers(self._viewer) if source_of(self._viewer, layer) == image]
        for layer in named:
            if not about(layer).get("source_id") and same_place(place_of(layer), before):
                put_on(layer, image)


def _equal(one: Any, other: Any) -> bool:
    one, other = (getattr(value, "affine_matrix", value) for value in (one, other))
    return bool(np.array_equal(np.asarray(one), np.asarray(other)))
