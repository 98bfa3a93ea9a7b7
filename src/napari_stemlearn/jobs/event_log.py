"""The append-only file of a run's events, one JSON record a line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemlearn.events import Event, Log, Progress, event_from_record

TAIL = 1 << 18
"""Bytes read from the end to find the last record; longer than any record that a job writes."""


def append_event(path: Path, event: Event, *, make: bool = True) -> None:
    """Append one event; a half-written line that an earlier crash left is closed first.

    Parameters
    ----------
    path
        The file.
    event
        What to write.
    make
        Whether a file that is missing is made.

    Raises
    ------
    OSError
        If the disk refuses, or the file is missing and not to be made.
    """
    line = json.dumps(event.record(), default=_plain).encode("utf-8") + b"\n"
    with open(path, "ab+", opener=None if make else _open_there) as stream:
        if stream.seek(0, os.SEEK_END) > 0:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                line = b"\n" + line
        stream.write(line)


def _open_there(path: str, flags: int) -> int:
    return os.open(path, flags & ~os.O_CREAT)


def read_events(path: Path, since: int = 0) -> tuple[list[Event], int]:
    """Read the events from a byte position on.

    Parameters
    ----------
    path
        The file; one that is missing or out of reach holds no events.
    since
        Where the last reading ended; 0 reads all.

    Returns
    -------
    events : list of Event
        A line that is no record becomes a `Log` with level ``warning``.
    position : int
        Give this as `since` next time. It stands after the last complete line: one that is still being written is left.
    """
    try:
        with open(path, "rb") as stream:
            stream.seek(since)
            data = stream.read()
    except OSError:
        return [], since
    end = data.rfind(b"\n") + 1
    return [_event_of(line) for line in data[:end].splitlines() if line.strip()], since + end


def last_event(path: Path, since: int = 0) -> Event | None:
    """Read the last complete event after a byte position, without reading the rest of the file."""
    lines = _last_lines(path, since)
    return _event_of(lines[-1]) if lines else None


def last_progress(path: Path) -> Progress | None:
    """Read how far a run has come, from the end of the file."""
    for line in reversed(_last_lines(path, 0)):
        event = _event_of(line)
        if isinstance(event, Progress):
            return event
    return None


def _last_lines(path: Path, since: int) -> list[bytes]:
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(since, size - TAIL))
            data = stream.read(TAIL)
    except OSError:
        return []
    return [line for line in data[: data.rfind(b"\n") + 1].splitlines() if line.strip()]


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _event_of(line: bytes) -> Event:
    try:
        record = json.loads(line)
        return event_from_record(record) if isinstance(record, dict) else _damaged()
    except (ValueError, TypeError):
        return _damaged()


def _damaged() -> Event:
    return Log(message="One line of the event file is damaged and was left out.", level="warning", time=0.0)


def _plain(value: Any) -> Any:
    """Make numpy values and paths fit for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
