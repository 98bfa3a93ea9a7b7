"""Site tables as CSV with a JSON sidecar: positions for any spreadsheet, units and origin for us."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_stemlearn.errors import FormatError, SitesError
from napari_stemlearn.formats.atomic import reason, replacing
from napari_stemlearn.formats.plain_values import plain
from napari_stemlearn.micrograph import Micrograph, check_pixel_size
from napari_stemlearn.settings import explain
from napari_stemlearn.sites import COLUMNS, complete_sites

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
) -> Path:
    """Write a site table as CSV and its sidecar ``NAME.sites.json``, each whole or not at all.

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

    Returns
    -------
    pathlib.Path
        Where the CSV file is.

    Raises
    ------
    SitesError
        If the table lacks columns or holds positions that are none.
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
    table = complete_sites(sites, pixel_size=pixel_size, origin="hand", name="the table")
    pixel_size = _implied_pixel_size(table) if pixel_size is None else pixel_size
    extra = [str(column) for column in table.columns if column not in COLUMNS]
    table.columns = [str(column) for column in table.columns]
    known = list(dict.fromkeys(table["class"].astype(str)))
    sidecar = SitesSidecar(
        pixel_size_angstrom=pixel_size,
        classes=list(dict.fromkeys([*(classes or []), *known])),
        extra={column: _kind_of_column(table[column]) for column in extra},
        image=None if micrograph is None else _image_record(micrograph),
        provenance=plain(provenance or {}),
        written_by=f"napari-stemlearn {__version__}",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    text = table[[*COLUMNS, *extra]].to_csv(index=False, lineterminator="\n")
    with replacing(sidecar_path(path)) as beside, replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
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
    if not beside.is_file():
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


def read_sites(path: str | Path, *, pixel_size: float | None = None, origin: str = "hand") -> pd.DataFrame:
    """Read a site table, ours or anyone's.

    Needed are the columns ``y`` and ``x`` in pixels (first pixel centre 0, 0), or ``y_angstrom`` and ``x_angstrom``
    with a pixel size. Understood as well: capitals, ``row``/``column``, ``label``/``species``/``element`` for the
    class, ImageJ's ``Slice`` (which counts from 1), napari's ``axis-0 …``, an index column without a name; comma,
    semicolon or tab between columns.

    Parameters
    ----------
    path
        CSV file.
    pixel_size
        Side of a pixel in angstrom; by default the sidecar's, else what the angstrom columns say, else unknown.
    origin
        For rows that have none: ``truth``, ``hand``, ``predicted`` or ``edited``.

    Returns
    -------
    pandas.DataFrame
        Site table with the columns `napari_stemlearn.sites.COLUMNS`, then further ones of the file.

    Raises
    ------
    FormatError
        If the file is missing, empty or no text.
    SitesError
        If columns are missing or hold wrong values; names the column and the row.
    """
    path = Path(path).expanduser()
    table = _read_text(path)
    sidecar = read_sidecar(path)
    if pixel_size is not None:
        pixel_size = check_pixel_size(pixel_size, path.stem)
    elif sidecar is not None:
        pixel_size = sidecar.pixel_size_angstrom
    table = _our_names(table)
    for column in table.columns:
        if column in _NUMBER_COLUMNS:
            table[column] = _numbers(table[column])
        elif column not in COLUMNS:
            kind = sidecar.extra.get(column) if sidecar is not None else None
            table[column] = _typed(table[column], kind)
    for column in ("y", "x", "class"):
        if column in table:
            empty = np.flatnonzero(table[column].isna() | (table[column].astype(str).str.strip() == ""))
            if len(empty):
                raise SitesError(f"{path.name}: row {int(empty[0]) + 1} has no {column}.")
    return complete_sites(table, pixel_size=pixel_size, origin=origin, name=path.name)


def is_site_table(path: str | Path) -> bool:
    """Whether the head of a CSV file has the columns of a site table."""
    try:
        with open(path, encoding="utf-8-sig") as stream:
            head = stream.readline()
    except (OSError, UnicodeDecodeError):
        return False
    names = next(csv.reader([head.strip()], delimiter=_separator(head)), [])
    columns = set(_our_names(pd.DataFrame(columns=names)).columns)
    # napari writes shapes in the same way as points
    return "shape-type" not in columns and ({"y", "x"} <= columns or {"y_angstrom", "x_angstrom"} <= columns)


def _read_text(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise FormatError(f"The file {path} does not exist.")
    if path.is_dir():
        raise FormatError(f"{path.name} is a folder, not a file.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path.name} cannot be read as a table: it is no text, as a CSV file is.") from error
    except OSError as error:
        raise FormatError(f"{path.name} cannot be read as a table: {reason(error)}.") from error
    if not text.strip():
        raise FormatError(f"{path.name} is empty.")
    separator = _separator(text.lstrip().splitlines()[0])
    try:
        # a class may be called NA or None: no text means a missing value
        return pd.read_csv(
            io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, skipinitialspace=True, index_col=False
        )
    except (ValueError, pd.errors.ParserError) as error:
        raise SitesError(f"{path.name} cannot be read as a table: {reason(error)}.") from error


def _separator(head: str) -> str:
    return max(",;\t", key=head.count)


def _our_names(table: pd.DataFrame) -> pd.DataFrame:
    """Rename the columns of other programs; a column that already has our name goes before one that is renamed."""
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
        table["frame"] = pd.to_numeric(table[slices], errors="coerce") - 1
        table = table.drop(columns=slices)
    # the row number that spreadsheets, ImageJ and napari put first
    nameless = [
        column for column in table.columns if str(column).strip() in ("", "index") or str(column).startswith("Unnamed:")
    ]
    return table.drop(columns=nameless)


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
        try:
            return pd.Series([int(text) for text in texts], column.index, np.int64)
        except ValueError:
            pass
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


def _implied_pixel_size(table: pd.DataFrame) -> float | None:
    """Pixel size that the angstrom columns of a table say, or None."""
    far = table[(table["y"].abs() > 1) & np.isfinite(table["y_angstrom"])]
    return float(np.median(far["y_angstrom"] / far["y"])) if len(far) else None
