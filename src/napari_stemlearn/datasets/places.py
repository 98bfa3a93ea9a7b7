"""Where data sets lie; free of pandas, so that a dock can list them as it opens."""

from __future__ import annotations

from pathlib import Path

from napari_stemlearn.atomic_writing import visible_files

ENDING = ".stemset"
"""Ending of the folder of a data set."""

CARD = "dataset.json"
"""File in it that tells what it is."""


def is_data_set(path: str | Path) -> bool:
    """Whether a folder is a data set."""
    return (Path(path) / CARD).is_file()


def data_sets_in(folder: str | Path) -> list[Path]:
    """Folders of the data sets in a folder, in the order of their names; none where it is not there."""
    return [path for path in visible_files(Path(folder), f"*{ENDING}") if is_data_set(path)]
