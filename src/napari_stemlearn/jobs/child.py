"""The process that works on a run while the program that started it stays free."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

from napari_stemlearn.errors import JobError
from napari_stemlearn.jobs.atomic_files import write_json
from napari_stemlearn.jobs.event_log import size_of
from napari_stemlearn.jobs.processes import process_record, read_process

_reapers: dict[Path, threading.Thread] = {}


def spawn(folder: Path, *, resume: bool, working_directory: str) -> None:
    """Start ``python -m napari_stemlearn.jobs FOLDER`` in a group of its own, its words going to ``log.txt``.

    Raises
    ------
    JobError
        If the process cannot be started.
    """
    token = uuid.uuid4().hex
    command = [sys.executable, "-m", "napari_stemlearn.jobs", str(folder), "--token", token]
    if resume:
        command.append("--resume")
    before = read_process(folder / "process.json")
    events_from = size_of(folder / "events.jsonl")
    (folder / "exit.json").unlink(missing_ok=True)
    # the name is there on Windows only
    new_group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    try:
        with open(folder / "log.txt", "ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=working_directory or None,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=os.name == "posix",
                creationflags=new_group,
            )
    except OSError as error:
        raise JobError(f"The job in {folder} cannot be started: {error}.") from error
    # where Python is started by a launcher, the process that works is its child and enters itself later
    record = process_record(
        process.pid, events_from=events_from, attempt=before.attempt + 1 if before else 1, inline=False, token=token
    )
    with contextlib.suppress(OSError):  # the folder may be gone already; the process then ends by itself
        record.save(folder / "process.json")
    reaper = threading.Thread(target=_reap, args=(process, folder), name=f"reap-{process.pid}", daemon=True)
    _reapers[folder] = reaper
    reaper.start()


def exit_status(folder: Path) -> int | None:
    """Exit status of the last process that worked on the run; None where nobody saw its end."""
    reaper = _reapers.get(folder)
    if reaper is not None:
        reaper.join(timeout=1.0)
    try:
        return int(json.loads((folder / "exit.json").read_text(encoding="utf-8"))["returncode"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _reap(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for the process, so that it does not stay as a zombie, and keep its exit status."""
    returncode = process.wait()
    with contextlib.suppress(OSError):
        if (folder / "job.yaml").exists():
            write_json(folder / "exit.json", {"pid": process.pid, "returncode": returncode})
