"""One frame of any type and size, read piece by piece as standardised float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.micrograph import Micrograph

BLOCK_PIXELS = 1 << 21
"""Pixels that are looked at together when a frame is checked."""

LOAD_BYTES = 1 << 30
"""A lazy frame up to this size is loaded once instead of piece by piece."""


@dataclass(frozen=True)
class FrameReader:
    """A checked frame.

    Parameters
    ----------
    data
        Anything that can be sliced to (y, x) blocks: array, memory map, dask array.
    mean, deviation
        Of all pixels; `read` gives (value - mean) / deviation.
    """

    data: Any
    mean: float
    deviation: float

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (y, x) in pixels."""
        return int(self.data.shape[0]), int(self.data.shape[1])

    def read(self, y: slice, x: slice) -> NDArray[np.float32]:
        """A block, less the mean of the frame, by its standard deviation."""
        block = np.asarray(self.data[y, x])
        # differences of large numbers need float64, small integers are exact in float32
        wide = block.dtype.itemsize > 2
        block = block.astype(np.float64 if wide else np.float32)
        block -= self.mean
        block /= self.deviation
        return np.ascontiguousarray(block, dtype=np.float32)


def open_frame(micrograph: Micrograph, index: int) -> FrameReader:
    """Check one frame and get its mean and standard deviation, in blocks of rows.

    Raises
    ------
    MicrographError
        Names the frame: NaN or infinite pixels, or one grey level everywhere.
    """
    data = micrograph.data[index] if micrograph.is_stack else micrograph.data
    name = f"frame {index} of '{micrograph.name}'" if micrograph.is_stack else f"'{micrograph.name}'"
    height, width = micrograph.shape
    if not isinstance(data, np.ndarray) and height * width * np.dtype(data.dtype).itemsize <= LOAD_BYTES:
        data = np.asarray(data)
    rows = max(BLOCK_PIXELS // width, 1)
    bad, total, squares, shift = 0, 0.0, 0.0, None
    lowest, highest = np.inf, -np.inf
    for start in range(0, height, rows):
        block = np.asarray(data[start : start + rows])
        if np.issubdtype(block.dtype, np.floating):
            bad += int(block.size - np.count_nonzero(np.isfinite(block)))
        if bad:
            continue
        lowest, highest = min(lowest, float(block.min())), max(highest, float(block.max()))
        wide = block.astype(np.float64).ravel()
        if shift is None:
            shift = float(wide.mean())
        wide -= shift
        total += float(wide.sum())
        squares += float(wide @ wide)
    if bad:
        raise MicrographError(
            f"{_capital(name)} has {bad} pixels that are NaN or infinite; mask or replace them first."
        )
    mean = total / (height * width)
    variance = squares / (height * width) - mean**2
    if lowest == highest or not variance > 0:
        raise MicrographError(f"{_capital(name)} has one grey level ({lowest:g}) everywhere: there is nothing to find.")
    return FrameReader(data, mean + float(shift or 0.0), float(np.sqrt(variance)))


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
