"""Micrographs out of what rosettasciio reads: images and stacks are taken, spectra and diffraction are refused."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.errors import FormatError, StemlearnError
from napari_stemlearn.file_errors import reason
from napari_stemlearn.formats.acquisition import acquisition
from napari_stemlearn.formats.lengths import kind_of_unit, plain_unit, square_pixel_size, to_angstrom
from napari_stemlearn.formats.mrc_bytes import has_signed_bytes
from napari_stemlearn.micrograph import Micrograph

READERS: dict[str, str] = {
    ".dm3": "digitalmicrograph",
    ".dm4": "digitalmicrograph",
    ".emd": "emd",
    ".ser": "tia",
    ".emi": "tia",
    ".mrc": "mrc",
    ".hspy": "hspy",
    ".zspy": "zspy",
    ".blo": "blockfile",
    ".mib": "quantumdetector",
}
"""Reader of rosettasciio for each ending; the last two hold nothing but diffraction patterns and are refused."""


def read_signals(path: Path, *, lazy: bool) -> list[dict[str, Any]]:
    """Let rosettasciio read a file.

    Raises
    ------
    FormatError
        If it cannot: truncated, corrupt, or of another kind than its name says.
    """
    ending = path.suffix.lower()
    try:
        reader = importlib.import_module(f"rsciio.{READERS[ending]}")
        # lazy data are read later, when another folder may be the current one
        signals = reader.file_reader(str(path.absolute()), lazy=lazy, **_options(path, ending, lazy))
    except PermissionError as error:
        raise FormatError(f"{path.name} cannot be read: {reason(error)}.") from error
    except Exception as error:
        raise FormatError(
            f"{path.name} cannot be read as {ending[1:]}: the file is truncated, damaged or of another kind "
            f"({reason(error)})."
        ) from error
    if not signals and ending == ".emi":
        raise FormatError(
            f"{path.name} holds no image itself: its data lie in {path.stem}_1.ser, which is not beside it."
        )
    if not signals:
        raise FormatError(f"{path.name} holds no image.")
    return list(signals)


def _options(path: Path, ending: str, lazy: bool) -> dict[str, Any]:
    """What a reader must be told beside the path."""
    if ending == ".emd":
        from rsciio.emd._api import is_EMD_Velox

        # spectrum streams take long to decode and are no micrographs
        return {"select_type": "images"} if is_EMD_Velox(str(path)) else {}
    # lazily, hyperspy's formats would be opened for writing
    return {"mode": "r"} if lazy and ending in (".hspy", ".zspy") else {}


def micrographs(path: Path, signals: list[dict[str, Any]], pixel_size: float | None) -> list[Micrograph]:
    """The images and stacks among the signals of a file.

    Raises
    ------
    FormatError
        If none of them is an image; says what they are.
    MicrographError
        For pixels that are not square or a pixel size out of range.
    """
    found: list[Micrograph] = []
    refusals: list[StemlearnError] = []
    titles = [_title(signal) for signal in signals]
    for signal, title in zip(signals, titles, strict=True):
        several = len(signals) > 1
        name = f"{path.stem} {title}".strip() if several else path.stem
        try:
            found.append(_micrograph(path, signal, name, title, pixel_size))
        except StemlearnError as error:
            refusals.append(error)
    if not found:
        raise refusals[0]
    return _with_distinct_names(found)


def _micrograph(path: Path, signal: Mapping[str, Any], name: str, title: str, pixel_size: float | None) -> Micrograph:
    axes = _image_axes(path.name, signal)
    data, axes = _rows_first(signal["data"], axes)
    _refuse_time(path.name, axes)
    if path.suffix.lower() == ".mrc" and data.dtype == np.uint8 and has_signed_bytes(path):
        data = data.view(np.int8)
    in_file, origin = _pixel_size(axes, name) if pixel_size is None else (pixel_size, "given")
    facts = acquisition(signal)
    provenance: dict[str, Any] = {
        "source_file": path.name,
        "file": path.name,
        "format": path.suffix[1:].lower(),
        "title": title,
        "pixel_size_from": origin,
        "acquisition": facts,
    }
    return Micrograph(data, in_file, name, provenance)


def _title(signal: Mapping[str, Any]) -> str:
    general = (signal.get("metadata") or {}).get("General") or {}
    return str(general.get("title") or "").strip()


def _with_distinct_names(found: list[Micrograph]) -> list[Micrograph]:
    names = [micrograph.name for micrograph in found]
    if len(set(names)) == len(names):
        return found
    return [
        Micrograph(entry.data, entry.pixel_size, f"{entry.name} {index}", entry.provenance)
        for index, entry in enumerate(found)
    ]


def _image_axes(file_name: str, signal: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Axes of a signal in the order of its array, once it is certain that it is an image or a stack of images."""
    data = signal["data"]
    axes = [dict(axis) for axis in signal["axes"]]
    shape = " by ".join(str(length) for length in data.shape)
    signal_type = str(((signal.get("metadata") or {}).get("Signal") or {}).get("signal_type") or "")
    kinds = [kind_of_unit(axis.get("units")) for axis in axes]
    if data.dtype.names:
        raise FormatError(f"{file_name} is a colour image; a micrograph is grey.")
    if "energy" in kinds or signal_type.upper().startswith(("EELS", "EDS", "CL")):
        what = "a spectrum" if data.ndim == 1 else "a spectrum image"
        raise FormatError(f"{file_name} is {what} ({shape}), not a micrograph; save its survey or sum image.")
    if data.ndim == 1:
        raise FormatError(f"{file_name} is a line of {shape} values, not a micrograph.")
    if data.ndim > 3:
        raise FormatError(
            f"{file_name} is a {data.ndim}D data set ({shape}), as 4D-STEM gives; "
            "a micrograph has 2 axes or 3 with frames, so make a virtual image of it first."
        )
    # hyperspy tells the axes of each signal from those along which signals were taken
    if [bool(axis.get("navigate")) for axis in axes].count(False) == 1 and any(axis.get("navigate") for axis in axes):
        what = "a line of spectra" if data.ndim == 2 else "a spectrum image"
        raise FormatError(
            f"{file_name} is {what} ({shape}; one value axis at each place), not a micrograph; "
            "save its survey or sum image."
        )
    if "diffraction" in signal_type.lower() or set(kinds[-2:]) & {"reciprocal", "angle"}:
        unit = next((axis.get("units") for axis in reversed(axes) if axis.get("units")), "no unit")
        raise FormatError(f"{file_name} is a diffraction pattern (axes in {unit}), not an image of the specimen.")
    return axes


