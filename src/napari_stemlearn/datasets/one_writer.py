"""One program at a time makes a set: a lock on a file in its folder, which the system lets go when its owner dies."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_stemlearn.errors import FormatError
from napari_stemlearn.file_errors import reason

LOCK = ".being_written"
"""Hidden file in the folder of a set while a program makes it; tells which process does."""

_FAR = 1 << 30  # Windows lets nobody read a locked byte, so one is locked behind what is read

_UNKNOWN_TO_DISK = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


class OneWriter:
    """The right to write into the folder of a set; see `only_writer`.

    Parameters
    ----------
    folder
        Of the set; must be there.

    Raises
    ------
    FormatError
        If another program has the right, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self._descriptor: int | None = _taken(self.path)
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "started": time.time()}
        try:
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, json.dumps(owner).encode("utf-8"))
        except OSError as error:
            self.release()
            raise FormatError(f"{folder} cannot be written: {reason(error)}.") from error

    def release(self) -> None:
        """Give the right back."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        # a file that somebody has open cannot be removed on Windows; elsewhere it goes before the lock does
        with contextlib.suppress(OSError):
            if os.name == "posix" and _is_file(descriptor, self.path):
                self.path.unlink()
        os.close(descriptor)
        if os.name != "posix":
            with contextlib.suppress(OSError):
                self.path.unlink()


@contextmanager
def only_writer(folder: Path) -> Iterator[OneWriter]:
    """Have the right to write into the folder of a set, until the block ends or this process dies.

    Raises
    ------
    FormatError
        If another program has it, or the folder cannot be written.
    """
    writer = OneWriter(folder)
    try:
        yield writer
    finally:
        writer.release()


def _taken(path: Path) -> int:
    """Descriptor of the lock's file, locked."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise FormatError(f"{path.parent} cannot be written: {reason(error)}.") from error
        try:
            if not _lock(descriptor):
                raise FormatError(
                    f"Another program{_words_on_owner(path)} is making the set {path.parent}; "
                    "wait until it has ended, or choose another name."
                )
            # the owner before may have removed the file between opening and locking
            if _is_file(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file for this process; False where another has locked it."""
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            _lock_on_windows(descriptor)
    except OSError as error:
        # some disks of clusters know no locks: there nothing tells one program of the other
        return error.errno in _UNKNOWN_TO_DISK
    return True


def _lock_on_windows(descriptor: int) -> None:
    msvcrt: Any = __import__("msvcrt")
    os.lseek(descriptor, _FAR, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)


def _is_file(descriptor: int, path: Path) -> bool:
    """Whether `path` is still the file that was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _words_on_owner(path: Path) -> str:
    """Which process has the lock, as far as its file tells."""
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        return f" (process {int(owner['pid'])} on {owner['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
