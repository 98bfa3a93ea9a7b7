from .statement import (
    SYNTHETIC_STATEMENT,
    is_synthetic,
    says_synthetic,
    synthetic_provenance,
    synthetic_statement,
)
from .visible_mark import beneath_visible_mark, draw_visible_mark
from .watermark import (
    WatermarkFinding,
    embed_watermark,
    find_watermark,
)

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
