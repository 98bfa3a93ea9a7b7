"""Labelled crops from a data set, or from a folder of micrographs with their site tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_stemlearn.datasets.places import is_data_set
from napari_stemlearn.datasets.store import DataSet, open_data_set
from napari_stemlearn.formats.reading import read_micrograph
from napari_stemlearn.formats.site_files import read_sites
from napari_stemlearn.learning.crops import HELD_OUT, THRESHOLDS, TRAINING, Crop, acquired_side
from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.learning.settings import MixtureSettings, SegmentationSettings
from napari_stemlearn.learning.single_precision import in_single_precision
from napari_stemlearn.learning.truth_classes import empty_classes, unknown_name
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.models.resampling import resample, scale_positions

SITES_ENDING = "_sites.csv"
"""NAME.tif belongs to NAME_sites.csv."""


class Sites(NamedTuple):
    """Class, y and x (pixels) of every site of a frame."""

    classes: NDArray[Any]
    y: NDArray[np.float64]
    x: NDArray[np.float64]


class Window(NamedTuple):
    """A square part of a frame at another pixel size, with its sites.

    Parameters
    ----------
    image
        Shape (y, x), float32.
    sites
        Those inside, in its pixels.
    inside
        Which of the frame's sites these are.
    """

    image: Tensor
    sites: Sites
    inside: NDArray[np.bool_]


class LabelledFrame(Protocol):
    """One labelled frame of a stored set; nothing is read before it is asked for."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (y, x) in pixels."""

    @property
    def pixel_size(self) -> float:
        """In angstrom."""

    def window(self, top: int, left: int, side: int) -> NDArray[Any]:
        """Grey levels of a square part, as numbers of the frame's own type."""

    def positions(self) -> Sites:
        """All its sites."""

    def table(self) -> pd.DataFrame:
        """The site table, in the order of `positions`."""


@dataclass(frozen=True)
class StoredFrame:
    """One frame of a file with its site table; data of large files stay on disk."""

    micrograph: Micrograph
    frame: int
    sites: pd.DataFrame

    @property
    def name(self) -> str:
        """Name of the file, with the number of the frame where there are several."""
        return f"{self.micrograph.name}, frame {self.frame}" if self.micrograph.is_stack else self.micrograph.name

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (y, x) in pixels."""
        return self.micrograph.shape

    @property
    def pixel_size(self) -> float:
        """In angstrom."""
        return self.micrograph.require_pixel_size()

    def window(self, top: int, left: int, side: int) -> NDArray[Any]:
        """Grey levels of a square part, as numbers of the file's own type."""
        data = self.micrograph.data[self.frame] if self.micrograph.is_stack else self.micrograph.data
        return np.array(data[top : top + side, left : left + side])

    def positions(self) -> Sites:
        """All its sites."""
        y, x = (self.sites[axis].to_numpy(dtype=float) for axis in ("y", "x"))
        return Sites(self.sites["class"].to_numpy(), y, x)

    def table(self) -> pd.DataFrame:
        """The site table, in the order of `positions`."""
        return self.sites


