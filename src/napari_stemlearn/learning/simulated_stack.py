"""A simulated stack in place of settings: stored images with the sites of all columns, as a CycleGAN needs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.formats.folders import micrograph_files
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.learning.simulation_pool import SimulatedImage
from napari_stemlearn.learning.stored import LabelledFrame, labelled_frames, random_window, read_labelled
from napari_stemlearn.learning.truth_classes import DEFECT_KINDS
from napari_stemlearn.micrograph import check_values, same_pixel_size
from napari_stemlearn.models.resampling import resampled_length
from napari_stemlearn.sites import make_sites

COARSEST = 2.0
"""A simulation may have pixels larger than the experiment's by this factor: beyond it, what is fine is missing."""

SAME_PLACE = 0.1
"""A column nearer to a defect, in angstrom, is the one that holds it."""

LOOKED_AT = 4
"""Images of which the grey levels are checked at first, and the spectrum is compared with that of the experiment."""

_WINDOWS, _LOOKS = 0, 1


class SimulatedStack:
    """Stored simulations with their labels, brought to the pixel size of an experiment.

    Parameters
    ----------
    frames
        All frames of the stack; see `stored_frames`.
    name
        Of the stack, for messages.
    pixel_size
        Of the experiment in angstrom; images of another are resampled, together with their sites.
    crop
        Side of the crops in pixels.
    count
        Images that are cut out of the stack.
    seed
        The same seed gives the same images.

    Raises
    ------
    TrainingError
        If a frame has no columns or is too small, or pixels are too coarse.
    MicrographError
        If an image has one grey level everywhere, or pixels that are no numbers.
    """

    def __init__(
        self, frames: Sequence[LabelledFrame], name: str, *, pixel_size: float, crop: int, count: int, seed: int = 0
    ) -> None:
        self.name = name
        self.pixel_size, self.count, self.seed = pixel_size, count, seed
        order = np.random.default_rng(seed).permutation(len(frames))[:count]
        self.frames = [frames[index] for index in order]
        counts: dict[str, Counter[str]] = {"columns": Counter(), "defects": Counter()}
        for frame in self.frames:
            columns, defects = _split(frame.table())
            _check(frame, len(columns), pixel_size, crop)
            counts["columns"].update(columns["class"].astype(str))
            counts["defects"].update(defects["class"].astype(str))
        for frame in self.frames[:LOOKED_AT]:
            check_values(frame.window(0, 0, min(frame.shape)), frame.name)
        self.counts = {kind: dict(sorted(found.items())) for kind, found in counts.items()}
        self.smallest = min(_length(frame, pixel_size) for frame in self.frames)

    @classmethod
    def of(cls, settings: CycleGANSettings, pixel_size: float) -> SimulatedStack:
        """The stack that stands in place of settings of a training, for an experiment of `pixel_size` angstrom.

        Raises
        ------
        TrainingError
            If sites are missing or belong to other frames, or the stack does not fit the experiment.
        FormatError, SitesError, MicrographError
            If a file cannot be used.
        """
        return cls(
            stored_frames(settings.simulated),
            stack_name(settings.simulated),
            pixel_size=pixel_size,
            crop=settings.crop,
            count=settings.simulations,
            seed=settings.seed,
        )

    @property
    def remark(self) -> str:
        """One sentence where images are resampled, else an empty text."""
        sizes = [frame.pixel_size for frame in self.frames if not same_pixel_size(frame.pixel_size, self.pixel_size)]
        if not sizes:
            return ""
        those = (
            f"{min(sizes):.4g}" if same_pixel_size(min(sizes), max(sizes)) else f"{min(sizes):.4g} to {max(sizes):.4g}"
        )
        return (
            f"The simulated stack has pixels of {those} angstrom: image and sites are resampled to the "
            f"{self.pixel_size:.4g} of the experiment."
        )

    def record(self) -> dict[str, Any]:
        """Plain values for the generator's card: what it learnt from."""
        sizes = [frame.pixel_size for frame in self.frames]
        return {"frames": len(self.frames), "pixel_sizes": [min(sizes), max(sizes)], **self.counts}

    def images(self, side: int, should_stop: Callable[[], bool] = lambda: False) -> Iterator[SimulatedImage]:
        """Cut `count` windows of `side` pixels out of the frames, with columns and defects.

        Raises
        ------
        MicrographError
            If pixels are NaN or infinite.
        """
        for index in range(self.count):
            if should_stop():
                return
            frame = self.frames[index % len(self.frames)]
            rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(_WINDOWS, index)))
            yield self._cut(frame, rng, side)

    def looks(self, side: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """A name and a large part of a few images, to be compared with the experiment."""
        for frame in self.frames[:LOOKED_AT]:
            rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(_LOOKS,)))
            yield f"stack {self.name}", self._cut(frame, rng, min(side, _length(frame, self.pixel_size))).image

    def _cut(self, frame: LabelledFrame, rng: np.random.Generator, side: int) -> SimulatedImage:
        window = random_window(frame, rng, side, _target(frame, self.pixel_size))
        image = window.image.numpy()
        if not np.isfinite(image).all():
            raise MicrographError(f"The simulated image '{frame.name}' has pixels that are NaN or infinite.")
        sites = window.sites
        table = frame.table()[window.inside]
        extra = {name: table[name].to_numpy() for name in ("kind", "sublattice") if name in table}
        columns, defects = _split(make_sites(sites.y, sites.x, sites.classes, pixel_size=self.pixel_size, extra=extra))
        return SimulatedImage(image, _holding(columns, defects), defects)


