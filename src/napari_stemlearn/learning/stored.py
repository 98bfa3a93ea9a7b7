"""Labelled crops from a folder of micrographs with their site tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from napari_stemlearn.formats.reading import read_micrograph
from napari_stemlearn.formats.site_files import read_sites
from napari_stemlearn.learning.crops import HELD_OUT, THRESHOLDS, TRAINING, Crop, acquired_side
from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.models.resampling import resample, scale_positions

SITES_ENDING = "_sites.csv"
"""NAME.tif belongs to NAME_sites.csv."""


@dataclass(frozen=True)
class StoredFrame:
    """One labelled frame of a stored set; data of large files stay on disk."""

    micrograph: Micrograph
    frame: int
    sites: pd.DataFrame


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
    frames = []
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in (".tif", ".tiff")):
        table_path = path.with_name(path.stem + SITES_ENDING)
        if not table_path.is_file():
            raise TrainingError(f"The image {path} has no sites: {table_path.name} is missing.")
        micrograph = read_micrograph(path)
        sites = read_sites(table_path, pixel_size=micrograph.require_pixel_size())
        frames += [
            StoredFrame(micrograph, index, sites[sites["frame"] == index]) for index in range(micrograph.n_frames)
        ]
    if not frames:
        raise TrainingError(f"The folder {folder} holds no images NAME.tif with NAME{SITES_ENDING}.")
    return frames


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
        frames = read_set(settings.data.folder)
        if len(frames) < 2:
            raise TrainingError(
                f"The stored set {settings.data.folder} holds one frame; at least two are needed, one for validation."
            )
        order = np.random.default_rng(settings.seed).permutation(len(frames))
        count = min(max(round(settings.data.held_out_fraction * len(frames)), 1), len(frames) - 1)
        self._held_out = [frames[index] for index in order[:count]]
        self._training = [frames[index] for index in order[count:]]
        other = settings.validation.held_out_folder
        self._other_style = read_set(other) if other else self._held_out
        for frame in (*self._training, *self._held_out, *self._other_style):
            _check_size(frame.micrograph, settings)

    @property
    def pixel_size_range(self) -> tuple[float, float]:
        """Smallest and largest pixel size of the training frames in angstrom."""
        sizes = [frame.micrograph.require_pixel_size() for frame in self._training]
        return min(sizes), max(sizes)

    def crop(self, rng: np.random.Generator, size: int, *, stream: int) -> Crop:
        """Cut a random window out of a random frame and resample it to the training pixel size."""
        frame = _one_of(self._frames(stream), rng)
        acquired, wanted = frame.micrograph.require_pixel_size(), self.settings.pixel_size
        side = acquired_side(size, acquired, wanted)
        height, width = frame.micrograph.shape
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        data = frame.micrograph.data[frame.frame] if frame.micrograph.is_stack else frame.micrograph.data
        window = np.array(data[top : top + side, left : left + side], dtype=np.float32)
        image = resample(torch.from_numpy(window), acquired, wanted)[:size, :size].contiguous()
        y = scale_positions(frame.sites["y"].to_numpy(dtype=float) - top, acquired, wanted)
        x = scale_positions(frame.sites["x"].to_numpy(dtype=float) - left, acquired, wanted)
        inside = (y > -0.5) & (y < size - 0.5) & (x > -0.5) & (x < size - 0.5)
        return Crop(image, list(frame.sites["class"].to_numpy()[inside]), y[inside], x[inside])

    def _frames(self, stream: int) -> Sequence[StoredFrame]:
        if stream == TRAINING:
            return self._training
        return self._other_style if stream in (HELD_OUT, THRESHOLDS) else self._held_out


def _one_of(frames: Sequence[StoredFrame], rng: np.random.Generator) -> StoredFrame:
    return frames[int(rng.integers(len(frames)))]


def _check_size(micrograph: Micrograph, settings: SegmentationSettings) -> None:
    pixel_size, size = micrograph.require_pixel_size(), settings.optimisation.crop
    side = acquired_side(size, pixel_size, settings.pixel_size)
    if min(micrograph.shape) < side:
        height, width = micrograph.shape
        largest = int(min(height, width) * pixel_size / settings.pixel_size)
        raise TrainingError(
            f"The image {micrograph.name} ({height} by {width} pixels) is too small for crops of {size} pixels of "
            f"{settings.pixel_size:g} angstrom; lower optimisation.crop to {largest} or less."
        )
