"""What a run sees, as image layers: made once, then refreshed in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.errors import MicrographError

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

GAP = 1.08
"""Distance of neighbouring previews in their own widths."""

PROBABILITIES = ("target", "prediction")
"""Previews whose values lie between 0 and 1."""


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
        self.unseen: list[str] = []
        self._selected: list[Any] | None = None
        self._limits: dict[str, tuple[float, float]] = {}
        self._closed = False

    def close(self) -> None:
        """Take the layers away; a picture that comes later is not shown any more."""
        from napari_stemlearn.widgets.layers import about, our_layers

        self._closed = True
        self.unseen.clear()
        for layer in our_layers(self.viewer, "preview"):
            if about(layer).get("run") == self.run_name:
                self.viewer.layers.remove(layer)

    @property
    def empty(self) -> bool:
        """Whether nothing was shown yet."""
        return not self._made

    def place(self, name: str) -> tuple[int, int]:
        """Row above the origin and column of a new preview."""
        return 0, len(self._made)

    def limits(self, name: str, array: NDArray[np.generic]) -> tuple[float, float]:
        """Contrast limits of a preview."""
        return _limits(name, array)

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
        if self._closed:
            return None
        if array.ndim == 3:
            array = montage(array)
        layer = self.find(name)
        if layer is not None:
            if name not in self._made:
                self._made.append(name)
            fits = layer.data.shape == array.shape
            layer.data = array
            if fits:
                # a slider that the user moved stays where it was put
                if tuple(layer.contrast_limits) == tuple(self._limits.get(name, ())):
                    layer.contrast_limits = self._limits[name] = self.limits(name, array)
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
            micrograph = Micrograph(array, pixel_size, f"{name} (live)", {"synthetic": True, "run": self.run_name})
        except MicrographError as error:
            self._made.append(name)
            return f"The preview '{name}' cannot be shown: {error}"
        record = {"run": self.run_name, "preview": name, "step": step}
        self._limits[name] = self.limits(name, array)
        options = {"contrast_limits": self._limits[name], "visible": False}
        if self._selected is None:
            self._selected = list(self.viewer.layers.selection)
        layer = add_image(self.viewer, micrograph, kind="preview", record=record, **options)
        height, width = (size * scale for size, scale in zip(array.shape[-2:], layer.scale[-2:], strict=True))
        row, column = self.place(name)
        translate = np.array(layer.translate, dtype=float)
        translate[-2:] = (-(row + 1) * GAP * height, column * GAP * width)
        layer.translate = translate
        self._made.append(name)
        self.unseen.append(name)
        if first or len(self.viewer.layers) <= len(self._made):
            self.viewer.reset_view()
        return None

    def reveal(self) -> None:
        """Draw the new layers for the first time: apart from making them, since both take napari its time.

        A new layer is always the selected one; whatever was selected before is so again, for somebody may be at work
        on it.
        """
        new = [layer for layer in map(self.find, self.unseen) if layer is not None]
        self.unseen.clear()
        for layer in new:
            layer.visible = True
        before = [layer for layer in self._selected or () if layer in self.viewer.layers]
        if before and set(self.viewer.layers.selection) <= set(new):
            self.viewer.layers.selection = before
        self._selected = None


def montage(stack: NDArray[np.generic]) -> NDArray[np.generic]:
    """Lay the images of a stack (n, y, x) out in rows of at most three, with a thin dark line between."""
    n, height, width = stack.shape
    columns = min(n, 2 if n in (2, 4) else 3)
    rows = -(-n // columns)
    line = 2
    low = stack.min() if stack.size else 0
    sheet = np.full((rows * (height + line) - line, columns * (width + line) - line), low, dtype=stack.dtype)
    for index, image in enumerate(stack):
        row, column = divmod(index, columns)
        top, left = row * (height + line), column * (width + line)
        sheet[top : top + height, left : left + width] = image
    return sheet


def _limits(name: str, array: NDArray[np.generic]) -> tuple[float, float]:
    """Contrast limits; never two equal ones; probabilities always get the same."""
    if name in PROBABILITIES:
        return 0.0, 1.0
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    if finite.size == 0:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low, low + 1.0)