@dataclass(frozen=True)
class DataSetFrame:
    """One image of a data set, read from disk each time."""

    data_set: DataSet
    index: int

    @property
    def name(self) -> str:
        """Name of the set and number of the image."""
        return f"{self.data_set.name} {self.index:05d}"

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (y, x) in pixels."""
        return self.data_set.shape

    @property
    def pixel_size(self) -> float:
        """In angstrom."""
        return self.data_set.pixel_size

    def window(self, top: int, left: int, side: int) -> NDArray[np.float32]:
        """Grey levels of a square part."""
        return self.data_set.pixels(self.index)[top : top + side, left : left + side].copy()

    def positions(self) -> Sites:
        """All its sites."""
        return Sites(*self.data_set.positions(self.index))

    def table(self) -> pd.DataFrame:
        """The site table, in the order of `positions`."""
        return self.data_set.sites(self.index)


def labelled_frames(folder: str | Path, where: str = "") -> Sequence[LabelledFrame]:
    """The labelled frames of a data set or of a folder of files.

    Parameters
    ----------
    folder
        A data set, or a folder of images NAME.tif with NAME_sites.csv.
    where
        Query for the images of a data set; empty takes all.

    Raises
    ------
    TrainingError
        If it is missing or holds nothing, or a folder of files is to be queried.
    QueryError
        If the query cannot be understood.
    FormatError, SitesError, MicrographError
        If a file cannot be used.
    """
    if not is_data_set(folder):
        if where:
            raise TrainingError(
                f"The folder {folder} is no data set, so data.where cannot choose images; leave it empty."
            )
        return read_set(folder)
    data_set = open_data_set(folder)
    indices = data_set.indices(where)
    if not indices:
        which = f"no image of which '{where}' is true" if where else "no image"
        raise TrainingError(f"The data set {folder} holds {which}.")
    return [DataSetFrame(data_set, index) for index in indices]


def read_set(folder: str | Path) -> list[StoredFrame]:
    """Read all labelled frames of a folder, in the order of the files' names.

    Raises
    ------
    TrainingError
        If the folder is missing, holds no pairs, or an image has no site table.
    FormatError, SitesError, MicrographError
        If a file cannot be used.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise TrainingError(f"The folder of the stored set, {folder}, does not exist.")
    files = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in (".tif", ".tiff") and not path.name.startswith(".")
    )
    frames = [frame for path in files for frame in read_labelled(path)]
    if not frames:
        raise TrainingError(f"The folder {folder} holds no images NAME.tif with NAME{SITES_ENDING}.")
    return frames


def read_labelled(path: str | Path) -> list[StoredFrame]:
    """Read the labelled frames of one image or stack.

    Parameters
    ----------
    path
        NAME.tif; NAME_sites.csv lies beside it.

    Raises
    ------
    TrainingError
        If the site table is missing, or names frames that the image does not have.
    FormatError, SitesError, MicrographError
        If a file cannot be used.
    """
    path = Path(path)
    table_path = path.with_name(path.stem + SITES_ENDING)
    if not table_path.is_file():
        raise TrainingError(f"The image {path} has no sites: {table_path.name} is missing.")
    micrograph = read_micrograph(path)
    return labelled_by(micrograph, read_sites(table_path, pixel_size=micrograph.require_pixel_size()), str(table_path))


def labelled_by(micrograph: Micrograph, sites: pd.DataFrame, name: str) -> list[StoredFrame]:
    """The frames of a micrograph, each with its part of a site table.

    Parameters
    ----------
    micrograph
        Image or stack.
    sites
        Site table of all frames.
    name
        Of the table, for messages.

    Raises
    ------
    TrainingError
        If it names frames that the micrograph does not have.
    """
    last = int(sites["frame"].max()) if len(sites) else 0
    if last >= micrograph.n_frames:
        frames = "1 frame" if micrograph.n_frames == 1 else f"{micrograph.n_frames} frames"
        raise TrainingError(
            f"{name} has sites of frame {last}, counted from 0, but '{micrograph.name}' has {frames}: "
            "image and sites do not belong together."
        )
    return [StoredFrame(micrograph, index, sites[sites["frame"] == index]) for index in range(micrograph.n_frames)]


def random_window(
    frame: LabelledFrame, rng: np.random.Generator, size: int, pixel_size: float, *, same_levels: bool = True
) -> Window:
    """Cut a random window of `size` pixels of `pixel_size` angstrom; image and sites are resampled together.

    Parameters
    ----------
    frame
        Where from.
    rng
        Draws where.
    size
        Pixels (y and x) of the window.
    pixel_size
        In angstrom, of the window.
    same_levels
        Whether grey levels must be comparable between windows; if not, `in_single_precision` keeps their contrast.
    """
    acquired = frame.pixel_size
    side = acquired_side(size, acquired, pixel_size)
    height, width = frame.shape
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    acquired_levels = frame.window(top, left, side)
    levels = acquired_levels.astype(np.float32) if same_levels else in_single_precision(acquired_levels)
    image = resample(torch.from_numpy(levels), acquired, pixel_size)
    sites = frame.positions()
    y, x = (
        np.asarray(scale_positions(along - start, acquired, pixel_size), dtype=np.float64)
        for along, start in ((sites.y, top), (sites.x, left))
    )
    inside = (y > -0.5) & (y < size - 0.5) & (x > -0.5) & (x < size - 0.5)
    kept = Sites(sites.classes[inside], y[inside], x[inside])
    return Window(image[:size, :size].contiguous(), kept, inside)


