"""Marks of images that nobody measured: a sentence, a watermark in the pixels, words that can be seen."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_stemlearn.marking.statement import (
        SYNTHETIC_STATEMENT,
        is_synthetic,
        says_synthetic,
        synthetic_provenance,
        synthetic_statement,
    )
    from napari_stemlearn.marking.visible_mark import beneath_visible_mark, draw_visible_mark
    from napari_stemlearn.marking.watermark import WatermarkFinding, embed_watermark, find_watermark

_HOMES = {
    "SYNTHETIC_STATEMENT": "statement",
    "is_synthetic": "statement",
    "says_synthetic": "statement",
    "synthetic_provenance": "statement",
    "synthetic_statement": "statement",
    "beneath_visible_mark": "visible_mark",
    "draw_visible_mark": "visible_mark",
    "WatermarkFinding": "watermark",
    "embed_watermark": "watermark",
    "find_watermark": "watermark",
}

__all__ = [
    "SYNTHETIC_STATEMENT",
    "WatermarkFinding",
    "beneath_visible_mark",
    "draw_visible_mark",
    "embed_watermark",
    "find_watermark",
    "is_synthetic",
    "says_synthetic",
    "synthetic_provenance",
    "synthetic_statement",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
