from .hand_labels import HandLabels, LabelState, Promotion
from .label_store import (
    LoadedSet,
    SavedSet,
    folder_for,
    load_set,
    save_set,
    saved_sets,
)
from .snapping import Snap, snap

__all__ = [
    "HandLabels",
    "LabelState",
    "LoadedSet",
    "Promotion",
    "SavedSet",
    "Snap",
    "folder_for",
    "load_set",
    "save_set",
    "saved_sets",
    "snap",
]
