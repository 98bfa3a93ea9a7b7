"""From a micrograph to sites: a trained network or the classical finder, tile by tile, frame by frame."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "FindSettings": "settings",
    "Found": "found",
    "FrameFound": "found",
    "find": "search",
    "find_frames": "search",
    "find_kept": "search",
    "local_maxima": "peaks",
    "spot_centres": "peaks",
    "keep_apart": "peaks",
    "strongest_of_rivals": "rivals",
    "fit_gaussians": "gaussians",
    "estimate_column_radius": "column_radius",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
