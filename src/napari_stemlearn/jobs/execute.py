"""Do the work of a run in this process and record what happens."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_stemlearn.errors import JobError
from napari_stemlearn.events import Done, Event, Failed, Preview, Progress
from napari_stemlearn.jobs.atomic_files import write_array
from napari_stemlearn.jobs.event_log import append_event, size_of
from napari_stemlearn.jobs.failures import RunFolderGoneError, failure_of
from napari_stemlearn.jobs.job_file import JobFile
from napari_stemlearn.jobs.processes import ProcessRecord, is_alive, process_record, read_process
from napari_stemlearn.jobs.registry import job_kind

PROGRESS_INTERVAL = 0.2
"""Seconds between progress records; the events in between are passed on but not written."""

PREVIEWS_KEPT = 20
"""Files kept of each preview; older ones are removed."""

RECORD_PATIENCE = 30.0
"""Seconds in which the program that started this process is to note that it did."""

SPARE = 1 << 16
"""Bytes put aside at the start, so that a full disk still takes the record of its failure."""


def execute(
    folder: Path, job: JobFile, *, resume: bool = False, inline: bool = True, token: str = ""
) -> Iterator[Event]:
    """Run a job to its end, yielding each event after it is on disk.

    Parameters
    ----------
    folder
        The run folder.
    job
        Content of its ``job.yaml``.
    resume
        Go on from the last checkpoint.
    inline
        Whether this process does other things too.
    token
        Given by the program that started this process for the run, which writes it into ``process.json``.

    Yields
    ------
    Event
        The last one is `Done` or `Failed`; a job that breaks raises nothing.

    Raises
    ------
    JobError
        If another process works on the run already.
    """
    _claim(folder, inline, token)
    spare = folder / ".spare"
    with contextlib.suppress(OSError):
        spare.write_bytes(bytes(SPARE))
    final: Done | Failed | None = None
    try:
        recorder = Recorder(folder)
        # closed here and now when recording fails, so that the job lets go of its files and memory
        with contextlib.closing(_generate(folder, job, resume)) as events:
            for event in events:
                if isinstance(event, (Done, Failed)):
                    final = event
                else:
                    yield recorder.record(event)
        if final is None:
            final = Failed(message="The job ended without a result.")
        spare.unlink(missing_ok=True)
        recorder.record(final)
    except BaseException as error:
        final = failure_of(error, folder)
        _record_failure(folder, final, spare, make=not isinstance(error, RunFolderGoneError))
        if not isinstance(error, Exception):
            raise
    yield final


def _generate(folder: Path, job: JobFile, resume: bool) -> Generator[Event, None, None]:
    kind = job_kind(job.kind)
    settings = kind.settings_model().checked(job.settings)
    yield from kind.generate(settings, folder, inputs=job.inputs, resume=resume, should_stop=stop_request(folder))


def stop_request(folder: Path) -> Callable[[], bool]:
    """A function that tells whether the run was asked to stop; raises `RunFolderGoneError` once the folder is gone."""
    stop, job = folder / "stop", folder / "job.yaml"

    def should_stop() -> bool:
        if stop.exists():
            return True
        if not job.exists():
            raise RunFolderGoneError(f"The run folder {folder} is gone.")
        return False

    return should_stop


class Recorder:
    """Writes events and previews into a run folder.

    Parameters
    ----------
    folder
        The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._events = folder / "events.jsonl"
        with self._gone_where_missing():
            self._events.touch()
        self._last_progress = 0.0
        self._previews: dict[str, list[Path]] = {}

    def record(self, event: Event) -> Event:
        """Write one event; a preview comes back with the path of its file.

        Raises
        ------
        RunFolderGoneError
            If the folder was deleted.
        """
        if not (self.folder / "job.yaml").exists():
            raise RunFolderGoneError(f"The run folder {self.folder} is gone.")
        if isinstance(event, Preview) and event.array is not None:
            event = replace(event, path=self._write_preview(event))
        if isinstance(event, Progress):
            now = time.monotonic()
            if event.done < event.total and now - self._last_progress < PROGRESS_INTERVAL:
                return event
            self._last_progress = now
        with self._gone_where_missing():
            # made at the start: one that is missing now was deleted, and the folder with it is about to be
            append_event(self._events, event, make=False)
        return event

    @contextlib.contextmanager
    def _gone_where_missing(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise RunFolderGoneError(f"The run folder {self.folder} is gone.") from error

    def _write_preview(self, event: Preview) -> str:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", event.name) or "preview"
        array = np.asarray(event.array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        path = self.folder / "previews" / f"{name}-{event.step:08d}.npy"
        path.parent.mkdir(exist_ok=True)
        write_array(path, array)
        kept = self._previews.setdefault(name, sorted(path.parent.glob(f"{name}-????????.npy")))
        if path not in kept:
            kept.append(path)
        while len(kept) > PREVIEWS_KEPT:
            kept.pop(0).unlink(missing_ok=True)
        return path.relative_to(self.folder).as_posix()


def _claim(folder: Path, inline: bool, token: str) -> None:
    """Note that this process works on the run."""
    path = folder / "process.json"
    before = _own_record(path, token) if token else None
    try:
        if before is not None:
            # the starting program knows the process that it started, which may be a launcher and not this one
            events_from, attempt = before.events_from, before.attempt
        else:
            before = read_process(path)
            if before is not None and before.pid != os.getpid() and is_alive(before, folder):
                raise JobError(f"The run {folder.name} is already being worked on by process {before.pid}.")
            events_from, attempt = size_of(folder / "events.jsonl"), before.attempt + 1 if before else 1
        if before is None or before.pid != os.getpid() or before.token != token or not token:
            record = process_record(os.getpid(), events_from=events_from, attempt=attempt, inline=inline, token=token)
            _save(record, path)
    except FileNotFoundError as error:
        raise RunFolderGoneError(f"The run folder {folder} is gone.") from error


def _save(record: ProcessRecord, path: Path) -> None:
    """Write the record; Windows replaces no file that a watching program is just reading, so it is tried again."""
    for _ in range(20):
        with contextlib.suppress(PermissionError):
            return record.save(path)
        time.sleep(0.05)
    record.save(path)


def _own_record(path: Path, token: str) -> ProcessRecord | None:
    """The record that the starting program writes once it has started this process; None where it does not come."""
    end = time.monotonic() + RECORD_PATIENCE
    while time.monotonic() < end and path.parent.exists():
        record = read_process(path)
        if record is not None and record.token == token:
            return record
        time.sleep(0.02)
    return None


def _record_failure(folder: Path, failed: Failed, spare: Path, *, make: bool) -> None:
    """Write the failure where it can be read; on a full disk the bytes put aside make room for it.

    `make` tells whether an event file that is missing is made.
    """
    with contextlib.suppress(OSError):
        spare.unlink(missing_ok=True)
    try:
        if (folder / "job.yaml").exists():
            append_event(folder / "events.jsonl", failed, make=make)
    except OSError as error:
        print(f"{failed.message}\n{failed.detail}\n(this could not be written as an event: {error})", file=sys.stderr)
