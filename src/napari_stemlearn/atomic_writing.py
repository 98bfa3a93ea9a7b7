"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give an empty file beside `path`; it takes the place of `path` when the block ends well, else it is removed.

    The folder is never made: it may have been deleted on purpose while a long computation was running.

    Raises
    ------
    OSError
        If the folder is missing or the disk refuses; an older file at `path` stays as it was.
    """
    # writers choose by the ending, and a name has at most 255 bytes
    temporary = path.with_name(f".{path.stem[:40]}-{uuid.uuid4().hex[:12]}{path.suffix}")
    temporary.touch(exist_ok=False)
    try:
        yield temporary
        with open(temporary, "r+b") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    OSError
        As of `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)
