"""Seeds for torch, which takes whole numbers of 64 bits only."""

from __future__ import annotations

from napari_stemlearn.settings import SEED_LIMIT


def torch_seed(number: int) -> int:
    """The number itself where it is small enough, else what is left of it beyond multiples of `SEED_LIMIT`."""
    return number % SEED_LIMIT
