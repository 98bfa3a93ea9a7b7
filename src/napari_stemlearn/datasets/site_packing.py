"""Site tables as small blocks of bytes, to be kept by the thousand: exact, typed, and safe to read from strangers."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemlearn.errors import FormatError
from napari_stemlearn.sites import COLUMNS, make_sites

_HEAD = 4
"""Bytes that tell the length of the list of columns."""

_NUMBERS = ("<f8", "<i8", "|b1")
"""Types of numbers that a block holds."""

_CODES = ("|u1", "<u2", "<u4")
"""Types of codes into a list of words."""


def pack_sites(table: pd.DataFrame, pixel_size: float) -> bytes:
    """Pack a site table.

    A block is zlib of: the length of a JSON list of columns, that list, the numbers one column after the other.
    Words are codes into a list of them, where null is a missing word; a column of one value is that value; angstrom
    are left out where they are pixels times the pixel size.

    Parameters
    ----------
    table
        Site table of one frame, with further columns of numbers, truth values or words.
    pixel_size
        In angstrom.
    """
    columns: list[dict[str, Any]] = []
    numbers: list[bytes] = []
    for name in map(str, table.columns):
        values = table[name].to_numpy()
        if name in ("y_angstrom", "x_angstrom") and np.array_equal(values, table[name[0]].to_numpy() * pixel_size):
            continue
        column: dict[str, Any] = {"name": name}
        if values.dtype.kind not in "fiub":
            words, codes = _as_codes(values)
            column["words"] = words
            kind = next(code for code in _CODES if len(words) <= np.iinfo(code).max + 1)
            values = codes.astype(kind)
        else:
            values = values.astype({"f": "<f8", "i": "<i8", "u": "<i8", "b": "|b1"}[values.dtype.kind])
        column["type"] = values.dtype.str
        # bytes, since NaN is not equal to itself
        if len(values) and values.tobytes() == values[:1].tobytes() * len(values):
            values, column["same"] = values[:1], True
        columns.append(column)
        numbers.append(values.tobytes())
    head = json.dumps({"sites": len(table), "columns": columns}, separators=(",", ":")).encode()
    return zlib.compress(len(head).to_bytes(_HEAD, "little") + head + b"".join(numbers), 3)


def _as_codes(values: NDArray[Any]) -> tuple[list[str | None], NDArray[np.int64]]:
    """The words of a column in alphabetical order, None last where any is missing, and the place of each row's word."""
    missing = pd.isna(values)
    words, places = np.unique(values[~missing].astype(str), return_inverse=True)
    codes = np.full(len(values), len(words), np.int64)
    codes[~missing] = places
    return [*words.tolist(), *([None] if missing.any() else [])], codes


def unpack_sites(block: bytes, pixel_size: float) -> pd.DataFrame:
    """The site table of a block.

    Raises
    ------
    FormatError
        If the block is damaged.
    """
    values = _unpacked(block)
    table = make_sites(
        values.pop("y"),
        values.pop("x"),
        values.pop("class"),
        pixel_size=pixel_size,
        frame=values.pop("frame", 0),
        score=values.pop("score", np.nan),
        extra={name: column for name, column in values.items() if name not in COLUMNS},
    )
    for name in ("y_angstrom", "x_angstrom", "origin"):
        if name in values:
            table[name] = values[name]
    return table


def unpack_positions(block: bytes) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
    """Class, y and x (pixels) of every site of a block, without making a table.

    Raises
    ------
    FormatError
        If the block is damaged.
    """
    values = _unpacked(block)
    return values["class"], values["y"], values["x"]


def _unpacked(block: bytes) -> dict[str, NDArray[Any]]:
    """Columns of a block."""
    try:
        plain = zlib.decompress(block)
        end = _HEAD + int.from_bytes(plain[:_HEAD], "little")
        head = json.loads(plain[_HEAD:end])
        count, columns = int(head["sites"]), {}
        for column in head["columns"]:
            words = _words(column["words"]) if "words" in column else None
            if column["type"] not in (_NUMBERS if words is None else _CODES):
                raise ValueError(column["type"])
            values = np.frombuffer(plain, column["type"], min(1, count) if column.get("same") else count, end)
            end += values.nbytes
            values = values if words is None else words[values]
            columns[str(column["name"])] = np.broadcast_to(values, count) if column.get("same") else values
        if not {"y", "x", "class"} <= set(columns):
            raise ValueError("columns are missing")
    except (zlib.error, ValueError, KeyError, TypeError, IndexError) as error:
        raise FormatError("The labels of an image are damaged.") from error
    return columns


def _words(listed: list[str | None]) -> NDArray[np.object_]:
    """Words of a column; a missing one as pandas has it."""
    return np.array([np.nan if word is None else word for word in listed], dtype=object)
