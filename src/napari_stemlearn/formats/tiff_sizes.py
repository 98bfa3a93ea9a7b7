"""Pixel sizes in TIFF files of others: OME, ImageJ, Digital Micrograph and instrument tags, resolution tags."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from napari_stemlearn.errors import FormatError
from napari_stemlearn.formats.acquisition import acquisition
from napari_stemlearn.formats.lengths import kind_of_unit, square_pixel_size, to_angstrom

_CENTIMETRE_TAG, _INCH_TAG = 3, 2
_GATAN_SCALE_TAGS = (65009, 65010)
_LARGEST_PRINTED = 1e3
"""Pixels above this, in angstrom, are those of printers and screens where the unit is theirs as well."""

_SMALLEST_PRINTED_UNIT = 1e7
"""Millimetres; in angstrom."""

ForeignSize = tuple[float | None, str, dict[str, Any]]
"""Pixel size in angstrom, where it is from, and facts of the exposure."""


def foreign_size(path: Path, tiff: Any, number: int, name: str) -> ForeignSize:
    """Pixel size of a series in a file that others wrote.

    Parameters
    ----------
    path, tiff
        The file, and as tifffile has opened it.
    number
        Of the series, from 0.
    name
        For messages.

    Raises
    ------
    FormatError
        If it is a diffraction pattern, or a stack whose pages have pixels of different size.
    MicrographError
        If the pixels are not square or their size is out of range.
    """
    series = tiff.series[number]
    if tiff.is_ome:
        sizes = _ome_sizes(tiff, number)
        if sizes is not None:
            return square_pixel_size(sizes, name), "OME metadata", {}
    if tiff.is_imagej:
        return _imagej_size(path, tiff, series, name)
    sizes, facts = _instrument_sizes(path, number)
    if sizes is not None:
        _check_pages(path, series, _gatan_scales)
        return square_pixel_size(sizes, name), "instrument tags", facts
    sizes = _resolution_sizes(series.pages[0])
    if sizes is not None:
        _check_pages(path, series, _resolution_sizes)
        return square_pixel_size(sizes, name), "resolution tags", facts
    return None, "not in the file", facts


def _ome_pixels(tiff: Any) -> list[Any]:
    """The elements of OME metadata that describe images; none where the metadata are damaged."""
    try:
        root = ElementTree.fromstring(tiff.ome_metadata or "")
    except ElementTree.ParseError:
        return []
    return [element for element in root.iter() if element.tag.rpartition("}")[2] == "Pixels"]


def _ome_sizes(tiff: Any, number: int) -> list[float] | None:
    """Pixel sizes (y, x) in angstrom of a series; None where the metadata do not tell, or not for which image."""
    described = _ome_pixels(tiff)
    series = tiff.series[number]
    if series.kind == "ome" and len(described) == len(tiff.series):
        described = [described[number]]
    else:
        shape = tuple(str(length) for length in series.shape[-2:])
        described = [entry for entry in described if (entry.get("SizeY"), entry.get("SizeX")) == shape]
    sizes = [_ome_size(entry) for entry in described]
    return sizes[0] if sizes and all(entry == sizes[0] for entry in sizes) else None


def _ome_size(pixels: Any) -> list[float] | None:
    sizes = []
    for axis in "YX":
        value = pixels.get(f"PhysicalSize{axis}")
        unit = pixels.get(f"PhysicalSize{axis}Unit", "µm")
        if value is None or kind_of_unit(unit) != "length" or not float(value) > 0:
            return None
        sizes.append(to_angstrom(float(value), unit))
    return sizes


def _imagej_size(path: Path, tiff: Any, series: Any, name: str) -> ForeignSize:
    unit = (tiff.imagej_metadata or {}).get("unit")
    _refuse_diffraction(path, unit)
    if kind_of_unit(unit) != "length":
        return None, "not in the file", {}
    angstrom = to_angstrom(1.0, unit)
    sizes = _tag_sizes(series.pages[0], angstrom)
    printed = angstrom >= _SMALLEST_PRINTED_UNIT and sizes is not None and max(sizes) > _LARGEST_PRINTED
    if sizes is None or printed:
        return None, "not in the file", {}
    return square_pixel_size(sizes, name), "ImageJ metadata", {}


def _instrument_sizes(path: Path, number: int) -> tuple[list[float] | None, dict[str, Any]]:
    """Pixel sizes (y, x) in angstrom that rosettasciio finds in the tags of microscope programs."""
    import rsciio.tiff

    try:
        signal = rsciio.tiff.file_reader(str(path), lazy=True)[number]
    except Exception:
        # its parsers of instrument tags are strict; the image itself is read without them
        return None, {}
    sizes = []
    for axis in signal["axes"][-2:]:
        scale, unit = abs(float(axis.get("scale") or 0)), axis.get("units")
        _refuse_diffraction(path, unit)
        if kind_of_unit(unit) != "length" or not scale > 0:
            return None, acquisition(signal)
        sizes.append(to_angstrom(scale, unit))
    return sizes, acquisition(signal)


def _refuse_diffraction(path: Path, unit: object) -> None:
    if kind_of_unit(unit) in ("reciprocal", "angle"):
        raise FormatError(f"{path.name} is a diffraction pattern (axes in {unit}), not an image of the specimen.")


def _check_pages(path: Path, series: Any, sizes_of: Callable[[Any], list[float] | None]) -> None:
    """Refuse a stack whose pages state different sizes; a page that states none is like the first."""
    # tifffile keeps the tags of a page only where it does not take the pages to be alike
    stated = [sizes_of(page) for page in series.pages if hasattr(page, "tags")]
    known = [sizes for sizes in stated if sizes is not None]
    for axis in (0, 1):
        values = [sizes[axis] for sizes in known]
        if values and max(values) > 1.005 * min(values):
            raise FormatError(
                f"{path.name} has pages with pixels of different size, which are no frames of one stack; "
                "save them as single files."
            )


def _gatan_scales(page: Any) -> list[float] | None:
    scales = [page.tags.get(code) for code in _GATAN_SCALE_TAGS]
    return None if None in scales else [abs(float(tag.value)) for tag in scales]


def _resolution_sizes(page: Any) -> list[float] | None:
    """Pixel sizes (y, x) in angstrom from the resolution tags; a printer's 72 dots an inch are no pixel size."""
    unit = page.tags.get("ResolutionUnit")
    per_unit = {_CENTIMETRE_TAG: 1e8, _INCH_TAG: 2.54e8}.get(int(unit.value) if unit is not None else _INCH_TAG)
    sizes = None if per_unit is None else _tag_sizes(page, per_unit)
    return sizes if sizes is not None and max(sizes) <= _LARGEST_PRINTED else None


def _tag_sizes(page: Any, angstrom_per_unit: float) -> list[float] | None:
    """Pixel sizes (y, x) in angstrom from the pixels per unit that the resolution tags give as a fraction."""
    sizes = []
    for tag in ("YResolution", "XResolution"):
        value = page.tags.get(tag)
        if value is None or 0 in value.value:
            return None
        sizes.append(angstrom_per_unit * value.value[1] / value.value[0])
    return sizes
