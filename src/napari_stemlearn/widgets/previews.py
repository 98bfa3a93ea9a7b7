"""What a run sees, as image layers: made once, then refreshed in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.errors import MicrographError

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

GAP = 1.08
"""Distance of neighbouring previews in their own widths."""


class PreviewLayers:
    """The preview layers of one run in one viewer.

    They lie in a row above the origin, so that they cover no micrograph. One that the user removed stays away.

    Parameters
    ----------
    viewer
        Viewer to add to.
    run_name
        Written to the layers' metadata.
    """

    def __init__(self, viewer: ViewerModel, run_name: str):
        self.viewer = viewer
        self.run_name = run_name
        self._made: list[str] = []

    def find(self, name: str) -> Image | None:
        """The layer of a preview, known by its metadata."""
        from napari_stemlearn.widgets.layers import about, our_layers

        for layer in our_layers(self.viewer, "preview"):
            record = about(layer)
            if record.get("run") == self.run_name and record.get("preview") == name:
                return layer
        return None

    def show(self, name: str, array: NDArray[np.generic], pixel_size: float | None, step: int) -> str | None:
        """Show an array (y, x) or (frame, y, x); returns a sentence where it cannot be shown."""
        layer = self.find(name)
        if layer is not None:
            if name not in self._made:
                self._made.append(name)
            fits = layer.data.shape == array.shape
            layer.data = array
            if fits:
                layer.contrast_limits_range = _limits(array)
                layer.contrast_limits = _limits(array)
            else:
                layer.reset_contrast_limits()
            return None
        if name in self._made:
            return None
        return self._add(name, array, pixel_size, step)

    def _add(self, name: str, array: NDArray[np.generic], pixel_size: float | None, step: int) -> str | None:
        from napari_stemlearn.micrograph import Micrograph
        from napari_stemlearn.widgets.layers import add_image

        first = not len(self.viewer.layers)
        try:
            micrograph = Micrograph(array, pixel_size, f"{name} (training)", {"synthetic": True, "run": self.run_name})
        except MicrographError as error:
            self._made.append(name)
            return f"The preview '{name}' cannot be shown: {error}"
        record = {"run": self.run_name, "preview": name, "step": step}
        layer = add_image(self.viewer, micrograph, kind="preview", record=record)
        height, width = (size * scale for size, scale in zip(array.shape[-2:], layer.scale[-2:], strict=True))
        translate = np.array(layer.translate, dtype=float)
        translate[-2:] = (-GAP * height, len(self._made) * GAP * width)
        layer.translate = translate
        self._made.append(name)
        if first or len(self.viewer.layers) <= len(self._made):
            self.viewer.reset_view()
        return None


def _limits(array: NDArray[np.generic]) -> tuple[float, float]:
    """Contrast limits; never two equal ones."""
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    if finite.size == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low, low + 1.0)
