"""Which files hold exactly the image of a layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.formats import EXTENSIONS, read_micrograph, read_stack
from napari_stemlearn.micrograph import Micrograph


def files_of(layer: Any, micrograph: Micrograph) -> tuple[str, ...]:
    """The file of a layer's image, or the files of which the layer is the stack; empty where they hold another image.

    Parameters
    ----------
    layer
        Image layer.
    micrograph
        Its image.
    """
    path = getattr(getattr(layer, "source", None), "path", None)
    if not path:
        return ()
    if holds(path, micrograph):
        return (str(path),)
    names = micrograph.provenance.get("files") or ()
    paths = [Path(path).with_name(str(name)) for name in names]
    try:
        found = read_stack(paths)
    except (StemlearnError, OSError):
        # there are none, they were moved, or lie in several folders
        return ()
    return tuple(map(str, paths)) if same_values(found, micrograph) else ()


def holds(path: str, micrograph: Micrograph) -> bool:
    """Whether one who reads a file gets exactly this image."""
    if Path(path).suffix.lower() not in EXTENSIONS:
        return False
    try:
        # a file of several images is refused, and so is one that is gone
        found = read_micrograph(path, lazy=True)
    except (StemlearnError, OSError):
        return False
    data = micrograph.data
    if isinstance(data, np.memmap) and data.mode == "r" and Path(str(data.filename)) == Path(path).resolve():
        return found.data.shape == data.shape and np.dtype(found.data.dtype) == data.dtype
    return same_values(found, micrograph)


def same_values(one: Micrograph, other: Micrograph) -> bool:
    """Whether two images have the same shape, type and values."""
    dtype = np.dtype(one.data.dtype)
    if one.data.shape != other.data.shape or dtype != np.dtype(other.data.dtype):
        return False
    numbers = np.issubdtype(dtype, np.inexact)
    return all(np.array_equal(one.frame(k), other.frame(k), equal_nan=numbers) for k in range(one.n_frames))
