"""Labelled micrographs in bulk: simulated, given the look of the day by a trained generator, marked, stored.

What is named here loads on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "GenerateSettings": "settings",
    "generate_data_set": "generate",
    "write_generated_set": "generate",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
