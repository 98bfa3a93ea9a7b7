"""Class of a column: its chemical content."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.structures.elements import NUMBERS, symbol_of

MOST_ATOMS_IN_ORDER = 8
"""Columns of layers up to this many atoms are named atom by atom."""


def content_text(numbers: Iterable[int]) -> str:
    """Name atoms from top to bottom, equal neighbours counted: ``Se2``, ``SSe``; zeros are left out."""
    parts = []
    for number, run in groupby(int(number) for number in numbers if number):
        count = len(list(run))
        parts.append(symbol_of(number) + (str(count) if count > 1 else ""))
    return "".join(parts)


def is_content(text: str) -> bool:
    """Whether a text is a name that `content_text` gives: ``W``, ``Se2``, ``SSe``, but not ``SeSe`` or ``Xx``."""
    parts = re.findall(r"([A-Z][a-z]?)([0-9]{0,2})", text)
    if not parts or any(symbol not in NUMBERS for symbol, _ in parts):
        return False
    return text == content_text(NUMBERS[symbol] for symbol, count in parts for _ in range(int(count or 1)))


def classes_in_order(numbers: NDArray[np.uint8]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Classes of columns of layers, atom by atom from top to bottom.

    Parameters
    ----------
    numbers
        Atomic numbers, 0 where there is no atom, shape (m, s) with s up to `MOST_ATOMS_IN_ORDER`.

    Returns
    -------
    codes, classes
        Index of each column's class, and the classes, sorted.
    """
    keys = np.zeros(len(numbers), dtype=np.int64)
    for slot in range(numbers.shape[1]):
        keys *= 128
        keys += numbers[:, slot]
    return _named(keys, lambda key: content_text(_digits(key, numbers.shape[1])))


def classes_by_elements(
    numbers: NDArray[np.uint8], order: tuple[int, ...]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Classes of columns of bulk crystals: which elements they hold, first those of the crystal in its order.

    Parameters
    ----------
    numbers
        Atomic numbers, 0 where there is no atom, shape (m, s).
    order
        Elements of the crystal in the order of its formula.
    """
    present = np.flatnonzero(np.bincount(numbers.ravel(), minlength=1))
    known = [number for number in order if number in present]
    ordered = known + [int(number) for number in present if number and number not in known]
    keys = np.zeros(len(numbers), dtype=np.int64)
    for bit, number in enumerate(ordered):
        keys += np.any(numbers == number, axis=1).astype(np.int64) << bit

    def text(key: int) -> str:
        return "".join(symbol_of(number) for bit, number in enumerate(ordered) if key >> bit & 1)

    return _named(keys, text)


def _digits(key: int, count: int) -> list[int]:
    """Atomic numbers out of a key, the first atom first."""
    return [key >> 7 * place & 127 for place in range(count - 1, -1, -1)]


def _named(keys: NDArray[np.int64], text: object) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Turn keys into codes of sorted names; several keys may have one name."""
    distinct, inverse = _distinct(keys)
    names = [text(int(key)) for key in distinct]  # type: ignore[operator]
    classes = tuple(sorted(set(names)))
    place = {name: code for code, name in enumerate(classes)}
    return np.array([place[name] for name in names], dtype=np.int64)[inverse], classes


def _distinct(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As `numpy.unique` with the inverse, but without sorting all where few values are common."""
    if len(keys) == 0:
        return keys, np.zeros(0, dtype=np.int64)
    distinct = np.unique(keys)
    return distinct, np.searchsorted(distinct, keys)
