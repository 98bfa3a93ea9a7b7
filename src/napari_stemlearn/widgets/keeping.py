"""Keep what a run made in the project folder, under its own name."""

from __future__ import annotations

import shutil
from pathlib import Path

SAME_NAME = 1000
"""Products of one name that are kept beside each other."""


def keep(product: Path, shelf: Path, name: str, card: str) -> Path:
    """Copy the folder of a product, whole or not at all; a second copy of the same product is not made.

    Parameters
    ----------
    product
        Its folder.
    shelf
        Folder of all that are kept; made if missing.
    name
        Name of the copy; numbered where another product has that name.
    card
        File by which two products are told apart.

    Returns
    -------
    pathlib.Path
        The copy.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    same = (product / card).read_bytes()
    for number in range(1, SAME_NAME):
        folder = shelf / (name if number == 1 else f"{name}-{number}")
        if (folder / card).exists() and (folder / card).read_bytes() == same:
            return folder
        if folder.exists():
            continue
        shelf.mkdir(parents=True, exist_ok=True)
        part = shelf / f".{folder.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        try:
            shutil.copytree(product, part)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return folder
    raise OSError(f"there are too many named {name} in {shelf}")
