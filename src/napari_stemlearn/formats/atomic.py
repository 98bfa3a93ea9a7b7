"""Writing a file whole or not at all, with a sentence where that fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from napari_stemlearn import atomic_writing
from napari_stemlearn.errors import FormatError, StemlearnError
from napari_stemlearn.file_errors import reason


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; it takes the place of `path` when the block ends well, else it is removed.

    Raises
    ------
    FormatError
        If the folder is missing or cannot be written, an older file is read-only, or the disk is full; an older file
        stays as it was.
    """
    path = Path(path)
    # os.path says no to names that are too long, pathlib complains
    if os.path.isdir(path):
        raise FormatError(f"{path} cannot be written: it is a folder.")
    if not os.path.isdir(path.parent):
        raise FormatError(f"{path} cannot be written: the folder {path.parent} does not exist.")
    with _in_words(path), atomic_writing.replacing(path) as temporary:
        yield temporary


@contextlib.contextmanager
def taken_back(path: str | Path) -> Iterator[None]:
    """Put `path` back as it was, or remove it if it was not there, when the block ends in an error.

    Raises
    ------
    FormatError
        If the older file cannot be kept meanwhile.
    """
    path = Path(path)
    with _in_words(path), atomic_writing.taken_back(path):
        yield


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except StemlearnError:
        raise
    except OSError as error:
        raise FormatError(f"{path} cannot be written: {reason(error)}.") from error


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, unless it is there.

    Raises
    ------
    FormatError
        If the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(f"The folder {folder} cannot be made: {reason(error)}.") from error
