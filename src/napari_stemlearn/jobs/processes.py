"""Which process works on a run, and whether it still lives."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stemlearn.jobs.atomic_files import write_json

if TYPE_CHECKING:
    import psutil

SAME_START = 2.0
"""Seconds by which two readings of a process's start time may differ."""

SILENCE = 600.0
"""Seconds without an event after which a run on another computer counts as dead."""

PATIENCE = 5.0
"""Seconds in which killed processes are waited for."""


@dataclass(frozen=True)
class ProcessRecord:
    """The process of one attempt at a run.

    Parameters
    ----------
    pid
        Process number.
    started
        When the process began, in seconds since 1970: tells it from a later process with the same number.
    host
        Name of its computer.
    events_from
        Size of the event file when the attempt began: events before it belong to earlier attempts.
    attempt
        1, then one more with each resume.
    inline
        Whether the job runs inside a program that does other things too, so that it must not be killed.
    token
        Tells the process that was started for this attempt from any other; empty where none was started.
    """

    pid: int
    started: float
    host: str
    events_from: int = 0
    attempt: int = 1
    inline: bool = False
    token: str = ""

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_json(path, asdict(self))


def process_record(pid: int, *, events_from: int, attempt: int, inline: bool, token: str = "") -> ProcessRecord:
    """Describe a process that runs now; one that has ended already gets a start time of 0."""
    import psutil

    try:
        started = psutil.Process(pid).create_time()
    except psutil.Error:
        started = 0.0
    return ProcessRecord(pid, started, socket.gethostname(), events_from, attempt, inline, token)


def read_process(path: Path) -> ProcessRecord | None:
    """Read the record; None where there is none or where it is damaged."""
    try:
        return ProcessRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def is_here(record: ProcessRecord, folder: Path) -> bool:
    """Whether the process runs on this computer, or did when it ended.

    The name of a laptop changes with its network: a process with the number, the start and the command line of the job
    is the job.
    """
    if record.host == socket.gethostname():
        return True
    import psutil

    try:
        process = psutil.Process(record.pid)
        return abs(process.create_time() - record.started) < SAME_START and _is_job(process, folder)
    except psutil.Error:
        return False


def _is_job(process: psutil.Process, folder: Path) -> bool:
    words = process.cmdline()
    return "napari_stemlearn.jobs" in words and str(folder) in words


def is_alive(record: ProcessRecord, folder: Path) -> bool:
    """Whether the process still works on the run in `folder`.

    A zombie, or another process that has got the number since, does not count. On another computer only the event
    file tells: silence for `SILENCE` seconds counts as death.
    """
    if not is_here(record, folder):
        try:
            return time.time() - (folder / "events.jsonl").stat().st_mtime < SILENCE
        except OSError:
            return False
    import psutil

    try:
        process = psutil.Process(record.pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if abs(process.create_time() - record.started) < SAME_START:
            return True
        # a clock that was set back or forth moves start times, the command line stays
        return not record.inline and _is_job(process, folder)
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False


def kill_tree(record: ProcessRecord) -> None:
    """Kill the process and all that it started, and wait until they are gone."""
    import psutil

    try:
        process = psutil.Process(record.pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return
    for member in family:
        try:
            member.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(family, timeout=PATIENCE)


def lower_priority() -> None:
    """Let this process yield the CPU to the window and to everything else."""
    import psutil

    process = psutil.Process(os.getpid())
    try:
        process.nice(10 if os.name == "posix" else psutil.BELOW_NORMAL_PRIORITY_CLASS)
    except (psutil.Error, OSError, ValueError):
        return
