"""The site table: one row an atom column or defect; truth, training label, prediction and hand label alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_stemlearn.errors import SitesError

COLUMNS = ("frame", "y", "x", "y_angstrom", "x_angstrom", "class", "score", "origin")
"""Columns that every site table has, in this order; more may follow."""

ORIGINS = ("truth", "hand", "predicted", "edited")
"""Where a site can come from."""

_ANGSTROM_COLUMNS = ("y_angstrom", "x_angstrom")
_NOTHING = {"", "nan", "na", "n/a", "none", "null", "<na>"}
"""How programs write that there is no number; in lower case."""

_LARGEST_FRAME = 2**53


def make_sites(
    y: ArrayLike,
    x: ArrayLike,
    site_class: str | ArrayLike,
    *,
    pixel_size: float | None,
    frame: int | ArrayLike = 0,
    score: float | ArrayLike = np.nan,
    origin: str = "truth",
    extra: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Build a site table.

    Parameters
    ----------
    y, x
        Positions in pixels; the centre of the first pixel is (0, 0). Shape (n,).
    site_class
        Class of each site, or one for all.
    pixel_size
        Side of a pixel in angstrom; None leaves the angstrom columns NaN.
    frame
        Frame index of each site, or one for all.
    score
        Confidence between 0 and 1, NaN where there is none (truth and hand labels).
    origin
        One of `ORIGINS`.
    extra
        Further columns.

    Returns
    -------
    pandas.DataFrame
        With the columns `COLUMNS` and those of `extra`.

    Raises
    ------
    SitesError
        If `origin` is unknown or the lengths differ.
    """
    if origin not in ORIGINS:
        raise SitesError(f"A site's origin is '{origin}'; allowed: {', '.join(ORIGINS)}.")
    y = np.asarray(y, dtype=float).ravel()
    x = np.asarray(x, dtype=float).ravel()
    if len(y) != len(x):
        raise SitesError(f"There are {len(y)} y and {len(x)} x positions; each site needs both.")
    n = len(y)
    scale = np.nan if pixel_size is None else float(pixel_size)
    try:
        table = pd.DataFrame(
            {
                "frame": np.broadcast_to(np.asarray(frame, dtype=np.int64), n).copy(),
                "y": y,
                "x": x,
                "y_angstrom": y * scale,
                "x_angstrom": x * scale,
                "class": np.broadcast_to(np.asarray(site_class, dtype=object), n).copy(),
                "score": np.broadcast_to(np.asarray(score, dtype=float), n).copy(),
                "origin": np.full(n, origin, dtype=object),
                **{name: np.broadcast_to(np.asarray(values), n).copy() for name, values in (extra or {}).items()},
            }
        )
    except ValueError as error:
        raise SitesError(f"The columns of a site table differ in length: {error}.") from error
    return table


def recalibrated(table: pd.DataFrame, pixel_size: float | None) -> pd.DataFrame:
    """The same sites on the same pixels, with another pixel size in angstrom."""
    scale = np.nan if pixel_size is None else float(pixel_size)
    return table.assign(y_angstrom=table["y"] * scale, x_angstrom=table["x"] * scale)


def empty_sites() -> pd.DataFrame:
    """A site table without rows."""
    return make_sites([], [], "", pixel_size=None)


