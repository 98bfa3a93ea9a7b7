"""One linear map of grey levels for all images of a stack, kept with the model that learnt from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.learning.single_precision import LOST_CONTRAST


@dataclass(frozen=True)
class GreyLevels:
    """Maps `low` to -1 and `high` to 1, the same for every image of a stack; values outside stay outside.

    Parameters
    ----------
    low, high
        Grey levels of the stack.
    """

    low: float
    high: float

    def scaled(self, images: NDArray[np.generic]) -> NDArray[np.float32]:
        """Grey levels to the network's, with a contrast that is weak beside them as well."""
        # decided by the levels alone, so that all images of a stack go the same way
        step = np.spacing(np.float32(max(abs(self.low), abs(self.high))))
        rounded = np.can_cast(images.dtype, np.float32) or not step > LOST_CONTRAST * (self.high - self.low)
        levels: NDArray[np.floating] = images.astype(np.float32 if rounded else np.float64)
        scaled: NDArray[np.float32] = ((levels - self.low) * np.float32(2 / (self.high - self.low)) - 1).astype(
            np.float32
        )
        return scaled

    def restored(self, images: NDArray[np.floating]) -> NDArray[np.float32]:
        """The network's to grey levels."""
        restored: NDArray[np.float32] = ((images + 1) * (self.high - self.low) / 2 + self.low).astype(np.float32)
        return restored

    def record(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


def grey_levels_of(sample: NDArray[np.generic], tail: float = 0.001) -> GreyLevels:
    """Grey levels between which all but `tail` of a sample of pixels lie, at either end.

    Parameters
    ----------
    sample
        Pixels of the whole stack, any shape.
    tail
        Fraction left out at either end.
    """
    low, high = np.quantile(np.asarray(sample, dtype=np.float64), [tail, 1 - tail])
    return GreyLevels(float(low), float(high) if high > low else float(low) + 1.0)
