"""Writing calibrated TIFF that ImageJ, Digital Micrograph and we ourselves read back with the right pixel size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn import __version__
from napari_stemlearn.errors import FormatError
from napari_stemlearn.file_errors import reason
from napari_stemlearn.formats.atomic import replacing
from napari_stemlearn.formats.plain_values import plain
from napari_stemlearn.marking.statement import SYNTHETIC_STATEMENT, is_synthetic, says_synthetic
from napari_stemlearn.micrograph import Micrograph, check_micrograph

_LARGEST_RATIONAL = 2**32 - 1


def write_tiff(path: str | Path, micrograph: Micrograph) -> Path:
    """Write a micrograph as TIFF, whole or not at all.

    The resolution tags carry the pixel size (dots per centimetre). The description is JSON: ``pixel_size_angstrom``,
    ``unit``, ``axes``, ``provenance`` (with its ``synthetic`` flag). Values and their type are kept as they are;
    nothing is compressed, so that large stacks can be mapped. Lazy data are written frame by frame.

    A synthetic image says so in plain words as well, in the tag ``Software`` and at the head of the description, where
    any program shows them.

    Parameters
    ----------
    path
        Ends in ``.tif`` or ``.tiff``; an older file is replaced when the new one is complete.
    micrograph
        Image or stack; a stack of one frame stays a stack.

    Returns
    -------
    pathlib.Path
        Where it is.

    Raises
    ------
    FormatError
        If the name has another ending, the folder is missing or cannot be written, or the disk is full; nothing is
        left behind and an older file stays.
    MicrographError
        If it is no `Micrograph`.
    """
    import tifffile

    path = Path(path).expanduser()
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise FormatError(f"{path.name} must end in .tif or .tiff.")
    check_micrograph(micrograph)
    data = micrograph.data
    with replacing(path) as temporary:
        try:
            tifffile.imwrite(
                temporary,
                _frames(micrograph) if micrograph.is_stack else np.asarray(data),
                shape=tuple(int(length) for length in data.shape) if micrograph.is_stack else None,
                dtype=np.dtype(data.dtype) if micrograph.is_stack else None,
                photometric="minisblack",
                metadata=_description(micrograph),
                software=_software(micrograph),
                bigtiff=int(np.prod(data.shape, dtype=np.int64)) * data.dtype.itemsize > 2**32 - 2**25,
                **_resolution(micrograph.pixel_size),
            )
        except (ValueError, TypeError) as error:
            raise FormatError(f"{path} cannot be written as TIFF: {reason(error)}.") from error
    return path


def _frames(micrograph: Micrograph) -> Iterator[NDArray[Any]]:
    for index in range(micrograph.n_frames):
        yield np.ascontiguousarray(micrograph.frame(index))


def _software(micrograph: Micrograph) -> str:
    """The program, and the statement of a synthetic image; plain ASCII."""
    words = f"napari-stemlearn {__version__}"
    statement = _statement(micrograph)
    return f"{words}; {statement}" if statement else words


def _statement(micrograph: Micrograph) -> str:
    """What a synthetic image says of itself; empty for others."""
    if not is_synthetic(micrograph.provenance):
        return ""
    own = str(micrograph.provenance.get("statement") or "")
    return own.encode("ascii", "replace").decode("ascii") if says_synthetic(own) else SYNTHETIC_STATEMENT


def _description(micrograph: Micrograph) -> dict[str, Any]:
    statement = _statement(micrograph)
    return {
        # first, because programs show the beginning
        **({"statement": statement} if statement else {}),
        "axes": "TYX" if micrograph.is_stack else "YX",
        "pixel_size_angstrom": micrograph.pixel_size,
        "unit": "angstrom" if micrograph.pixel_size is not None else "pixel",
        "name": micrograph.name,
        "provenance": plain(micrograph.provenance),
        "written_by": f"napari-stemlearn {__version__}",
    }


def _resolution(pixel_size: float | None) -> dict[str, Any]:
    if pixel_size is None:
        return {"resolutionunit": "NONE"}
    per_centimetre = 1e8 / pixel_size
    if per_centimetre > _LARGEST_RATIONAL:
        # finer than a rational number of TIFF can say; the description says it
        return {"resolutionunit": "NONE"}
    return {"resolution": (per_centimetre, per_centimetre), "resolutionunit": "CENTIMETER"}
