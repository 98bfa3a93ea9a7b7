"""What a training leaves, brought to the folder that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def check_out(out: Path, card: str, what: str) -> None:
    """Refuse, before hours of training, a folder that cannot take the product.

    Parameters
    ----------
    out
        The folder.
    card
        Name of the file that tells such a product.
    what
        Its name in sentences.

    Raises
    ------
    SettingsError
        If it is there and holds something else.
    """
    from napari_stemlearn.errors import SettingsError

    if out.exists() and not out.is_dir():
        raise SettingsError(f"{out} is a file; --out takes a folder.")
    if out.is_dir() and any(out.iterdir()) and not (out / card).exists():
        raise SettingsError(f"{out} holds other files than a {what}; choose a new or empty folder.")


def delivered(result: Path, out: Path | None, files: Sequence[str], what: str) -> Path:
    """Where the product of a run lies; copied to `out` where that was asked for.

    Parameters
    ----------
    result
        Result folder of the run.
    out
        Folder for the copy, or None.
    files
        The product's files; the last one is its card.
    what
        Its name in sentences.

    Raises
    ------
    JobError
        If the run left none.
    """
    import shutil

    from napari_stemlearn.errors import JobError

    cards = sorted(result.rglob(files[-1]))
    if not cards:
        raise JobError(f"The training left no {what} in {result}.")
    folder = cards[0].parent
    if out is None:
        return folder
    out.mkdir(parents=True, exist_ok=True)
    for file in files:
        part = out / f".{file}"
        shutil.copyfile(folder / file, part)
        part.replace(out / file)
    return out
