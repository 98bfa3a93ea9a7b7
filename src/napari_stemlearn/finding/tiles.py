"""Tiles that cover a frame, every pixel once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Span:
    """Half-open range of pixels along one axis."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def grown(self, by: int, length: int) -> Span:
        """Wider by so many pixels at both ends, cut at the frame."""
        return Span(max(self.start - by, 0), min(self.stop + by, length))

    def within(self, outer: Span) -> slice:
        """Slice that picks this span from an array that holds `outer`."""
        return slice(self.start - outer.start, self.stop - outer.start)


@dataclass(frozen=True)
class Tile:
    """The part (y, x) of a frame that one tile answers for."""

    y: Span
    x: Span


def spans(length: int, tile: int, multiple: int = 1) -> list[Span]:
    """Cut an axis into nearly equal spans of at most about `tile` pixels that begin at multiples of `multiple`."""
    count = -(-length // max(tile, multiple))
    size = -(-length // (count * multiple)) * multiple
    return [Span(start, min(start + size, length)) for start in range(0, length, size)]


def plan_tiles(shape: tuple[int, int], tile: int, multiple: int = 1) -> list[Tile]:
    """Tiles that cover a frame of `shape` (y, x), row by row."""
    return [Tile(y, x) for y in spans(shape[0], tile, multiple) for x in spans(shape[1], tile, multiple)]


def reflected(start: int, stop: int, length: int) -> NDArray[np.int64]:
    """Indices into an axis of `length` pixels for a range that may reach beyond it, mirrored about the end pixels."""
    period = 2 * (length - 1)
    index = np.abs(np.arange(start, stop)) % period
    return np.minimum(index, period - index)


def network_window(core: Span, length: int, reach: int, rim: int, stride: int) -> Span:
    """Input range of a network for a tile, aligned to its stride; may reach beyond the frame, where it is mirrored.

    Parameters
    ----------
    core
        What must come out right.
    length
        Of the frame.
    reach
        Farthest input pixel that an output pixel depends on.
    rim
        Mirrored pixels around the frame, a multiple of `stride`; the same for every tile.
    stride
        Windows begin and end at its multiples.
    """
    start = (core.start - reach) // stride * stride
    stop = -(-(core.stop + reach) // stride) * stride
    return Span(max(start, -rim), min(stop, -(-(length + rim) // stride) * stride))


def normalisation_window(indices: NDArray[np.int64], length: int, halo: int, multiple: int) -> Span:
    """Frame pixels that are needed to normalise those at `indices`, aligned to `multiple`, cut at the frame."""
    start = (int(indices.min()) - halo) // multiple * multiple
    stop = -(-(int(indices.max()) + 1 + halo) // multiple) * multiple
    return Span(max(start, 0), min(stop, length))
