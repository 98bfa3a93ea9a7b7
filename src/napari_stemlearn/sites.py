"""The site table: one row an atom column or defect; truth, training label, prediction and hand label alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from napari_stemlearn.errors import SitesError

COLUMNS = ("frame", "y", "x", "y_angstrom", "x_angstrom", "class", "score", "origin")
"""Columns that every site table has, in this order; more may follow."""

ORIGINS = ("truth", "hand", "predicted", "edited")
"""Where a site can come from."""


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
        Names the missing column or the first bad value.
    """
    have = set(table.columns)
    if not {"y", "x"} <= have:
        if {"y_angstrom", "x_angstrom"} <= have and pixel_size is not None:
            table = table.assign(y=table["y_angstrom"] / pixel_size, x=table["x_angstrom"] / pixel_size)
        else:
            missing = [column for column in ("y", "x") if column not in have]
            raise SitesError(
                f"{name} lacks the column{'s' if len(missing) > 1 else ''} {' and '.join(missing)}; "
                f"it has {', '.join(map(str, table.columns)) or 'none'}."
            )
    numbers = {}
    for column in ("y", "x"):
        values = pd.to_numeric(table[column], errors="coerce")
        bad = ~np.isfinite(values.to_numpy(dtype=float))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise SitesError(f"{name}: row {row + 1} has {column} = {table[column].iloc[row]!r}, which is no position.")
        numbers[column] = values.to_numpy(dtype=float)
    if pixel_size is None and {"y_angstrom"} <= have:
        known = table[np.isfinite(pd.to_numeric(table["y_angstrom"], errors="coerce")) & (table["y"].abs() > 1)]
        if len(known):
            pixel_size = float(np.median(known["y_angstrom"] / known["y"]))
    if "frame" in have:
        frames = pd.to_numeric(table["frame"], errors="coerce")
        if frames.isna().any() or (frames < 0).any() or (frames != np.floor(frames)).any():
            raise SitesError(f"{name}: the frame column must hold whole numbers from 0.")
        frame = frames.to_numpy(dtype=np.int64)
    else:
        frame = np.zeros(len(table), dtype=np.int64)
    score = pd.to_numeric(table["score"], errors="coerce").to_numpy(dtype=float) if "score" in have else np.nan
    done = make_sites(
        numbers["y"],
        numbers["x"],
        table["class"].astype(str).to_numpy(dtype=object) if "class" in have else "atom",
        pixel_size=pixel_size,
        frame=frame,
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


def inside(table: pd.DataFrame, shape: tuple[int, int], border: float = 0.0) -> pd.Series:
    """Mask of the sites at least `border` pixels inside an image of `shape` (y, x)."""
    height, width = shape
    return table["y"].between(border, height - 1 - border) & table["x"].between(border, width - 1 - border)