def _rows_first(data: NDArray[Any], axes: list[dict[str, Any]]) -> tuple[NDArray[Any], list[dict[str, Any]]]:
    """Put the axes named y and x last and in this order, wherever they are, as in files of Berkeley EMD."""
    names = [str(axis.get("name") or "").strip().lower() for axis in axes]
    if names.count("y") != 1 or names.count("x") != 1:
        return data, axes
    image = [names.index("y"), names.index("x")]
    order = [place for place in range(len(axes)) if place not in image] + image
    return data.transpose(order), [axes[place] for place in order]


def _refuse_time(file_name: str, axes: list[dict[str, Any]]) -> None:
    """Refuse an axis of time as rows or columns: frames are somewhere else than the file says, or it is no image."""
    for axis in axes[-2:]:
        if kind_of_unit(axis.get("units")) == "time":
            raise FormatError(
                f"{file_name} has an axis in {axis['units']} where rows or columns belong; "
                "a micrograph has the axes (y, x) or (frame, y, x)."
            )


def _pixel_size(axes: list[dict[str, Any]], name: str) -> tuple[float | None, str]:
    """Pixel size in angstrom and where it is from; None for missing, zero or unknown units."""
    sizes = []
    for axis in axes[-2:]:
        scale = abs(float(axis.get("scale") or 0.0))
        unit = axis.get("units")
        if kind_of_unit(unit) == "unknown":
            return None, f"not known: the file has the unit '{plain_unit(unit)}'"
        if kind_of_unit(unit) != "length" or not np.isfinite(scale) or scale == 0:
            return None, "not in the file"
        sizes.append(to_angstrom(scale, unit))
    return square_pixel_size(sizes, name), "file"


def refuse_diffraction(path: Path) -> FormatError:
    """The refusal of a file format that holds nothing but diffraction patterns."""
    try:
        shape = " by ".join(str(length) for length in read_signals(path, lazy=True)[0]["data"].shape)
    except FormatError as error:
        return error
    return FormatError(
        f"{path.name} is a 4D-STEM data set ({shape}): diffraction patterns, not a micrograph; "
        "make a virtual image of it first."
    )
