"""Where data sets lie; free of pandas, so that a dock can list them as it opens."""

from __future__ import annotations

import json
from pathlib import Path

from napari_stemlearn.atomic_writing import visible_files
from napari_stemlearn.folder_names import folder_name
from napari_stemlearn.formats.data_set_names import CARD, KIND

ENDING = ".stemset"
"""Ending of the folder of a data set."""


def is_data_set(path: str | Path) -> bool:
    """Whether a folder is a data set; one with a damaged card counts, since opening it says what is wrong."""
    card = Path(path) / CARD
    if not card.is_file():
        return False
    try:
        record = json.loads(card.read_bytes())
    except (OSError, ValueError):
        return True
    return not isinstance(record, dict) or record.get("kind") == KIND


def data_sets_in(folder: str | Path) -> list[Path]:
    """Folders of the data sets in a folder, in the order of their names; none where it is not there."""
    return [path for path in visible_files(Path(folder), f"*{ENDING}") if is_data_set(path)]


def data_set_folder(name: str) -> str:
    """Name of the folder of a data set: what no file system refuses, and the ending."""
    kept = folder_name(name, "data set")
    return kept if kept.endswith(ENDING) else kept + ENDING
