"""Paths as they were typed: ``~`` stands for the home folder, also where no shell has put it in."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def expand_home(value: Any) -> Any:
    """What an option or argument for a path gives: ``~`` and ``~name`` at its beginning are home folders.

    Shells leave them as they are within quotes and after ``--out=``. Texts may be names as well as paths; a beginning
    that is nobody's home folder belongs to the name of a file in the current folder, as it does for a shell.

    Parameters
    ----------
    value
        Path, text, list of either, or None.
    """
    if isinstance(value, (list, tuple)):
        return type(value)(expand_home(entry) for entry in value)
    if not isinstance(value, (str, Path)) or not str(value).startswith("~"):
        return value
    try:
        return type(value)(Path(value).expanduser())
    except RuntimeError:
        # as a full path nobody takes it for a home folder again
        return Path(value).absolute() if isinstance(value, Path) else value


def expand_home_within(values: Any) -> Any:
    """The like for settings: each text in lists and mappings that begins with ``~/`` is a path."""
    if isinstance(values, dict):
        return {key: expand_home_within(entry) for key, entry in values.items()}
    if isinstance(values, (list, tuple)):
        return type(values)(expand_home_within(entry) for entry in values)
    return expand_home(values) if isinstance(values, str) and values.startswith("~/") else values
