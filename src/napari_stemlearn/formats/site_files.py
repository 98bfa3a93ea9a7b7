"""Site tables as CSV with a JSON sidecar: positions for any spreadsheet, units and origin for us."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_stemlearn.errors import FormatError, SitesError
from napari_stemlearn.file_errors import reason
from napari_stemlearn.formats.atomic import replacing, taken_back
from napari_stemlearn.formats.csv_text import read_names, read_table, with_decimal_points
from napari_stemlearn.formats.plain_values import plain
from napari_stemlearn.micrograph import Micrograph, check_pixel_size
from napari_stemlearn.settings import explain
from napari_stemlearn.sites import COLUMNS, complete_sites, contradicts, implied_pixel_size

SIDECAR_VERSION = 1

FOREIGN_NAMES: dict[str, str] = {
    "row": "y",
    "col": "x",
    "column": "x",
    "label": "class",
    "species": "class",
    "element": "class",
    "t": "frame",
}
"""Column names of other programs, in lower case, and ours."""

_IMAGEJ_NAMES = {"Area", "Mean", "StdDev", "IntDen", "RawIntDen", "XM", "YM", "BX", "BY", "Perim.", "Slice"}
"""Columns that ImageJ measures beside X and Y."""

_LOST_LETTERS = "[\0\r\ud800-\udfff]"
"""Returns become new lines, a zero is no text, and half a letter cannot be written."""

EXTRA_UNITS = {
    "position_error_angstrom": "angstrom",
    "sigma_angstrom": "angstrom",
    "amplitude": "grey levels of the image",
    "contrast": "standard deviations of the frame",
}
"""Units of columns that only some searches write."""

_NUMBER_COLUMNS = ("frame", "y", "x", "y_angstrom", "x_angstrom", "score")


class ImageRecord(BaseModel):
    """The micrograph that a site table belongs to."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    shape: tuple[int, ...]
    sha256: str = Field(description="hash of shape, type and values; see hash_micrograph")


