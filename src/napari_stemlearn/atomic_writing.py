"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

_OLD = ".old"
_A_DAY = 24 * 3600.0


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give an empty file beside `path`; it takes the place of `path` when the block ends well, else it is removed.

    The folder is never made: it may have been deleted on purpose while a long computation was running.
    Where `path` is a link, the file that it leads to is replaced and the link stays.

    Raises
    ------
    OSError
        If the folder is missing, the older file is read-only or the disk refuses; an older file stays as it was.
    """
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    _refuse_read_only(path)
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
    _remove_leftovers(path, path.suffix)


@contextlib.contextmanager
def taken_back(path: Path) -> Iterator[None]:
    """Put `path` back as it was, or remove it if it was not there, when the block ends in an error.

    For files that only make sense together: this one is replaced inside of the block, before those beside it.

    Raises
    ------
    OSError
        If the older file cannot be kept meanwhile.
    """
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    kept = path.with_name(f".{path.stem[:40]}-{uuid.uuid4().hex[:12]}{_OLD}") if path.is_file() else None
    if kept is not None:
        _second_name(path, kept)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            if kept is not None:
                os.replace(kept, path)
            elif path.is_file():
                path.unlink()
        raise
    finally:
        if kept is not None:
            with contextlib.suppress(OSError):
                kept.unlink()
    _remove_leftovers(path, _OLD)


def older_contents(path: Path) -> list[Path]:
    """What `path` was before, where a program was killed while it replaced it together with other files."""
    with contextlib.suppress(OSError):
        return sorted(entry for entry in path.parent.iterdir() if _is_leftover_of(entry, path, _OLD))
    return []


def _is_leftover_of(entry: Path, path: Path, ending: str) -> bool:
    return re.fullmatch(rf"\.{re.escape(path.stem[:40])}-[0-9a-f]{{12}}{re.escape(ending)}", entry.name) is not None


def _remove_leftovers(path: Path, ending: str) -> None:
    """Remove what killed programs left of a file that is whole again."""
    leftovers = _leftovers_in(path.parent.absolute())
    for entry in [entry for entry in leftovers if _is_leftover_of(entry, path, ending)]:
        # another thread may have been here
        with contextlib.suppress(OSError, ValueError):
            leftovers.remove(entry)
            entry.unlink()


@functools.cache
def _leftovers_in(folder: Path) -> list[Path]:
    """Files of writers that were killed more than a day ago; looked for once, since folders may be large."""
    found = []
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            if re.fullmatch(r"\..+-[0-9a-f]{12}\.\w+", entry.name):
                status = entry.stat()
                # a second name of an old file is as young as its last change of names
                if max(status.st_mtime, status.st_ctime) < time.time() - _A_DAY:
                    found.append(entry)
    return found


@contextlib.contextmanager
def replacing_together(*paths: Path) -> Iterator[list[Path]]:
    """Give an empty file beside each path; they take their places in this order when the block ends well, or none does.

    Raises
    ------
    OSError
        As of `replacing` and `taken_back`; older files stay as they were.
    """
    with contextlib.ExitStack() as stack:
        # what is replaced last needs no way back
        for path in paths[:-1]:
            stack.enter_context(taken_back(path))
        temporaries = [stack.enter_context(replacing(path)) for path in reversed(paths)]
        yield temporaries[::-1]


def _second_name(path: Path, other: Path) -> None:
    """Another name for a file, or a copy on disks that know no such thing."""
    try:
        os.link(path, other)
    except OSError:
        try:
            shutil.copy2(path, other)
        except BaseException:
            with contextlib.suppress(OSError):
                other.unlink()
            raise


def visible_files(folder: Path, pattern: str) -> list[Path]:
    """Files in a folder that fit a pattern, in the order of their names; nothing where the folder is not there.

    What has a name that begins with a dot, or lies in such a folder below, is left out: it is hidden or half written.
    """
    if not folder.is_dir():
        return []
    found = sorted(folder.glob(pattern))
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _refuse_read_only(path: Path) -> None:
    # the administrator may write everywhere, but a file without any such right is meant to stay
    if path.is_file() and not (path.stat().st_mode & 0o222 and os.access(path, os.W_OK)):
        raise PermissionError(errno.EACCES, "the file is read-only", str(path))


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    OSError
        As of `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)
