"""Reading micrographs from files, whatever program wrote them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemlearn.errors import FormatError, SeveralImagesError
from napari_stemlearn.formats.rosetta import READERS, micrographs, read_signals, refuse_diffraction
from napari_stemlearn.marking.statement import is_synthetic
from napari_stemlearn.micrograph import Micrograph, check_pixel_size, same_pixel_size

TIFF_EXTENSIONS = (".tif", ".tiff")
EXTENSIONS: tuple[str, ...] = (".dm3", ".dm4", ".emd", ".ser", ".emi", ".mrc", ".hspy", ".zspy", *TIFF_EXTENSIONS)
"""Endings of the files that `read_micrograph` takes."""

LAZY_ABOVE = 512 * 2**20
"""Files with more bytes than this are mapped or read piece by piece when they are looked at."""


def read_micrographs(
    path: str | Path, *, pixel_size: float | None = None, lazy: bool | None = None
) -> list[Micrograph]:
    """Read every image and stack in a file.

    Parameters
    ----------
    path
        A file with one of the endings `EXTENSIONS` (``.zspy`` may be a folder).
    pixel_size
        Side of a pixel in angstrom; goes before what the file says.
    lazy
        Whether the data stay in the file until they are looked at; by default for files above `LAZY_ABOVE` bytes.

    Returns
    -------
    list of Micrograph
        At least one. Order (frame, y, x); the values and their type are those of the file. ``pixel_size`` is None
        where the file has none; nothing is guessed. ``provenance`` tells the file, its format, where the pixel size
        is from and what the file says of the exposure.

    Raises
    ------
    FormatError
        If the file is missing, empty, truncated, damaged, of an unknown kind, or holds no image (4D-STEM, spectra,
        diffraction).
    MicrographError
        If the pixels are not square, or the array cannot be a micrograph (colour, complex, one pixel wide).
    """
    path = Path(path).expanduser()
    size = _check_file(path)
    ending = path.suffix.lower()
    if pixel_size is not None:
        pixel_size = check_pixel_size(pixel_size, path.stem)
    lazy = size > LAZY_ABOVE if lazy is None else lazy
    if ending in TIFF_EXTENSIONS:
        from napari_stemlearn.formats.tiff_reading import read_tiff

        return read_tiff(path, pixel_size=pixel_size, lazy=lazy)
    if ending in (".blo", ".mib"):
        raise refuse_diffraction(path)
    return micrographs(path, read_signals(path, lazy=lazy), pixel_size)


def read_micrograph(
    path: str | Path,
    *,
    pixel_size: float | None = None,
    image: int | str | None = None,
    lazy: bool | None = None,
) -> Micrograph:
    """Read the image or stack of a file.

    Parameters
    ----------
    path, pixel_size, lazy
        As for `read_micrographs`.
    image
        Which one, where the file holds several: its number from 0 or its title (``HAADF``).

    Raises
    ------
    FormatError
        As for `read_micrographs`, and if the file holds several images and `image` does not say which.
    MicrographError
        As for `read_micrographs`.
    """
    return chosen_image(read_micrographs(path, pixel_size=pixel_size, lazy=lazy), path, image)


def chosen_image(found: Sequence[Micrograph], path: str | Path, image: int | str | None) -> Micrograph:
    """One of the images of a file, by number or title.

    Parameters
    ----------
    found
        All of them.
    path
        Of the file, for messages.
    image
        Its number from 0 or its title; None for the only one.

    Raises
    ------
    FormatError
        If there is no such image; `SeveralImagesError` if there are several and none is named.
    """
    titles = [str(entry.provenance.get("title") or entry.name) for entry in found]
    listed = ", ".join(f"{index} {title}" for index, title in enumerate(titles))
    if image is None:
        if len(found) == 1:
            return found[0]
        raise SeveralImagesError(f"{Path(path).name} holds {len(found)} images ({listed}); say which one.")
    if isinstance(image, str) and titles.count(image) == 1:
        return found[titles.index(image)]
    if isinstance(image, int) and 0 <= image < len(found):
        return found[image]
    raise FormatError(f"{Path(path).name} has no image {image!r}; it has {listed}.")


def read_stack(paths: Sequence[str | Path], *, pixel_size: float | None = None, name: str | None = None) -> Micrograph:
    """Read single images of one size and pixel size, in the order given, as the frames of a stack.

    The stack is synthetic if any of the images is; ``synthetic_files`` in its provenance names these.

    Raises
    ------
    FormatError
        If there is no file, or shapes, types or pixel sizes differ; names the first file that does not fit.
    """
    if not paths:
        raise FormatError("There is no file to make a stack of.")
    frames = [read_micrograph(path, pixel_size=pixel_size) for path in paths]
    first = frames[0]
    for path, frame in zip(paths, frames, strict=True):
        if frame.is_stack:
            raise FormatError(f"{Path(path).name} is a stack itself; only single images can be stacked.")
        if frame.shape != first.shape or frame.data.dtype != first.data.dtype:
            raise FormatError(
                f"{Path(path).name} is {frame.shape[0]} by {frame.shape[1]} {frame.data.dtype}, but the first image is "
                f"{first.shape[0]} by {first.shape[1]} {first.data.dtype}; frames of a stack must agree."
            )
        if not _same_size(frame.pixel_size, first.pixel_size):
            raise FormatError(
                f"{Path(path).name} has pixels of {frame.pixel_size} angstrom, the first image of {first.pixel_size}; "
                "frames of a stack must agree."
            )
    provenance = _stack_provenance(frames, [Path(path).name for path in paths])
    data = np.stack([frame.frame(0) for frame in frames])
    return Micrograph(data, first.pixel_size, name or first.name, provenance)


def _stack_provenance(frames: Sequence[Micrograph], files: list[str]) -> dict[str, Any]:
    """The provenance of the first frame; what the first synthetic frame says of itself goes before."""
    provenance = {**frames[0].provenance, "files": files}
    synthetic = [index for index, frame in enumerate(frames) if is_synthetic(frame.provenance)]
    if not synthetic:
        return provenance
    said = frames[synthetic[0]].provenance
    provenance.update({name: said[name] for name in ("statement", "generator", "made_by") if name in said})
    provenance.update({"synthetic": True, "synthetic_files": [files[index] for index in synthetic]})
    return provenance


def _same_size(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return same_pixel_size(one, other)


def _check_file(path: Path) -> int:
    """Size in bytes of a file that exists, is not empty and has a known ending; a .zspy folder counts as large."""
    ending = path.suffix.lower()
    # os.path says no to names that are too long, pathlib complains
    if not os.path.exists(path):
        raise FormatError(f"The file {path} does not exist.")
    if ending not in (*READERS, *TIFF_EXTENSIONS):
        kinds = ", ".join(entry[1:] for entry in EXTENSIONS)
        if path.is_dir():
            raise FormatError(f"{path} is a folder; name a file in it that ends in {kinds}.")
        raise FormatError(f"{path.name} has the ending '{ending or 'none'}'; micrographs can be read from {kinds}.")
    if path.is_dir():
        if ending != ".zspy":
            raise FormatError(f"{path.name} is a folder, not a file.")
        return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    size = path.stat().st_size
    if size == 0:
        raise FormatError(f"{path.name} is empty (0 bytes).")
    return size
