"""Score maps of a search as image layers, on the pixels of the searched image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.widgets.following import IMAGE_PIXELS, coarser
from napari_stemlearn.widgets.layers import about, add_image, our_layers

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_stemlearn.finding.found import FrameFound
    from napari_stemlearn.widgets.search_child import SearchRequest


class ProbabilityMaps:
    """The layers of one search, one a class.

    Parameters
    ----------
    viewer
        Gets the layers.
    source
        Layer of the searched image.
    request
        The search.
    model
        Name of the model.
    """

    def __init__(self, viewer: ViewerModel, source: Any, request: SearchRequest, model: str) -> None:
        self.viewer, self.source, self.request, self.model = viewer, source, request, model
        self.layers: dict[str, Any] = {}

    def show(self, part: FrameFound) -> None:
        """Put the maps of a frame into their layers; nothing where there are none or the image is gone."""
        if self.source not in self.viewer.layers or part.maps is None or part.map_pixel_size is None:
            return
        stack = len(self.request.shape) == 3
        for name, values in part.maps.items():
            if name not in self.layers:
                data = np.zeros((self.request.shape[0], *values.shape), np.float32) if stack else values
                self.layers[name] = self._new(name, data, part.map_pixel_size)
            layer = self.layers[name]
            if stack and layer in self.viewer.layers:
                layer.data[(0,) * (layer.data.ndim - 3) + (part.frame,)] = values
                layer.refresh()

    def _new(self, name: str, data: NDArray[np.float32], pixel_size: float) -> Any:
        from napari_stemlearn.micrograph import Micrograph
        from napari_stemlearn.widgets.class_colours import colour_of

        source = self.source
        factor = pixel_size / self.request.pixel_size
        for old in our_layers(self.viewer, "map"):
            record = about(old)
            if record.get("source_id") == str(source.unique_id) and record.get("class") == name:
                self.viewer.layers.remove(old)
        active = self.viewer.layers.selection.active
        layer = add_image(
            self.viewer,
            Micrograph(data, pixel_size, f"{source.name} p({name})"),
            kind="map",
            source_layer=source,
            record={"class": name, "model": self.model, IMAGE_PIXELS: factor},
            **coarser(source, factor),
            colormap=_fading(colour_of(name)),
            blending="additive",
            contrast_limits=(0.0, 1.0),
            opacity=0.7,
        )
        self.viewer.layers.move(self.viewer.layers.index(layer), self.viewer.layers.index(source) + 1)
        self.viewer.layers.selection.active = active
        return layer


def _fading(colour: str) -> Any:
    """A colour map from nothing to a colour."""
    from napari.utils.colormaps import Colormap
    from napari.utils.colormaps.standardize_color import transform_color

    return Colormap([[0.0, 0.0, 0.0, 1.0], transform_color(colour)[0]], name=f"to {colour}")
