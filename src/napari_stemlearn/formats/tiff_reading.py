"""Reading TIFF: images, stacks and channels, and the description that we write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.errors import FormatError, MicrographError, StemlearnError
from napari_stemlearn.file_errors import reason
from napari_stemlearn.formats.tiff_completeness import check_complete
from napari_stemlearn.formats.tiff_palettes import grey_table, has_colour_table
from napari_stemlearn.formats.tiff_sizes import foreign_size
from napari_stemlearn.formats.tiff_tags import text_tags
from napari_stemlearn.marking.statement import SYNTHETIC_STATEMENT, is_synthetic, says_synthetic
from napari_stemlearn.micrograph import Micrograph, check_pixel_size

FRAME_AXES = "TZIQRPHLEMS"
"""Axis letters of tifffile that can count frames; S only where `is_colour` says no."""

_TABLE_KEYS = {"shape", "axes", "unit", "pixel_size_angstrom", "provenance", "written_by", "name", "truncated"}


def read_tiff(path: Path, *, pixel_size: float | None, lazy: bool) -> list[Micrograph]:
    """Read every image and stack of a TIFF file; see `read_micrographs`."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            numbers = [
                number for number, entry in enumerate(tiff.series) if len(entry.shape) >= 2 and entry.dtype is not None
            ]
            if not numbers:
                raise FormatError(f"{path.name} holds no image.")
            found: list[Micrograph] = []
            refusals: list[StemlearnError] = []
            for number in numbers:
                name = path.stem if len(numbers) == 1 else f"{path.stem} {number}"
                try:
                    found += _from_series(path, tiff, number, name, pixel_size, lazy)
                except StemlearnError as error:
                    refusals.append(error)
    except StemlearnError:
        raise
    except PermissionError as error:
        raise FormatError(f"{path.name} cannot be read: {reason(error)}.") from error
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
            return not is_colour(first) and len(first.shape) >= 2
    except Exception:
        # unreadable files are ours to complain about in plain words
        return True


def is_colour(series: Any) -> bool:
    """Whether a series is a colour image: its samples are the last axis, or its values are numbers in a colour table.

    A leading axis of 3 or 4 samples is taken for frames, because tifffile, and with it napari, writes stacks of 3 or 4
    frames in this way. The exceptions are OME files, which tell samples from frames, and 8-bit files by other programs
    than tifffile, since these may be pictures that were saved colour by colour.
    """
    axes = str(series.axes)
    if has_colour_table(series.keyframe):
        return True
    by_colour = series.kind == "ome" or (series.dtype == np.uint8 and series.kind != "shaped")
    return axes.endswith("S") or ("S" in axes and by_colour)


def _from_series(
    path: Path,
    tiff: Any,
    number: int,
    name: str,
    pixel_size: float | None,
    lazy: bool,
) -> list[Micrograph]:
    series = tiff.series[number]
    axes, shape = str(series.axes), tuple(int(length) for length in series.shape)
    if is_colour(series):
        raise MicrographError(
            f"{path.name} is a colour image ({_kind_of_colour(series)}); a micrograph is grey, so convert it first."
        )
    if axes[-2:] != "YX":
        raise MicrographError(
            f"{path.name} has axes {axes} with shape {shape}; a micrograph has the rows and columns (YX) last."
        )
    check_complete(path, tiff, series)
    described = _our_description(series.pages[0].aspage())
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
    data = _data(path.absolute(), series, number, lazy)
    greys = grey_table(series.keyframe)
    if greys is not None:
        data = _looked_up(data, greys)
    data = data.reshape([shape[place] for place in kept])
    facts: dict[str, Any] = {}
    size: float | None
    if pixel_size is not None:
        size, origin = pixel_size, "given"
    elif described is not None:
        size, origin = _described_size(described, name), str(described.get("pixel_size_from") or "file")
    else:
        size, origin, facts = foreign_size(path, tiff, number, name)
    # a file tells where it is from once, each image tells its own pixel size
    of_file = _our_description(tiff.pages[0]) if described is None else described
    provenance = _provenance(path, of_file, origin, facts, text_tags(tiff))
    if "C" not in leading:
        return [Micrograph(data, size, name, provenance)]
    # channels are detectors that saw the scan at the same time
    channels = np.moveaxis(data, leading.index("C"), 0)
    return [
        Micrograph(channel, size, f"{name} C{number}", {**provenance, "title": f"C{number}"})
        for number, channel in enumerate(channels)
    ]


def _kind_of_colour(series: Any) -> str:
    axes = str(series.axes)
    return f"axes {axes}" if "S" in axes else "its values are numbers in a colour table"


def _looked_up(data: Any, greys: NDArray[Any]) -> NDArray[Any]:
    """Grey levels in place of their numbers in a table; lazy data stay lazy."""
    if isinstance(data, np.ndarray) and not isinstance(data, np.memmap):
        return greys[data]
    import dask.array

    return dask.array.asarray(data).map_blocks(lambda block: greys[block], dtype=greys.dtype)  # type: ignore[no-any-return]


def _data(path: Path, series: Any, series_number: int, lazy: bool) -> NDArray[Any]:
    """Values of a series: in memory, mapped, or page by page."""
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
        dask.array.from_delayed(delayed(_page)(path, series_number, number), page_shape, series.dtype)
        for number in range(len(series.pages))
    ]
    return dask.array.stack(pages)  # type: ignore[no-any-return]


def _page(path: Path, series: int, page: int) -> NDArray[Any]:
    import tifffile

    try:
        return np.asarray(tifffile.imread(path, series=series, key=page))
    except Exception as error:
        raise FormatError(
            f"Frame {page} of {path.name} cannot be read: the file was changed or is damaged ({reason(error)})."
        ) from error


def _our_description(page: Any) -> dict[str, Any] | None:
    """The JSON description of a page that states ``pixel_size_angstrom``, None for those of others."""
    text = str(page.description or "").strip()
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
