"""A look at the experimental images before a training: what would be refused later is said now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_stemlearn.errors import FormatError, MicrographError
from napari_stemlearn.formats import read_micrograph
from napari_stemlearn.formats.folders import micrograph_files
from napari_stemlearn.formats.reading import LAZY_ABOVE
from napari_stemlearn.labelling.label_store import slug
from napari_stemlearn.micrograph import SAME_TO_LEARN_FROM, Micrograph, check_values, same_pixel_size
from napari_stemlearn.widgets.image_files import holds

LOOKED_AT = 12
"""Frames that are looked at where all together are too large; the training looks at every one."""


@dataclass(frozen=True)
class ExperimentLook:
    """What there is to learn from.

    Parameters
    ----------
    name
        Of the layer, the file or the folder.
    files
        Files that hold the images; empty where a layer is in no file.
    n_frames
        Frames together.
    shape
        Smallest height and width in pixels.
    pixel_size
        In angstrom; None where it has to be asked for.
    """

    name: str
    files: tuple[str, ...]
    n_frames: int
    shape: tuple[int, int]
    pixel_size: float | None

    def words(self) -> str:
        """One line for people."""
        frames = "1 frame" if self.n_frames == 1 else f"{self.n_frames} frames"
        size = f" of {self.pixel_size:.4g} Å" if self.pixel_size else ""
        preset = " The preset one-image is made for this." if self.n_frames == 1 else ""
        return f"{frames} of {self.shape[0]} × {self.shape[1]} pixels{size}.{preset}"


def look_at_layer(micrograph: Micrograph, path: str | None) -> ExperimentLook:
    """Look at the image of a layer; a file that holds exactly the same image stands for it.

    Raises
    ------
    MicrographError
        If a frame has one grey level, or pixels that are no numbers.
    """
    _check_frames(micrograph)
    files = (str(Path(path).absolute()),) if path and holds(path, micrograph) else ()
    return ExperimentLook(micrograph.name, files, micrograph.n_frames, micrograph.shape, micrograph.pixel_size)


def look_at_files(paths: Sequence[str], pixel_size: float | None) -> ExperimentLook:
    """Look at files, or at all in a folder.

    Parameters
    ----------
    paths
        Files and folders.
    pixel_size
        Goes before what the files say; None takes that.

    Raises
    ------
    FormatError
        If a file cannot be read, or holds several images.
    MicrographError
        If a frame has one grey level or pixels that are no numbers, or the pixel sizes differ.
    """
    files = micrograph_files(paths)
    if not files:
        raise FormatError("There is no file to learn from.")
    found = [read_micrograph(path) for path in files]
    for micrograph in found:
        _check_frames(micrograph)
    sizes = [micrograph.pixel_size for micrograph in found if micrograph.pixel_size is not None]
    if pixel_size is None and len(sizes) == len(found):
        if not same_pixel_size(min(sizes), max(sizes), SAME_TO_LEARN_FROM):
            raise MicrographError(
                f"The files have pixels of {min(sizes):g} to {max(sizes):g} angstrom; one pixel size is needed."
            )
        pixel_size = float(np.mean(sizes))
    shapes = [micrograph.shape for micrograph in found]
    return ExperimentLook(
        name=Path(paths[0]).stem if len(paths) == 1 else files[0].parent.name,
        files=tuple(str(path.absolute()) for path in files),
        n_frames=sum(micrograph.n_frames for micrograph in found),
        shape=(min(height for height, _ in shapes), min(width for _, width in shapes)),
        pixel_size=pixel_size,
    )


def write_once(look: ExperimentLook, micrograph: Micrograph, folder: Path) -> ExperimentLook:
    """Write the image of a layer as calibrated TIFF, unless it is there from an earlier training.

    Parameters
    ----------
    look
        Of the layer.
    micrograph
        Its image.
    folder
        Made if missing.

    Raises
    ------
    FormatError
        If it cannot be written; nothing is left behind.
    """
    # loads pandas, for which the opening of a dock must not wait
    from napari_stemlearn.formats import hash_micrograph, write_tiff
    from napari_stemlearn.formats.atomic import make_folder

    path = folder / marked_name(micrograph, hash_micrograph(micrograph))
    if not path.exists():
        make_folder(folder)
        write_tiff(path, micrograph)
    return replace(look, files=(str(path),))


def marked_name(micrograph: Micrograph, mark: str) -> str:
    """Name of a file that holds a micrograph with this mark of its content and no other."""
    return f"{slug(micrograph.name)}-{micrograph.pixel_size:.5g}A-{mark[:10]}.tif"


def _check_frames(micrograph: Micrograph) -> None:
    large = micrograph.data.size * micrograph.data.dtype.itemsize > LAZY_ABOVE
    count = min(micrograph.n_frames, LOOKED_AT) if large else micrograph.n_frames
    for index in np.unique(np.linspace(0, micrograph.n_frames - 1, count).astype(int)):
        name = f"{micrograph.name}, frame {index}" if micrograph.is_stack else micrograph.name
        check_values(micrograph.frame(int(index)), name)
