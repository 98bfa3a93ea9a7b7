"""Pictures of a CycleGAN as layers: both directions, each row of images above the row of its Fourier amplitudes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.widgets.previews import PreviewLayers

if TYPE_CHECKING:
    from napari.components import ViewerModel

AMPLITUDES = "Fourier amplitudes"
"""End of the names of previews that are no images."""

ROWS = ("experiment: amplitudes", "experiment: images", "simulation: amplitudes", "simulation: images")
"""From the origin upwards."""


class TranslationPreviews(PreviewLayers):
    """The preview layers of a CycleGAN.

    Parameters
    ----------
    viewer, run_name
        As for `PreviewLayers`.
    """

    def __init__(self, viewer: ViewerModel, run_name: str):
        super().__init__(viewer, run_name)
        self._pixel_size: float | None = None

    def show(self, name: str, array: NDArray[np.generic], pixel_size: float | None, step: int) -> str | None:
        # amplitudes have no pixel size; they lie beneath their images in the same width
        self._pixel_size = pixel_size or self._pixel_size
        return super().show(name, array, pixel_size or self._pixel_size, step)

    def place(self, name: str) -> tuple[int, int]:
        side = name.partition(":")[0]
        row = f"{side}: {'amplitudes' if name.endswith(AMPLITUDES) else 'images'}"
        return (ROWS.index(row), 0) if row in ROWS else (len(ROWS), len(self._made))

    def limits(self, name: str, array: NDArray[np.generic]) -> tuple[float, float]:
        finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        if not finite.size:
            return super().limits(name, array)
        # one hot pixel, or the missing mean of a spectrum, would take all the contrast
        ends = (0.3, 0.9995) if name.endswith(AMPLITUDES) else (0.002, 0.998)
        low, high = (float(value) for value in np.quantile(finite, ends))
        return (low, high) if high > low else (low, low + 1.0)
