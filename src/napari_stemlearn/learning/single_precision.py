"""Where single precision, in which networks compute, would cost images their contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LOST_CONTRAST = 1e-3
"""Part of the contrast of an image that rounding to single precision may cost."""


def keeps_contrast(values: NDArray[Any], single: NDArray[np.float32]) -> bool:
    """Whether grey levels as float32 have the contrast that they had: rounding is small beside their deviation.

    Parameters
    ----------
    values, single
        The same grey levels as they were acquired and as float32; those beyond its range are left as they are.
    """
    if np.can_cast(values.dtype, np.float32) or not np.isfinite(single).all():
        return True
    wide = values.astype(np.float64)
    return bool(np.abs(single - wide).max() <= LOST_CONTRAST * wide.std())


def in_single_precision(values: NDArray[Any]) -> NDArray[np.float32]:
    """Grey levels as float32; the lowest is taken off where the contrast would not survive beside it."""
    single = np.array(values, dtype=np.float32)
    if keeps_contrast(values, single):
        return single
    wide = values.astype(np.float64)
    return (wide - wide.min()).astype(np.float32)
