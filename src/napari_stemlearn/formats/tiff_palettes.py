"""TIFF images whose values are numbers in a table of colours: which tables are grey, and the levels they give."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_PALETTE = 3


def grey_table(page: Any) -> NDArray[Any] | None:
    """Grey level of each value of a page with a table of greys; None where the values are grey levels themselves.

    Returns
    -------
    numpy.ndarray or None
        Shape (n,): uint8 where the table holds no finer levels, else uint16.
    """
    table = _table(page)
    if table is None or not _is_grey(table):
        return None
    levels = table[0]
    # levels of 8 bits are written as multiples of 257, by older programs of 256
    if not (levels % 257).any() or not (levels % 256).any():
        levels = (levels >> 8).astype(np.uint8)
    return None if np.array_equal(levels, np.arange(len(levels))) else levels


def has_colour_table(page: Any) -> bool:
    """Whether the values of a page are numbers in a table of colours."""
    table = _table(page)
    return table is not None and not _is_grey(table)


def _is_grey(table: NDArray[Any]) -> bool:
    return bool((table == table[0]).all())


def _table(page: Any) -> NDArray[Any] | None:
    """Red, green and blue of each value, shape (3, n); None where there is no table that gives the values a meaning."""
    table = getattr(page, "colormap", None)
    # ImageJ adds the colours in which it shows values that were measured
    if table is None or page.photometric != _PALETTE or page.parent.is_imagej:
        return None
    return np.asarray(table)
