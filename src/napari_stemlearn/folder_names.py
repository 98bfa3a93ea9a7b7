"""Names of models, generators and data sets, which become names of folders on any computer."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

FORBIDDEN = '/\\:*?"<>|'
"""Letters that some file system refuses."""

LONGEST = 200
"""Bytes of a name; a file system takes 255, and numbers and endings are put behind it."""

_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever ending follows."""


def checked_name(value: str) -> str:
    """A name without blanks around it.

    Raises
    ------
    ValueError
        If nothing is left.
    """
    name = value.strip()
    if not name:
        raise ValueError("a name is needed")
    return name


def checked_folder_name(value: str) -> str:
    """A name without blanks around it.

    Parameters
    ----------
    value
        The name as it was given.

    Returns
    -------
    str
        What is left between the blanks.

    Raises
    ------
    ValueError
        If nothing is left, or no folder can have this name on one of the usual systems.
    """
    name = checked_name(value)
    if len(name.encode()) > LONGEST:
        raise ValueError(f"'{name[:20]}…' is too long for the name of a folder; allowed: {LONGEST} bytes")
    if _DEVICE.fullmatch(name):
        raise ValueError(f"'{name}' cannot be the name of a folder: Windows keeps it for a device")
    refused = any(letter in FORBIDDEN or ord(letter) < 32 for letter in name)
    if refused or name.startswith(".") or name.endswith("."):
        raise ValueError(
            f"'{name}' cannot be the name of a folder; it must not begin or end with a dot, or hold "
            + " ".join(FORBIDDEN)
        )
    return name


Name = Annotated[str, AfterValidator(checked_name)]
"""A setting that is a name of any letters."""

FolderName = Annotated[str, AfterValidator(checked_folder_name)]
"""A setting that becomes the name of a folder."""


def folder_name(text: str, otherwise: str) -> str:
    """Make the name of a folder of any text.

    Parameters
    ----------
    text
        For instance a name that was given before names were checked.
    otherwise
        The name where nothing of the text can stay.
    """
    kept = "".join("_" if letter in FORBIDDEN or ord(letter) < 32 else letter for letter in text)
    kept = kept.strip(" .").encode()[:LONGEST].decode(errors="ignore").rstrip(" .") or otherwise
    return f"{kept}_" if _DEVICE.fullmatch(kept) else kept
