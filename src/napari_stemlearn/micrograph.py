"""The micrograph: an image or a stack with its pixel size and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemlearn.errors import MicrographError, MissingPixelSizeError

SAME_BUT_ROUNDED = 1e-3
"""Part by which two pixel sizes may differ that are the same but for the digits that files keep."""

SAME_TO_LEARN_FROM = 0.02
"""Part by which the pixel sizes of images may differ that are learnt from together."""


@dataclass(frozen=True)
class Micrograph:
    """An image (y, x) or a stack (frame, y, x).

    Parameters
    ----------
    data
        Real numbers of any dtype, 2D or 3D; may be a memory map. Arrays are kept, not copied.
    pixel_size
        Side of a square pixel in angstrom, or None where it is not known yet.
    name
        Short name for layers, tables and files; letters that cannot be written become ``�``.
    provenance
        Settings, seed, source file, versions, ``synthetic: true|false``.

    Raises
    ------
    MicrographError
        If the shape, type or pixel size cannot be that of a micrograph.
    """

    data: NDArray[Any]
    pixel_size: float | None = None
    name: str = "micrograph"
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(getattr(self.data, "dtype", None), np.dtype):
            raise MicrographError(
                f"The data of '{self.name}' are of type {type(self.data).__name__}; "
                "give a numpy array with the axes (y, x) or (frame, y, x)."
            )
        object.__setattr__(self, "name", printable(str(self.name)))
        check_image(self.data, self.name)
        if self.pixel_size is not None:
            object.__setattr__(self, "pixel_size", check_pixel_size(self.pixel_size, self.name))

    @property
    def is_stack(self) -> bool:
        """Whether there is a frame axis."""
        return self.data.ndim == 3

    @property
    def n_frames(self) -> int:
        """Number of frames; 1 for a single image."""
        return self.data.shape[0] if self.is_stack else 1

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (y, x) of one frame in pixels."""
        return int(self.data.shape[-2]), int(self.data.shape[-1])

    @property
    def axes(self) -> tuple[str, ...]:
        """Axis labels in order."""
        return ("frame", "y", "x") if self.is_stack else ("y", "x")

    def frame(self, index: int) -> NDArray[Any]:
        """One frame (y, x), as an array in memory."""
        return np.asarray(self.data[index] if self.is_stack else self.data)

    def require_pixel_size(self) -> float:
        """The pixel size in angstrom.

        Raises
        ------
        MissingPixelSizeError
            If it is not known: it is never guessed.
        """
        if self.pixel_size is None:
            raise MissingPixelSizeError(f"The pixel size of '{self.name}' is not known; give it in angstrom.")
        return self.pixel_size


def printable(text: str) -> str:
    """A text that can be shown and written: names of files may hold bytes that are no letters."""
    return "".join("\ufffd" if 0xD800 <= ord(letter) <= 0xDFFF else letter for letter in text)


def check_micrograph(value: object) -> None:
    """Refuse anything but a micrograph where one is needed.

    Raises
    ------
    MicrographError
        Says what it is.
    """
    if not isinstance(value, Micrograph):
        raise MicrographError(
            f"A Micrograph is needed, not a value of type {type(value).__name__}; make one of an array with "
            "Micrograph(array, pixel_size), pixel_size in angstrom."
        )


def check_pixel_size(pixel_size: Any, name: str = "micrograph") -> float:
    """Check a pixel size in angstrom: one positive finite number between 0.001 and 1000.

    Raises
    ------
    MicrographError
        Says what is wrong; two different numbers are reported as anisotropic pixels.
    """
    try:
        values = np.atleast_1d(np.asarray(pixel_size, dtype=float)).ravel()
        if isinstance(pixel_size, (bool, np.bool_)):
            values = np.empty(0)
    except (TypeError, ValueError):
        # words such as "0.2 nm" are refused like every other wrong number
        values = np.empty(0)
    if values.size == 2 and np.isfinite(values).all() and values.min() > 0:
        if values.max() / values.min() > 1.005:
            raise MicrographError(
                f"The pixels of '{name}' are {values[0]:g} by {values[1]:g} angstrom; "
                "only square pixels (within 0.5 %) can be used, so resample the image first."
            )
        values = values.mean(keepdims=True)
    if values.size != 1 or not np.isfinite(values[0]) or not 1e-3 <= values[0] <= 1e3:
        raise MicrographError(
            f"The pixel size of '{name}' is {pixel_size}; it must be one number between 0.001 and 1000 angstrom."
        )
    return float(values[0])


def same_pixel_size(one: float, other: float, within: float = SAME_BUT_ROUNDED) -> bool:
    """Whether two pixel sizes count as one.

    Parameters
    ----------
    one, other
        In angstrom.
    within
        Part of the smaller one by which they may differ.
    """
    return abs(one - other) <= within * min(one, other)


def check_image(data: ArrayLike, name: str = "micrograph") -> None:
    """Check shape and type of image data, without looking at the values.

    Raises
    ------
    MicrographError
        For RGB, 4D, 1D, empty, complex or non-numeric arrays and for frames below 2 by 2 pixels.
    """
    shape = np.shape(data)
    dtype = data.dtype if hasattr(data, "dtype") else np.asarray(data).dtype
    if len(shape) not in (2, 3):
        hint = "; choose one 2D image or a virtual image of a 4D data set" if len(shape) > 3 else ""
        raise MicrographError(f"'{name}' has {len(shape)} axes; a micrograph has 2 (y, x) or 3 (frame, y, x){hint}.")
    if 0 in shape:
        raise MicrographError(f"'{name}' is empty (shape {shape}).")
    if len(shape) == 3 and shape[-1] in (3, 4) and shape[0] > 4:
        raise MicrographError(
            f"'{name}' has shape {shape}: a colour image, or the frames are on the last axis; "
            "a micrograph is grey with axes (frame, y, x)."
        )
    if min(shape[-2:]) < 2:
        raise MicrographError(f"Frames of '{name}' are {shape[-2]} by {shape[-1]} pixels; at least 2 by 2 are needed.")
    if np.issubdtype(dtype, np.complexfloating):
        raise MicrographError(f"'{name}' is complex; take its amplitude, phase or intensity first.")
    if not (np.issubdtype(dtype, np.number) or dtype == np.bool_):
        raise MicrographError(f"'{name}' holds {dtype}, not numbers.")


def check_values(frame: NDArray[Any], name: str = "micrograph") -> None:
    """Check one frame's values before they are searched or learnt from.

    Raises
    ------
    MicrographError
        For NaN or infinite pixels, or one grey level everywhere.
    """
    if np.issubdtype(frame.dtype, np.floating):
        bad = int(frame.size - np.count_nonzero(np.isfinite(frame)))
        if bad:
            raise MicrographError(f"'{name}' has {bad} pixels that are NaN or infinite; mask or replace them first.")
    if frame.min() == frame.max():
        raise MicrographError(f"'{name}' has one grey level ({frame.flat[0]}) everywhere: there is nothing to find.")
