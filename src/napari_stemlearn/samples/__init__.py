"""Data to try everything on: a day at the microscope simulated without a network, and measured public sets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_stemlearn.samples.day import SimulatedDay, simulated_day
    from napari_stemlearn.samples.public import PublicSample, fetch, list_public, load_public, public_sample

_HOMES = {
    "PublicSample": "public",
    "SimulatedDay": "day",
    "fetch": "public",
    "list_public": "public",
    "load_public": "public",
    "public_sample": "public",
    "simulated_day": "day",
}

__all__ = [
    "PublicSample",
    "SimulatedDay",
    "fetch",
    "list_public",
    "load_public",
    "public_sample",
    "simulated_day",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