class StoredCrops:
    """Cuts crops from the frames of a stored set; some frames are kept for validation only.

    Parameters
    ----------
    settings
        Of the training.

    Raises
    ------
    TrainingError
        If the set holds fewer than two frames or a frame is smaller than a crop.
    """

    def __init__(self, settings: SegmentationSettings) -> None:
        self.settings = settings
        frames = labelled_frames(settings.data.folder, settings.data.where)
        if len(frames) < 2:
            raise TrainingError(
                f"The stored set {settings.data.folder} holds one frame; at least two are needed, one for validation."
            )
        _check_classes(frames, settings)
        order = np.random.default_rng(settings.seed).permutation(len(frames))
        count = min(max(round(settings.data.held_out_fraction * len(frames)), 1), len(frames) - 1)
        self._held_out = [frames[index] for index in order[:count]]
        self._training = [frames[index] for index in order[count:]]
        other = settings.validation.held_out_folder
        self._other_style = labelled_frames(other) if other else self._held_out
        for frame in (*self._training, *self._held_out, *self._other_style):
            _check_size(frame, settings)

    @property
    def pixel_size_range(self) -> tuple[float, float]:
        """Smallest and largest pixel size of the training frames in angstrom."""
        sizes = [frame.pixel_size for frame in self._training]
        return min(sizes), max(sizes)

    @property
    def structures(self) -> tuple[MixtureSettings, ...]:
        """As in the settings: nothing is simulated."""
        return self.settings.structures

    def crop(self, rng: np.random.Generator, size: int, *, stream: int) -> Crop:
        """Cut a random window out of a random frame and resample it to the training pixel size."""
        frame = _one_of(self._frames(stream), rng)
        window = random_window(frame, rng, size, self.settings.pixel_size, same_levels=False)
        return Crop(window.image, list(window.sites.classes), window.sites.y, window.sites.x)

    def _frames(self, stream: int) -> Sequence[LabelledFrame]:
        if stream == TRAINING:
            return self._training
        return self._other_style if stream in (HELD_OUT, THRESHOLDS) else self._held_out


def _one_of(frames: Sequence[LabelledFrame], rng: np.random.Generator) -> LabelledFrame:
    return frames[int(rng.integers(len(frames)))]


def _check_classes(frames: Sequence[LabelledFrame], settings: SegmentationSettings) -> None:
    """Refuse a stored set that shows nothing of a class that is to be marked, where no known model can mark it."""
    there, classes, folder = _classes_in(frames), settings.targets.classes, settings.data.folder
    has = ", ".join(sorted(there)) or "no sites"
    empty = empty_classes(classes, there)
    if len(empty) == len(classes) or (empty and not settings.start_from):
        raise TrainingError(
            f"The stored set {folder} has no site of the class '{empty[0]}' ({', '.join(classes[empty[0]])}); "
            f"it has {has}, so leave the class out of targets.classes or name what it marks as the set does."
        )
    unknown = unknown_name(classes, there)
    if unknown:
        raise TrainingError(f"Setting targets: {unknown}, and what the stored set {folder} has: {has}.")


def _classes_in(frames: Sequence[LabelledFrame]) -> set[str]:
    """Classes of all sites of a stored set."""
    if isinstance(frames[0], DataSetFrame):
        totals = frames[0].data_set.table.totals()
        return {name for classes in totals.values() for name in classes}
    return {str(name) for frame in frames for name in set(frame.positions().classes)}


def _check_size(frame: LabelledFrame, settings: SegmentationSettings) -> None:
    size = settings.optimisation.crop
    side = acquired_side(size, frame.pixel_size, settings.pixel_size)
    height, width = frame.shape
    if min(height, width) < side:
        largest = int(min(height, width) * frame.pixel_size / settings.pixel_size)
        raise TrainingError(
            f"The image {frame.name} ({height} by {width} pixels) is too small for crops of {size} pixels of "
            f"{settings.pixel_size:g} angstrom; lower optimisation.crop to {largest} or less."
        )