class SitesSidecar(BaseModel):
    """What a CSV file cannot say; it lies beside it as ``NAME.sites.json``."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())

    version: int = SIDECAR_VERSION
    units: dict[str, str] = Field(
        default={
            "y": "pixel",
            "x": "pixel",
            "y_angstrom": "angstrom",
            "x_angstrom": "angstrom",
            "origin": "the centre of the first pixel is (0, 0)",
        }
    )
    pixel_size_angstrom: float | None = None
    classes: list[str] = Field(default=[], description="classes in their order, those without a site included")
    extra: dict[str, Literal["integer", "number", "boolean", "text"]] = Field(default={})
    image: ImageRecord | None = None
    table_sha256: str = Field(default="", description="hash of the CSV file as it was written; older ones have none")
    replaceable: bool = Field(default=False, description="whether a search may replace the table while it is unchanged")
    provenance: dict[str, Any] = Field(default={})
    written_by: str = ""
    created: str = ""


def sidecar_path(path: str | Path) -> Path:
    """Where the sidecar of a CSV file lies."""
    path = Path(path)
    return path.with_name(f"{path.stem}.sites.json")


def hash_micrograph(micrograph: Micrograph) -> str:
    """SHA-256 of shape, type and values, frame by frame; the same whatever file the micrograph is in."""
    digest = hashlib.sha256()
    dtype = np.dtype(micrograph.data.dtype).newbyteorder("<")
    digest.update(f"{tuple(int(length) for length in micrograph.data.shape)} {dtype.str}".encode())
    for index in range(micrograph.n_frames):
        digest.update(np.ascontiguousarray(micrograph.frame(index), dtype=dtype).tobytes())
    return digest.hexdigest()


def belongs_to(sidecar: SitesSidecar, micrograph: Micrograph) -> bool | None:
    """Whether sites were written for exactly these values; None where the sidecar names no image."""
    return None if sidecar.image is None else sidecar.image.sha256 == hash_micrograph(micrograph)


def write_sites(
    path: str | Path,
    sites: pd.DataFrame,
    *,
    pixel_size: float | None = None,
    micrograph: Micrograph | None = None,
    classes: list[str] | None = None,
    provenance: dict[str, Any] | None = None,
    replaceable: bool = False,
) -> Path:
    """Write a site table as CSV and its sidecar ``NAME.sites.json``, both whole or neither.

    Parameters
    ----------
    path
        Ends in ``.csv``.
    sites
        With the columns `napari_stemlearn.sites.COLUMNS`; further ones follow. Numbers are written with all digits.
    pixel_size
        Side of a pixel in angstrom; by default the micrograph's, else what the angstrom columns say.
    micrograph
        Its name, shape and hash go into the sidecar.
    classes
        All classes in their order, where some have no site; by default those of the table.
    provenance
        Settings, model, versions: anything JSON can hold.
    replaceable
        Whether a search may replace the table for as long as nobody changes it, as it may its own (`is_untouched`).

    Returns
    -------
    pathlib.Path
        Where the CSV file is.

    Raises
    ------
    SitesError
        If the table lacks columns, holds positions that are none, or words that a CSV file cannot keep.
    FormatError
        If the file cannot be written; nothing is left behind and an older file stays.
    """
    from napari_stemlearn import __version__

    path = Path(path).expanduser()
    if path.suffix.lower() != ".csv":
        raise FormatError(f"{path.name} must end in .csv.")
    if pixel_size is None and micrograph is not None:
        pixel_size = micrograph.pixel_size
    if pixel_size is not None:
        pixel_size = check_pixel_size(pixel_size, path.stem)
    if "class" in sites:
        _refuse_empty(sites["class"], "class", "the table")
    _refuse_lost_letters(sites)
    table = complete_sites(sites, pixel_size=pixel_size, origin="hand", name="the table")
    pixel_size = implied_pixel_size(table) if pixel_size is None else pixel_size
    extra = [str(column) for column in table.columns if column not in COLUMNS]
    table.columns = [str(column) for column in table.columns]
    known = list(dict.fromkeys(table["class"].astype(str)))
    # blanks at the beginning of a field are kept in quotes only
    blank = any(_words(table[column]).str.startswith(" ").any() for column in ("class", *extra))
    quoting = csv.QUOTE_NONNUMERIC if blank else csv.QUOTE_MINIMAL
    content = table[[*COLUMNS, *extra]].to_csv(index=False, lineterminator="\n", quoting=quoting).encode()
    sidecar = SitesSidecar(
        units={**SitesSidecar().units, **{name: unit for name, unit in EXTRA_UNITS.items() if name in extra}},
        pixel_size_angstrom=pixel_size,
        classes=list(dict.fromkeys([*(classes or []), *known])),
        extra={column: _kind_of_column(table[column]) for column in extra},
        image=None if micrograph is None else _image_record(micrograph),
        table_sha256=hashlib.sha256(content).hexdigest(),
        replaceable=replaceable,
        provenance=plain(provenance or {}),
        written_by=f"napari-stemlearn {__version__}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    # the table is in place before its sidecar, and is taken back where the sidecar cannot follow
    with taken_back(path), replacing(sidecar_path(path)) as beside, replacing(path) as temporary:
        temporary.write_bytes(content)
        beside.write_text(sidecar.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return path


def read_sidecar(path: str | Path) -> SitesSidecar | None:
    """Read the sidecar of a CSV file; None where there is none.

    Raises
    ------
    SitesError
        If it is damaged or from a newer version.
    """
    beside = sidecar_path(path)
    # os.path says no to names that are too long, pathlib complains
    if not os.path.isfile(beside):
        return None
    try:
        values = json.loads(beside.read_text(encoding="utf-8"))
        sidecar = SitesSidecar.model_validate(values)
    except (OSError, ValueError) as error:
        cause = explain(error) if isinstance(error, ValidationError) else reason(error)
        raise SitesError(
            f"{beside.name} beside {Path(path).name} is damaged ({cause.rstrip('.')}); mend or delete it."
        ) from error
    if sidecar.version > SIDECAR_VERSION:
        raise SitesError(f"{beside.name} is of version {sidecar.version}; this program reads up to {SIDECAR_VERSION}.")
    return sidecar


def is_untouched(path: str | Path) -> bool:
    """Whether a table may be replaced by a search: it was written as such, and is as it was written.

    Raises
    ------
    OSError
        If the table cannot be read.
    """
    path = Path(path)
    try:
        sidecar = read_sidecar(path)
    except SitesError:
        return False
    return sidecar is not None and sidecar.replaceable and sidecar.table_sha256 == _hash_of_file(path)


def read_sites(
    path: str | Path, *, pixel_size: float | None = None, origin: str = "hand", imagej_pixels: bool = False
) -> pd.DataFrame:
    """Read a site table, ours or anyone's.

    Needed are the columns ``y`` and ``x`` in pixels (first pixel centre 0, 0), or ``y_angstrom`` and ``x_angstrom``
    with a pixel size. Understood as well: capitals, ``row``/``column``, ``label``/``species``/``element`` for the
    class, a column ``Slice`` that counts from 1, napari's ``axis-0 …``, an index column without a name; comma,
    semicolon or tab between columns; decimal commas where columns are not separated by commas. Text is UTF-8, UTF-16
    with its mark, or that of western Windows programs.

    Refused are results tables of ImageJ with ``X`` and ``Y``: these have the unit of the image and count from the
    corner of the first pixel.

    Parameters
    ----------
    path
        CSV file.
    pixel_size
        Side of a pixel in angstrom; by default the sidecar's, else what the angstrom columns say, else unknown. Where
        the table was changed since its sidecar was written, and most of its rows say another pixel size, they go
        before the sidecar.
    origin
        For rows that have none: ``truth``, ``hand``, ``predicted`` or ``edited``.
    imagej_pixels
        Whether it is known that ``X`` and ``Y`` of a results table of ImageJ are pixels that count from the centre of
        the first one; it is read then.

    Returns
    -------
    pandas.DataFrame
        Site table with the columns `napari_stemlearn.sites.COLUMNS`, then further ones of the file.

    Raises
    ------
    FormatError
        If the file is missing, empty or no text.
    SitesError
        If columns are missing or hold wrong values, or its positions say several pixel sizes; names column and row.
    """
    return read_with_sidecar(path, pixel_size=pixel_size, origin=origin, imagej_pixels=imagej_pixels)[0]


def read_with_sidecar(
    path: str | Path, *, pixel_size: float | None = None, origin: str = "hand", imagej_pixels: bool = False
) -> tuple[pd.DataFrame, SitesSidecar | None]:
    """A site table and its sidecar, None where there is none; parameters and errors as of `read_sites`.

    The sidecar has the pixel size of the table, also where the table was changed and says another one.
    """
    path = Path(path).expanduser()
    table, separator = read_table(path)
    if not imagej_pixels:
        _refuse_imagej_centroids(table, path.name)
    sidecar = read_sidecar(path)
    if pixel_size is not None:
        pixel_size = check_pixel_size(pixel_size, path.stem)
    table = _our_names(table, sidecar.extra if sidecar is not None else ())
    further = sidecar.extra.items() if sidecar is not None else ()
    texts_in = ["class", "origin", *(name for name, kind in further if kind == "text")]
    numeric = [name for name in _NUMBER_COLUMNS if name in table]
    table = with_decimal_points(table, numeric, separator, path.name, texts_in)
    for column in table.columns:
        if column in _NUMBER_COLUMNS:
            table[column] = _numbers(table[column])
        elif column not in COLUMNS:
            kind = sidecar.extra.get(column) if sidecar is not None else None
            table[column] = _typed(table[column], kind)
    positions = ("y", "x") if {"y", "x"} <= set(table.columns) else ("y_angstrom", "x_angstrom")
    for column in (*positions, "class"):
        if column in table:
            _refuse_empty(table[column], column, path.name)
    if sidecar is not None and pixel_size is None:
        if _is_of_another(sidecar, path, table):
            sidecar = sidecar.model_copy(update={"pixel_size_angstrom": implied_pixel_size(table, path.name)})
        pixel_size = sidecar.pixel_size_angstrom
    return complete_sites(table, pixel_size=pixel_size, origin=origin, name=path.name), sidecar


def _is_of_another(sidecar: SitesSidecar, path: Path, table: pd.DataFrame) -> bool:
    """Whether a table was changed since its sidecar was written, and says another pixel size now."""
    if sidecar.pixel_size_angstrom is None or not sidecar.table_sha256 or sidecar.table_sha256 == _hash_of_file(path):
        return False
    positions = [column for column in ("y", "x", "y_angstrom", "x_angstrom") if column in table]
    # what is no number is complained about later
    numeric = {"y", "x"} <= set(positions) and all(table[column].dtype == float for column in positions)
    return numeric and contradicts(table, sidecar.pixel_size_angstrom)


def _hash_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_site_table(path: str | Path) -> bool:
    """Whether the head of a CSV file has the columns of a site table."""
    try:
        names = read_names(Path(path))
    except (OSError, FormatError, csv.Error):
        return False
    columns = set(_our_names(pd.DataFrame(columns=names)).columns)
    # napari writes shapes in the same way as points
    return "shape-type" not in columns and ({"y", "x"} <= columns or {"y_angstrom", "x_angstrom"} <= columns)


def _our_names(table: pd.DataFrame, kept: Collection[str] = ()) -> pd.DataFrame:
    """Rename the columns of other programs; a column that already has our name goes before one that is renamed.

    Row numbers are dropped, except in columns that are to be `kept`.
    """
    have = {str(column) for column in table.columns}
    axes = sorted(column for column in have if column.lower().startswith("axis-"))
    by_axis = dict(zip(axes, ("frame", "y", "x")[-len(axes) :], strict=False)) if 2 <= len(axes) <= 3 else {}
    renames: dict[str, str] = {}
    for column in map(str, table.columns):
        lower = column.strip().lower()
        ours = by_axis.get(column) or FOREIGN_NAMES.get(lower) or lower
        if ours != column and ours in COLUMNS and ours not in have and ours not in renames.values():
            renames[column] = ours
    table = table.rename(columns=renames)
    slices = next((column for column in table.columns if str(column).strip().lower() == "slice"), None)
    if slices is not None and "frame" not in table:
        numbers = _numbers(table[slices])
        table["frame"] = numbers - 1 if numbers.dtype == float else numbers
        table = table.drop(columns=slices)
    # the row number that spreadsheets, ImageJ and napari put first
    nameless = [
        column
        for column in table.columns
        if column not in kept and (str(column).strip() in ("", "index") or str(column).startswith("Unnamed:"))
    ]
    return table.drop(columns=nameless)


def _refuse_empty(column: pd.Series, column_name: str, name: str) -> None:
    empty = np.flatnonzero(column.isna() | (column.astype(str).str.strip() == ""))
    if len(empty):
        raise SitesError(f"{name}: row {int(empty[0]) + 1} has no {column_name}.")


def _refuse_lost_letters(sites: pd.DataFrame) -> None:
    """Refuse words with letters that would not come back from a CSV file."""
    for column in sites.columns:
        bad = np.flatnonzero(_words(sites[column]).str.contains(_LOST_LETTERS))
        if len(bad):
            raise SitesError(
                f"the table: row {int(bad[0]) + 1} has {column} = {str(sites[column].iloc[bad[0]])!r}, "
                "which holds a letter that a CSV file cannot keep, such as a carriage return; remove it."
            )


def _words(column: pd.Series) -> pd.Series:
    """The texts of a column; empty where it has something else."""
    return pd.Series([entry if isinstance(entry, str) else "" for entry in column], column.index, dtype=object)


def _refuse_imagej_centroids(table: pd.DataFrame, name: str) -> None:
    """Refuse results of ImageJ: its X and Y have the unit of the image and count from the corner."""
    names = [str(column).strip() for column in table.columns]
    numbered = not names[0]
    if {"X", "Y"} <= set(names) and not {"x", "y"} & set(names) and (numbered or _IMAGEJ_NAMES & set(names)):
        raise SitesError(
            f"{name} looks like a results table of ImageJ, where X and Y have the unit of the image and count from the "
            "corner of the first pixel; give y and x in pixels counted from the centre of the first pixel "
            "(X / pixel width - 0.5), or y_angstrom and x_angstrom counted from there."
        )


def _numbers(column: pd.Series) -> pd.Series:
    """Numbers with all their digits where every entry is one; the text as it is otherwise, to be complained about."""
    try:
        return pd.Series([float(value) if str(value).strip() else np.nan for value in column], column.index, float)
    except ValueError:
        return column


def _typed(column: pd.Series, kind: str | None) -> pd.Series:
    """A further column with the type it was written with, or the narrowest that fits."""
    texts = [str(value).strip() for value in column]
    if kind == "text":
        return column.astype(object)
    if kind in (None, "boolean") and texts and set(texts) <= {"True", "False"}:
        return pd.Series([text == "True" for text in texts], column.index, bool)
    if kind in (None, "integer"):
        for dtype in (np.int64, np.uint64):
            with contextlib.suppress(ValueError, OverflowError):
                return pd.Series([int(text) for text in texts], column.index, dtype)
        if texts and all(text.removeprefix("-").isdecimal() for text in texts):
            # as numbers they would lose digits
            return column.astype(object)
    numbers = _numbers(column)
    return numbers if numbers.dtype == float and (kind == "number" or texts) else column.astype(object)


def _kind_of_column(column: pd.Series) -> Literal["integer", "number", "boolean", "text"]:
    if pd.api.types.is_bool_dtype(column):
        return "boolean"
    if pd.api.types.is_integer_dtype(column):
        return "integer"
    return "number" if pd.api.types.is_float_dtype(column) else "text"


def _image_record(micrograph: Micrograph) -> ImageRecord:
    shape = tuple(int(length) for length in micrograph.data.shape)
    return ImageRecord(name=micrograph.name, shape=shape, sha256=hash_micrograph(micrograph))
