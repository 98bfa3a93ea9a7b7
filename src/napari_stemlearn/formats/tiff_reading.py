"""Reading TIFF: our own description, OME, ImageJ, Digital Micrograph and instrument tags, resolution tags."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.errors import FormatError, MicrographError, StemlearnError
from napari_stemlearn.formats.acquisition import acquisition
from napari_stemlearn.formats.atomic import reason
from napari_stemlearn.formats.lengths import kind_of_unit, square_pixel_size, to_angstrom
from napari_stemlearn.formats.tiff_tags import text_tags
from napari_stemlearn.marking.statement import SYNTHETIC_STATEMENT, is_synthetic, says_synthetic
from napari_stemlearn.micrograph import Micrograph, check_pixel_size

FRAME_AXES = "TZIQRPHLEM"
"""Axis letters of tifffile that can count frames."""

_CENTIMETRE_TAG, _INCH_TAG = 3, 2
_TABLE_KEYS = {"shape", "axes", "unit", "pixel_size_angstrom", "provenance", "written_by", "name", "truncated"}


def read_tiff(path: Path, *, pixel_size: float | None, lazy: bool) -> list[Micrograph]:
    """Read every image and stack of a TIFF file; see `read_micrographs`."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            series = [entry for entry in tiff.series if len(entry.shape) >= 2 and entry.dtype is not None]
            if not series:
                raise FormatError(f"{path.name} holds no image.")
            described = _our_description(tiff)
            found: list[Micrograph] = []
            refusals: list[StemlearnError] = []
            for index, entry in enumerate(series):
                try:
                    found += _from_series(path, tiff, entry, index, len(series), described, pixel_size, lazy)
                except StemlearnError as error:
                    refusals.append(error)
    except StemlearnError:
        raise
    except Exception as error:
        raise FormatError(
            f"{path.name} cannot be read as TIFF: the file is truncated, damaged or of another kind ({reason(error)})."
        ) from error
    if not found:
        raise refusals[0]
    return found


