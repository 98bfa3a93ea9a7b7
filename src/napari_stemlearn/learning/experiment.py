"""The unlabelled experimental images of a CycleGAN: checked once, cut into crops without loading them whole."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.formats import read_micrograph
from napari_stemlearn.learning.grey_levels import GreyLevels, grey_levels_of
from napari_stemlearn.learning.single_precision import keeps_contrast
from napari_stemlearn.micrograph import SAME_TO_LEARN_FROM, Micrograph, same_pixel_size

SAMPLED_PIXELS = 1_000_000
"""Pixels looked at for the grey levels."""

STRIP_PIXELS = 1 << 22
"""Pixels in memory at once while frames are checked."""

CHECKED_PIXELS = 1 << 28
"""Up to so many pixels all are checked for NaN before the training; of more, strips of every frame, and each crop."""

KEPT_BYTES = 1 << 30
"""Frames that must be decoded before they can be cut are kept up to so many bytes."""

FEWEST_CROPS = 4
"""The experiment must have at least the area of so many crops."""


class Experiment:
    """Frames of one microscope and one day, at one pixel size.

    Parameters
    ----------
    micrographs
        Images and stacks, in memory, memory-mapped or read page by page; never loaded whole.
    crop
        Side of the crops in pixels.
    pixel_size
        In angstrom; None takes that of the micrographs. Where both are known and differ, `remark` says so.

    Raises
    ------
    MicrographError
        If there is none, a frame is smaller than a crop, has one grey level or NaN, all of them together are smaller
        than a few crops, or pixel sizes differ.
    """

    def __init__(self, micrographs: Sequence[Micrograph], crop: int, pixel_size: float | None = None) -> None:
        if not micrographs:
            raise MicrographError("There is no experimental image to learn from; choose a stack or files.")
        self.crop = crop
        self.frames: list[tuple[Micrograph, int]] = []
        self._kept: OrderedDict[tuple[int, int], NDArray[np.generic]] = OrderedDict()
        for micrograph in micrographs:
            if min(micrograph.shape) < crop:
                height, width = micrograph.shape
                raise MicrographError(
                    f"'{micrograph.name}' has frames of {height} by {width} pixels; crops of {crop} pixels need larger "
                    "ones, so choose a smaller crop."
                )
            self.frames += [(micrograph, index) for index in range(micrograph.n_frames)]
        self.pixel_size, self.remark = _common_pixel_size(micrographs, pixel_size)
        pixels = sum(micrograph.shape[0] * micrograph.shape[1] for micrograph, _ in self.frames)
        every = max(-(-pixels // CHECKED_PIXELS), 1)
        step = max(int(np.sqrt(pixels / every / SAMPLED_PIXELS)), 1)
        samples = [_checked(*frame, step, every) for frame in self.frames]
        if pixels < FEWEST_CROPS * crop**2:
            raise MicrographError(
                f"The experiment has {pixels} pixels in all, the area of {pixels / crop**2:.1f} crops of {crop} by "
                f"{crop} pixels; at least {FEWEST_CROPS} are needed, so add frames or choose a smaller crop."
            )
        self.grey_levels: GreyLevels = grey_levels_of(np.concatenate(samples))

    def crops(self, rng: np.random.Generator, count: int, size: int | None = None) -> Tensor:
        """Random crops (count, 1, size, size) with grey levels about -1 to 1."""
        size = size or self.crop
        cut = []
        for _ in range(count):
            number = int(rng.integers(len(self.frames)))
            height, width = self.frames[number][0].shape
            y, x = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
            cut.append(self.grey_levels.scaled(self.window(number, slice(y, y + size), slice(x, x + size))))
        return torch.from_numpy(np.stack(cut))[:, None]

    def patches(self, rng: np.random.Generator, count: int, size: int) -> NDArray[np.float32]:
        """Patches (count, size, size) for comparing looks."""
        return self.crops(rng, count, min(size, *self.smallest_frame())).numpy()[:, 0]

    def middles(self, count: int, side: int) -> list[NDArray[np.generic]]:
        """Middles of up to `count` frames spread over the stack, at most `side` pixels wide."""
        chosen = np.unique(np.linspace(0, len(self.frames) - 1, count).round().astype(int))
        cut = []
        for number in chosen:
            top, left = (max(length - side, 0) // 2 for length in self.frames[number][0].shape)
            cut.append(self.window(int(number), slice(top, top + side), slice(left, left + side)))
        return cut

    def window(self, number: int, y: slice, x: slice) -> NDArray[np.generic]:
        """Pixels of a frame, and no others, as an array in memory.

        Raises
        ------
        MicrographError
            If one is NaN or infinite.
        """
        micrograph, index = self.frames[number]
        lazy = not isinstance(micrograph.data, np.ndarray)
        frame = self._decoded(micrograph, index) if lazy else micrograph.data
        if micrograph.is_stack and not (lazy and frame.ndim == 2):
            frame = frame[index]
        pixels = np.asarray(frame[y, x])
        _count_bad(pixels, _name(micrograph, index))
        return pixels

    def _decoded(self, micrograph: Micrograph, index: int) -> NDArray[np.generic]:
        """A frame of a compressed file, which can only be read whole; those used last are kept."""
        size = micrograph.shape[0] * micrograph.shape[1] * micrograph.data.dtype.itemsize
        if 2 * size > KEPT_BYTES:
            return micrograph.data
        key = (id(micrograph), index)
        if key not in self._kept:
            while self._kept and (len(self._kept) + 1) * size > KEPT_BYTES:
                self._kept.popitem(last=False)
            self._kept[key] = micrograph.frame(index)
        self._kept.move_to_end(key)
        return self._kept[key]

    def smallest_frame(self) -> tuple[int, int]:
        """Smallest height and width among the frames."""
        shapes = [micrograph.shape for micrograph, _ in self.frames]
        return min(shape[0] for shape in shapes), min(shape[1] for shape in shapes)


def read_experiment(paths: Sequence[str | Path], crop: int, pixel_size: float | None = None) -> Experiment:
    """Open files of an experiment; parameters and errors as for `Experiment`.

    Raises
    ------
    MicrographError
        If a file is named twice: its frames would count double.
    FormatError
        If one cannot be read.
    """
    known: dict[Path, str | Path] = {}
    for path in paths:
        place = Path(path).expanduser().resolve()
        if place in known:
            raise MicrographError(f"{known[place]} and {path} are the same image; name each image once.")
        known[place] = path
    return Experiment([read_micrograph(path) for path in paths], crop, pixel_size)


def _name(micrograph: Micrograph, index: int) -> str:
    return f"{micrograph.name}, frame {index}" if micrograph.is_stack else micrograph.name


def _common_pixel_size(micrographs: Sequence[Micrograph], given: float | None) -> tuple[float, str]:
    """Pixel size in angstrom, and a sentence where files and settings say different things."""
    if given is None:
        sizes = [micrograph.require_pixel_size() for micrograph in micrographs]
        if not same_pixel_size(min(sizes), max(sizes), SAME_TO_LEARN_FROM):
            raise MicrographError(
                f"The experimental images have pixels of {min(sizes):g} to {max(sizes):g} angstrom; "
                "one pixel size is needed."
            )
        return float(np.mean(sizes)), ""
    for micrograph in micrographs:
        own = micrograph.pixel_size
        if own is not None and not same_pixel_size(own, given, SAME_TO_LEARN_FROM):
            return float(given), (
                f"The settings say pixels of {given:g} angstrom, the file of '{micrograph.name}' says {own:g}: "
                "the settings are followed; leave pixel_size empty to follow the file."
            )
    return float(given), ""


def _strips(shape: tuple[int, int], every: int) -> Iterator[slice]:
    """Strips of rows; of huge stacks only each `every`-th, at least one in the middle."""
    height, width = shape
    rows = max(STRIP_PIXELS // (width * every), 1)
    starts = range(0, height, rows)
    for start in starts[min(every, len(starts)) // 2 :: every]:
        yield slice(start, min(start + rows, height))


def _checked(micrograph: Micrograph, index: int, step: int, every: int) -> NDArray[np.generic]:
    """Check a frame strip by strip; returns each `step`-th pixel of each `step`-th row that was looked at."""
    name = _name(micrograph, index)
    frame = micrograph.data[index] if micrograph.is_stack else micrograph.data
    if not isinstance(micrograph.data, np.ndarray) and micrograph.shape[0] * micrograph.shape[1] <= STRIP_PIXELS:
        # a compressed page is decoded once, not once a strip
        frame = np.asarray(frame)
    sampled, bad, low, high = [], 0, np.inf, -np.inf
    for rows in _strips(micrograph.shape, every):
        strip = np.asarray(frame[rows])
        finite = strip
        if np.issubdtype(strip.dtype, np.inexact):
            finite = strip[np.isfinite(strip)]
            bad += strip.size - finite.size
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
        first = -rows.start % step if every == 1 else 0
        sampled.append(np.array(strip[first::step, ::step]).ravel())
    if bad:
        raise _not_finite(bad, name)
    if low == high:
        raise MicrographError(f"'{name}' has one grey level ({low:g}) everywhere: there is nothing to learn.")
    pixels = np.concatenate(sampled)
    single = pixels.astype(np.float32)
    return single if keeps_contrast(pixels, single) else pixels


def _count_bad(pixels: NDArray[np.generic], name: str) -> None:
    if np.issubdtype(pixels.dtype, np.inexact):
        bad = pixels.size - int(np.count_nonzero(np.isfinite(pixels)))
        if bad:
            raise _not_finite(bad, name)


def _not_finite(bad: int, name: str) -> MicrographError:
    return MicrographError(f"'{name}' has {bad} pixels that are NaN or infinite; mask or replace them first.")
