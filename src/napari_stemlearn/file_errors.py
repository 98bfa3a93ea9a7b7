"""Words on why a file or folder could not be read or written."""

from __future__ import annotations

import os
import re
from pathlib import Path


def reason(error: Exception) -> str:
    """The cause of an error as a short clause without a full stop; names the file that is where a folder is to be."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, OSError) and error.errno is None and re.fullmatch(r"\d+ requested and \d+ written", text):
        # numpy's words for a write that the disk cut short
        return "the disk is full"
    if isinstance(error, (FileExistsError, NotADirectoryError)) and error.filename:
        path = Path(os.fsdecode(error.filename))
        in_the_way = next((place for place in (path, *path.parents) if place.is_file()), None)
        if in_the_way is not None:
            return f"{in_the_way} is a file"
    lines = str(text).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(". ")
