"""Files of micrographs, named one by one or by their folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from napari_stemlearn.errors import FormatError, StemlearnError
from napari_stemlearn.file_errors import reason
from napari_stemlearn.formats.reading import EXTENSIONS, TIFF_EXTENSIONS, read_micrographs

SCORE_MAP = "score map"
"""What the provenance of a score map has as its ``kind``."""


def micrograph_files(paths: Sequence[str | Path]) -> list[Path]:
    """Files as they are; a folder stands for the micrographs in it, in the order of their names.

    Of a folder, hidden files and score maps of earlier searches are left out, and so is a ``.ser`` file that its
    ``.emi`` file reads along.

    Raises
    ------
    FormatError
        If something is not there or cannot be read, or a folder holds no micrograph.
    """
    found: list[Path] = []
    for entry in paths:
        path = Path(entry).expanduser()
        try:
            if not path.exists():
                raise FormatError(f"The file {path} does not exist.")
            inside = _in_folder(path) if path.is_dir() and path.suffix.lower() not in EXTENSIONS else [path]
        except FormatError:
            raise
        except OSError as error:
            raise FormatError(f"{path} cannot be read: {reason(error)}.") from error
        if not inside:
            if any(is_score_map(file) for file in path.iterdir()):
                raise FormatError(f"There are only score maps of an earlier search in {path}; give the micrographs.")
            kinds = ", ".join(ending[1:] for ending in EXTENSIONS)
            raise FormatError(f"There are no micrographs in {path}; they end in {kinds}.")
        found += inside
    return found


def holds_files(folder: str | Path) -> bool:
    """Whether there is anything in a folder but what the system hides there (``.DS_Store``)."""
    return any(not entry.name.startswith(".") for entry in Path(folder).iterdir())


def _in_folder(folder: Path) -> list[Path]:
    """Micrographs in a folder that were not made by a search."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in EXTENSIONS and not file.name.startswith(".")]
    whole = {file.stem for file in files if file.suffix.lower() == ".emi"}
    return sorted(file for file in files if not (_is_part(file, whole) or is_score_map(file)))


def _is_part(file: Path, whole: set[str]) -> bool:
    """Whether a file is one of the ``NAME_1.ser`` that are read with ``NAME.emi``."""
    numbered = re.fullmatch(r"(.+)_\d+", file.stem)
    return file.suffix.lower() == ".ser" and numbered is not None and numbered.group(1) in whole


def is_score_map(file: Path) -> bool:
    """Whether a file is a score map that a search wrote, by its name and what it says of itself."""
    if "_map_" not in file.stem or file.suffix.lower() not in TIFF_EXTENSIONS:
        return False
    try:
        return all(one.provenance.get("kind") == SCORE_MAP for one in read_micrographs(file, lazy=True))
    except StemlearnError:
        # whoever reads it next says what is wrong with it
        return False