def is_grey_tiff(path: Path) -> bool:
    """Whether a TIFF file could hold a micrograph, from its header alone."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            first = tiff.series[0]
            return "S" not in first.axes and len(first.shape) >= 2
    except Exception:
        # unreadable files are ours to complain about in plain words
        return True


def _from_series(
    path: Path,
    tiff: Any,
    series: Any,
    index: int,
    count: int,
    described: dict[str, Any] | None,
    pixel_size: float | None,
    lazy: bool,
) -> list[Micrograph]:
    name = path.stem if count == 1 else f"{path.stem} {index}"
    axes, shape = str(series.axes), tuple(int(length) for length in series.shape)
    if "S" in axes:
        raise MicrographError(
            f"{path.name} is a colour image (axes {axes}); a micrograph is grey, so convert it first."
        )
    if axes[-2:] != "YX":
        raise MicrographError(
            f"{path.name} has axes {axes} with shape {shape}; a micrograph has the rows and columns (YX) last."
        )
    # sides of length one carry nothing, except one frame axis that our own writer put there
    kept = [
        place
        for place, (axis, length) in enumerate(zip(axes, shape, strict=True))
        if length > 1 or place >= len(axes) - 2 or (described is not None and axis == "T" and len(shape) == 3)
    ]
    leading = "".join(axes[place] for place in kept[:-2])
    if len(leading.replace("C", "")) > 1 or any(axis not in FRAME_AXES + "C" for axis in leading):
        raise MicrographError(
            f"{path.name} has {len(shape)} axes ({axes}, {shape}); a micrograph has 2 (y, x) or 3 (frame, y, x)."
        )
    data = _data(path, series, index, lazy).reshape([shape[place] for place in kept])
    facts: dict[str, Any] = {}
    size: float | None
    if pixel_size is not None:
        size, origin = pixel_size, "given"
    elif described is not None:
        size, origin = _described_size(described, name), str(described.get("pixel_size_from") or "file")
    else:
        size, origin, facts = _foreign_size(path, tiff, series, name)
    provenance = _provenance(path, described, origin, facts, text_tags(tiff))
    if "C" not in leading:
        return [Micrograph(data, size, name, provenance)]
    # channels are detectors that saw the scan at the same time
    channels = np.moveaxis(data, leading.index("C"), 0)
    return [
        Micrograph(channel, size, f"{name} C{number}", {**provenance, "title": f"C{number}"})
        for number, channel in enumerate(channels)
    ]


def _data(path: Path, series: Any, index: int, lazy: bool) -> NDArray[Any]:
    """Values of a series: in memory, mapped, or page by page."""
    missing = [page for page in series.pages if page is None]
    if missing:
        raise FormatError(f"{path.name} lacks {len(missing)} of its {len(series.pages)} pages: it is truncated.")
    end = max(
        (
            offset + count
            for page in series.pages
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
        ),
        default=0,
    )
    if end > path.stat().st_size:
        raise FormatError(f"{path.name} is truncated: its image data end beyond the end of the file.")
    if not lazy:
        return np.asarray(series.asarray())
    if series.dataoffset is not None:
        order = series.pages[0].parent.byteorder
        return np.memmap(path, series.dtype.newbyteorder(order), "r", series.dataoffset, tuple(series.shape))
    if len(series.pages) < 2:
        return np.asarray(series.asarray())
    import dask.array
    from dask import delayed

    page_shape = tuple(series.pages[0].shape)
    pages = [
        dask.array.from_delayed(delayed(_page)(path, index, number), page_shape, series.dtype)
        for number in range(len(series.pages))
    ]
    return dask.array.stack(pages)  # type: ignore[no-any-return]


def _page(path: Path, series: int, page: int) -> NDArray[Any]:
    import tifffile

    return np.asarray(tifffile.imread(path, series=series, key=page))


def _our_description(tiff: Any) -> dict[str, Any] | None:
    """The JSON description of files that state ``pixel_size_angstrom``, None for files of others."""
    text = str(tiff.pages[0].description or "").strip()
    if not text.startswith("{"):
        return None
    try:
        described = json.loads(text)
    except json.JSONDecodeError:
        return None
    return described if isinstance(described, dict) and "pixel_size_angstrom" in described else None


def _described_size(described: dict[str, Any], name: str) -> float | None:
    size = described["pixel_size_angstrom"]
    return None if size is None or size == 0 else check_pixel_size(size, name)


def _provenance(
    path: Path, described: dict[str, Any] | None, origin: str, facts: dict[str, Any], tags: dict[str, str]
) -> dict[str, Any]:
    provenance: dict[str, Any] = {}
    if described is not None:
        kept = described.get("provenance")
        provenance.update(kept if isinstance(kept, dict) else {})
        # descriptions by other programs tell source and remarks beside the pixel size
        provenance.update({key: value for key, value in described.items() if key not in _TABLE_KEYS})
    provenance.setdefault("source_file", path.name)
    provenance.update({"file": path.name, "format": "tif", "pixel_size_from": origin})
    if facts:
        provenance["acquisition"] = facts
    # other programs drop the description, but keep or copy the words
    if any(says_synthetic(words) for words in tags.values()):
        provenance["synthetic"] = True
    if is_synthetic(provenance):
        provenance.setdefault("statement", SYNTHETIC_STATEMENT)
    return provenance


def _foreign_size(path: Path, tiff: Any, series: Any, name: str) -> tuple[float | None, str, dict[str, Any]]:
    """Pixel size in angstrom, where it is from, and facts of the exposure, for a file that others wrote."""
    if tiff.is_ome:
        sizes = _ome_sizes(tiff.ome_metadata or "")
        if sizes is not None:
            return square_pixel_size(sizes, name), "OME metadata", {}
    if tiff.is_imagej:
        unit = (tiff.imagej_metadata or {}).get("unit")
        sizes = _tag_sizes(series.pages[0], to_angstrom(1.0, unit)) if kind_of_unit(unit) == "length" else None
        if sizes is None:
            return None, "not in the file", {}
        return square_pixel_size(sizes, name), "ImageJ metadata", {}
    sizes, facts = _instrument_sizes(path)
    if sizes is not None:
        return square_pixel_size(sizes, name), "instrument tags", facts
    sizes = _resolution_sizes(series.pages[0])
    if sizes is not None:
        return square_pixel_size(sizes, name), "resolution tags", facts
    return None, "not in the file", facts


def _ome_sizes(xml: str) -> list[float] | None:
    """Pixel sizes (y, x) in angstrom of the first image in OME metadata."""
    with contextlib.suppress(ElementTree.ParseError):
        for element in ElementTree.fromstring(xml).iter():
            if element.tag.rpartition("}")[2] == "Pixels":
                sizes = []
                for axis in "YX":
                    value = element.get(f"PhysicalSize{axis}")
                    unit = element.get(f"PhysicalSize{axis}Unit", "µm")
                    if value is None or kind_of_unit(unit) != "length" or not float(value) > 0:
                        return None
                    sizes.append(to_angstrom(float(value), unit))
                return sizes
    return None


def _instrument_sizes(path: Path) -> tuple[list[float] | None, dict[str, Any]]:
    """Pixel sizes (y, x) in angstrom that rosettasciio finds in the tags of microscope programs."""
    import rsciio.tiff

    try:
        signal = rsciio.tiff.file_reader(str(path), lazy=True)[0]
    except Exception:
        # its parsers of instrument tags are strict; the image itself is read without them
        return None, {}
    sizes = []
    for axis in signal["axes"][-2:]:
        scale, unit = abs(float(axis.get("scale") or 0)), axis.get("units")
        if kind_of_unit(unit) in ("reciprocal", "angle"):
            raise FormatError(f"{path.name} is a diffraction pattern (axes in {unit}), not an image of the specimen.")
        if kind_of_unit(unit) != "length" or not scale > 0:
            return None, acquisition(signal)
        sizes.append(to_angstrom(scale, unit))
    return sizes, acquisition(signal)


def _resolution_sizes(page: Any) -> list[float] | None:
    """Pixel sizes (y, x) in angstrom from the resolution tags; a printer's 72 dots an inch are no pixel size."""
    unit = page.tags.get("ResolutionUnit")
    per_unit = {_CENTIMETRE_TAG: 1e8, _INCH_TAG: 2.54e8}.get(int(unit.value) if unit is not None else _INCH_TAG)
    sizes = None if per_unit is None else _tag_sizes(page, per_unit)
    return sizes if sizes is not None and max(sizes) <= 1e3 else None


def _tag_sizes(page: Any, angstrom_per_unit: float) -> list[float] | None:
    """Pixel sizes (y, x) in angstrom from the pixels per unit that the resolution tags give as a fraction."""
    sizes = []
    for tag in ("YResolution", "XResolution"):
        value = page.tags.get(tag)
        if value is None or 0 in value.value:
            return None
        sizes.append(angstrom_per_unit * value.value[1] / value.value[0])
    return sizes