def stored_frames(paths: Sequence[str]) -> list[LabelledFrame]:
    """Labelled frames of images NAME.tif with NAME_sites.csv beside them, of folders of such images, or of data sets.

    Raises
    ------
    TrainingError
        If sites are missing or belong to other frames, or a folder holds nothing.
    FormatError, SitesError, MicrographError
        If a file cannot be used.
    """
    frames: list[LabelledFrame] = []
    for path in (Path(path).expanduser() for path in paths):
        if path.is_dir():
            frames += labelled_frames(path)
        else:
            frames += [frame for file in micrograph_files([path]) for frame in read_labelled(file)]
    return frames


def stack_name(paths: Sequence[str]) -> str:
    """Short name of a stack that is in files."""
    return Path(paths[0]).name if len(paths) == 1 else f"{len(paths)} files"


def _check(frame: LabelledFrame, columns: int, pixel_size: float, crop: int) -> None:
    """Refuse a frame that cannot be learnt from."""
    if not columns:
        raise TrainingError(
            f"The simulated image '{frame.name}' has no columns among its sites; whether labels survive is measured "
            "on them, so each frame needs the sites of all its columns."
        )
    own = frame.pixel_size
    if own > COARSEST * pixel_size:
        raise TrainingError(
            f"The simulated image '{frame.name}' has pixels of {own:.4g} angstrom, the experiment of {pixel_size:.4g}: "
            f"that is too coarse, so simulate at most {COARSEST * pixel_size:.4g} angstrom."
        )
    height, width = frame.shape
    side = _length(frame, pixel_size)
    if side < crop:
        raise TrainingError(
            f"The simulated image '{frame.name}' ({height} by {width} pixels of {own:.4g} angstrom) has {side} pixels "
            f"of the experiment's {pixel_size:.4g} angstrom a side; crops of {crop} need larger images, so simulate "
            "a larger field or choose a smaller crop."
        )


def _target(frame: LabelledFrame, pixel_size: float) -> float:
    """Pixel size that a frame gets: pixels that are as good as the same stay as they are."""
    return frame.pixel_size if same_pixel_size(frame.pixel_size, pixel_size) else pixel_size


def _length(frame: LabelledFrame, pixel_size: float) -> int:
    """Shorter side of a frame in pixels of the experiment."""
    return resampled_length(min(frame.shape), frame.pixel_size, _target(frame, pixel_size))


def with_kind(table: pd.DataFrame) -> pd.DataFrame:
    """A site table with a column ``kind``, ``column`` or ``defect``; told by the class where there is none."""
    if "kind" in table:
        return table
    return table.assign(kind=np.where(table["class"].isin(DEFECT_KINDS), "defect", "column"))


def _split(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Columns and defects of a site table."""
    defect = with_kind(table)["kind"] == "defect"
    return table[~defect].reset_index(drop=True), table[defect].reset_index(drop=True)


def _holding(columns: pd.DataFrame, defects: pd.DataFrame) -> pd.DataFrame:
    """Columns with a further column ``defect``: the class of the defect that one holds, else an empty text."""
    held = np.full(len(columns), "", dtype=object)
    if len(columns) and len(defects):
        places = ["y_angstrom", "x_angstrom"]
        distance, nearest = cKDTree(columns[places].to_numpy()).query(defects[places].to_numpy())
        there = distance < SAME_PLACE
        held[nearest[there]] = defects["class"].to_numpy()[there]
    return columns.assign(defect=held)