def concat_sites(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Join site tables; a fresh row index; an empty list gives an empty table."""
    filled = [table for table in tables if len(table)]
    if not filled:
        return tables[0].copy() if tables else empty_sites()
    return pd.concat(filled, ignore_index=True)


def complete_sites(
    table: pd.DataFrame, *, pixel_size: float | None, origin: str, name: str = "the table"
) -> pd.DataFrame:
    """Fill in the columns that a foreign table lacks; at least positions are needed, in pixels or in angstrom.

    Parameters
    ----------
    table
        With ``y, x`` in pixels, or ``y_angstrom, x_angstrom`` and a pixel size; ``class`` defaults to ``atom``.
    pixel_size
        In angstrom; None where it is not known.
    origin
        Given to rows without one.
    name
        For messages.

    Raises
    ------
    SitesError
        Names the missing column or the first bad value, or the row whose angstrom contradict those of others.
    """
    have = set(table.columns)
    in_angstrom = {
        column: _numbers(table[column], column, "position", name) for column in _ANGSTROM_COLUMNS if column in have
    }
    if not {"y", "x"} <= have:
        if set(in_angstrom) != set(_ANGSTROM_COLUMNS) or pixel_size is None:
            missing = [column for column in ("y", "x") if column not in have]
            raise SitesError(
                f"{name} lacks the column{'s' if len(missing) > 1 else ''} {' and '.join(missing)}; "
                f"it has {', '.join(map(str, table.columns)) or 'none'}."
            )
        pixels = {column.removesuffix("_angstrom"): values / pixel_size for column, values in in_angstrom.items()}
    else:
        pixels = {column: _numbers(table[column], column, "position", name) for column in ("y", "x")}
    for column, values in pixels.items():
        if np.isnan(values).any():
            raise SitesError(f"{name}: row {int(np.argmax(np.isnan(values))) + 1} has no {column} position.")
    if pixel_size is None:
        pixel_size = implied_pixel_size(pd.DataFrame({**pixels, **in_angstrom}), name)
    score = _numbers(table["score"], "score", "number", name) if "score" in have else np.nan
    done = make_sites(
        pixels["y"],
        pixels["x"],
        table["class"].astype(str).to_numpy(dtype=object) if "class" in have else "atom",
        pixel_size=pixel_size,
        frame=_frames(table["frame"], name) if "frame" in have else 0,
        score=score,
        origin=origin,
        extra={column: table[column].to_numpy() for column in table.columns if column not in COLUMNS},
    )
    if "origin" in have:
        origins = table["origin"].astype(str).to_numpy(dtype=object)
        unknown = sorted(set(origins) - set(ORIGINS))
        if unknown:
            raise SitesError(f"{name}: origin '{unknown[0]}' is unknown; allowed: {', '.join(ORIGINS)}.")
        done["origin"] = origins
    return done


def implied_pixel_size(table: pd.DataFrame, name: str = "the table") -> float | None:
    """Pixel size in angstrom that the positions in pixels and in angstrom say together; None where they do not.

    Parameters
    ----------
    table
        With ``y, x`` in pixels; ``y_angstrom`` and ``x_angstrom`` where it has them.
    name
        For messages.

    Raises
    ------
    SitesError
        If the positions say different pixel sizes, by more than 1 % and more than rounded numbers do; names a row.
    """
    pixels, angstrom = _both_units(table)
    # close to the origin a rounded position says little, far from it much
    telling = np.isfinite(angstrom) & (np.abs(pixels) > 1)
    if not telling.any():
        telling = np.isfinite(angstrom) & (np.abs(pixels) > 1e-3)
    if not telling.any():
        return None
    implied = _weighted_median(angstrom[telling] / pixels[telling], np.abs(pixels[telling]))
    wrong = telling & ~_agree(pixels, angstrom, implied)
    if wrong.any():
        place = int(np.argmax(wrong))
        row, axis = place % len(table) + 1, ("y", "x")[place // len(table)]
        raise SitesError(
            f"{name}: row {row} has {axis} = {pixels[place]:g} pixels and {axis}_angstrom = {angstrom[place]:g}, but "
            f"{implied:.4g} angstrom a pixel by most others; give the pixel size or correct the columns."
        )
    return implied


def contradicts(table: pd.DataFrame, pixel_size: float) -> bool:
    """Whether most positions in pixels and in angstrom say another pixel size than `pixel_size` (angstrom).

    A few rows that were moved or added without their angstrom do not.
    """
    pixels, angstrom = _both_units(table)
    telling = np.isfinite(angstrom) & (np.abs(pixels) > 1)
    return bool(telling.any() and np.mean(_agree(pixels, angstrom, pixel_size)[telling]) < 0.5)


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(summed, summed[-1] / 2)])


def _both_units(table: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """All y, then all x, in pixels and in angstrom; NaN where a table has no angstrom."""
    missing = np.full(len(table), np.nan)
    pixels = [table[axis].to_numpy(dtype=float) for axis in ("y", "x")]
    angstrom = [
        table[column].to_numpy(dtype=float) if column in table else missing for column in ("y_angstrom", "x_angstrom")
    ]
    return np.concatenate(pixels), np.concatenate(angstrom)


def _agree(pixels: NDArray[np.float64], angstrom: NDArray[np.float64], pixel_size: float) -> NDArray[np.bool_]:
    """Which positions fit a pixel size in angstrom: within 0.5 %, and one pixel that rounding may take."""
    if not pixel_size > 0:
        return np.zeros(len(pixels), dtype=bool)
    return np.abs(angstrom / pixel_size - pixels) <= 0.005 * np.abs(pixels) + 1.0


def _numbers(column: pd.Series, column_name: str, kind: str, name: str) -> NDArray[np.float64]:
    """Numbers of a column, NaN where an entry is empty; what is no number is refused."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = [row for row in np.flatnonzero(~np.isfinite(values)) if not _is_empty(column.iloc[row])]
    if bad:
        entry = column.iloc[bad[0]]
        shown = float(entry) if isinstance(entry, np.floating) else entry
        raise SitesError(f"{name}: row {bad[0] + 1} has {column_name} = {shown!r}, which is no {kind}.")
    return values


def _is_empty(entry: object) -> bool:
    return bool(pd.isna(entry)) or str(entry).strip().lower() in _NOTHING


def _frames(column: pd.Series, name: str) -> NDArray[np.int64]:
    """Frame indices of a column."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    good = np.isfinite(values) & (values >= 0) & (values < _LARGEST_FRAME) & (values == np.floor(values))
    if not good.all():
        row = int(np.argmin(good))
        shown = "nothing" if _is_empty(column.iloc[row]) else str(column.iloc[row]).strip()
        raise SitesError(f"{name}: the frame column must hold whole numbers from 0, but row {row + 1} has {shown}.")
    return values.astype(np.int64)


def inside(table: pd.DataFrame, shape: tuple[int, int], border: float = 0.0) -> pd.Series:
    """Mask of the sites at least `border` pixels inside an image of `shape` (y, x)."""
    height, width = shape
    return table["y"].between(border, height - 1 - border) & table["x"].between(border, width - 1 - border)
