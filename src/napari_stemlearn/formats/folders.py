"""Files of micrographs, named one by one or by their folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_stemlearn.errors import FormatError
from napari_stemlearn.formats.reading import EXTENSIONS


def micrograph_files(paths: Sequence[str | Path]) -> list[Path]:
    """Files as they are; a folder stands for the micrographs in it, in the order of their names.

    Raises
    ------
    FormatError
        If something is not there, or a folder holds no micrograph.
    """
    found: list[Path] = []
    for entry in paths:
        path = Path(entry).expanduser()
        if not path.exists():
            raise FormatError(f"The file {path} does not exist.")
        if not path.is_dir() or path.suffix.lower() in EXTENSIONS:
            found.append(path)
            continue
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in EXTENSIONS)
        if not inside:
            kinds = ", ".join(ending[1:] for ending in EXTENSIONS)
            raise FormatError(f"There are no micrographs in {path}; they end in {kinds}.")
        found += inside
    return found
