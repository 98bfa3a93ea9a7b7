"""Labels by hand: what is labelled, with undo and review; where it lies on disk; clicks that go to columns."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "HandLabels": "hand_labels",
    "LabelState": "hand_labels",
    "Promotion": "hand_labels",
    "LoadedSet": "label_store",
    "SavedSet": "label_store",
    "folder_for": "label_store",
    "load_set": "label_store",
    "save_set": "label_store",
    "saved_sets": "label_store",
    "Snap": "snapping",
    "snap": "snapping",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
