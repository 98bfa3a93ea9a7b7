"""Any window of a resampled frame, without resampling the whole frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from napari_stemlearn.finding.frame_reader import FrameReader
from napari_stemlearn.finding.tiles import Span


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cubic convolution kernel with a = -1/2 (Keys 1981), at absolute distances in units of its step."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0.0))


def resampling_weights(window: Span, factor: float, length: int) -> tuple[csr_array, Span]:
    """Weights along one axis that give the pixels of `window` exactly as `models.resampling.resample` does.

    Parameters
    ----------
    window
        Wanted pixels after resampling.
    factor
        Old pixel size by new one.
    length
        Pixels of the axis before.

    Returns
    -------
    weights, source
        Sparse matrix (window, source) and the source pixels that it needs.
    """
    step = 1 / factor
    width = max(step, 1.0)
    centre = step * (np.arange(window.start, window.stop) + 0.5)
    first = np.maximum((centre - 2 * width + 0.5).astype(np.int64), 0)
    stop = np.minimum((centre + 2 * width + 0.5).astype(np.int64), length)
    index = first[:, None] + np.arange(int((stop - first).max()))
    weight = _cubic(np.abs(index - centre[:, None] + 0.5) / width) * (index < stop[:, None])
    weight /= weight.sum(axis=1, keepdims=True)
    source = Span(int(first.min()), int(stop.max()))
    row = np.broadcast_to(np.arange(len(window))[:, None], index.shape)
    used = index < stop[:, None]
    shape = (len(window), len(source))
    return csr_array((weight[used].astype(np.float32), (row[used], index[used] - source.start)), shape=shape), source


def read_resampled(reader: FrameReader, factor: float, y: Span, x: Span) -> NDArray[np.float32]:
    """Window (y, x) of the frame after resampling by `factor`, standardised as `FrameReader.read` does."""
    if factor == 1:
        return reader.read(slice(y.start, y.stop), slice(x.start, x.stop))
    along_y, rows = resampling_weights(y, factor, reader.shape[0])
    along_x, columns = resampling_weights(x, factor, reader.shape[1])
    block = reader.read(slice(rows.start, rows.stop), slice(columns.start, columns.stop))
    return np.ascontiguousarray((along_x @ (along_y @ block).T).T)
