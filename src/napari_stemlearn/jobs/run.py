"""A run folder as an object: its state, its events, and the buttons on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.atomic_writing import visible_files
from napari_stemlearn.errors import JobError
from napari_stemlearn.events import Done, Event, Failed, Preview
from napari_stemlearn.file_errors import reason
from napari_stemlearn.jobs.atomic_files import write_text
from napari_stemlearn.jobs.child import exit_status, spawn
from napari_stemlearn.jobs.event_log import append_event, last_event, read_events, size_of
from napari_stemlearn.jobs.execute import execute
from napari_stemlearn.jobs.failures import explain_exit, has_checkpoint
from napari_stemlearn.jobs.job_file import JobFile, read_creation, read_job_file
from napari_stemlearn.jobs.processes import ProcessRecord, is_alive, is_here, kill_tree, read_process
from napari_stemlearn.jobs.registry import JobKind, job_kind
from napari_stemlearn.settings import Settings


class RunState(StrEnum):
    """Where a run stands."""

    WAITING = "waiting"
    """Made, or its process is starting; nothing reported yet."""
    RUNNING = "running"
    STOPPING = "stopping"
    """Asked to stop; it goes on to the next safe point."""
    STOPPED = "stopped"
    """Ended early on request; can be resumed."""
    DONE = "done"
    FAILED = "failed"

    @property
    def active(self) -> bool:
        """Whether a process may still be working on it."""
        return self in (RunState.WAITING, RunState.RUNNING, RunState.STOPPING)


class Run:
    """One run folder; cheap to make, and safe to make many times over, by any program.

    Parameters
    ----------
    folder
        The run folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.folder == other.folder

    def __hash__(self) -> int:
        return hash(self.folder)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def job(self) -> JobFile:
        """What was asked for, as recorded; imports nothing.

        Raises
        ------
        JobError
            If ``job.yaml`` is missing or damaged.
        """
        return read_job_file(self.folder / "job.yaml")

    @property
    def kind(self) -> JobKind:
        """The kind of job."""
        return job_kind(self.job.kind)

    @property
    def settings(self) -> Settings:
        """The settings, as the model of the job's kind."""
        job = self.job
        return job_kind(job.kind).settings_model().checked(job.settings)

    @property
    def result_folder(self) -> Path:
        """Where the product lies."""
        return self.folder / "result"

    @property
    def state(self) -> RunState:
        """Where the run stands, judged from its files and its process."""
        process = read_process(self.folder / "process.json")
        # first the process, then its last word: the other way round a job that ends in between would look dead
        alive = process is not None and is_alive(process, self.folder)
        last = self._last_word(process)
        if isinstance(last, Failed):
            return RunState.FAILED
        if isinstance(last, Done):
            return RunState.STOPPED if last.stopped else RunState.DONE
        if process is None:
            return RunState.WAITING if (self.folder / "job.yaml").exists() else RunState.FAILED
        if not alive:
            return RunState.FAILED
        if (self.folder / "stop").exists():
            return RunState.STOPPING
        return RunState.RUNNING if last is not None else RunState.WAITING

    @property
    def result(self) -> dict[str, Any] | None:
        """Plain values that the job handed over at its end (paths, scores); None before."""
        last = self._last_word(read_process(self.folder / "process.json"))
        return last.result if isinstance(last, Done) else None

    @property
    def failure(self) -> Failed | None:
        """Why the run failed: one sentence, with the traceback or the end of ``log.txt`` as detail; else None."""
        if self.state is not RunState.FAILED:
            return None
        last = self._last_word(read_process(self.folder / "process.json"))
        if isinstance(last, Failed):
            return last
        if not (self.folder / "job.yaml").exists():
            return Failed(message=f"The run folder {self.folder} is gone or has no job.yaml.")
        return Failed(message=explain_exit(exit_status(self.folder)), detail=self.log_tail())

    @property
    def attempt(self) -> int:
        """How many times it was started or resumed; 0 for never."""
        process = read_process(self.folder / "process.json")
        return process.attempt if process else 0

    def events(self, since: int = 0) -> tuple[list[Event], int]:
        """Read events that are new.

        Parameters
        ----------
        since
            The position that the last call gave; 0 for all.

        Returns
        -------
        events : list of Event
            Previews come without their arrays (see `load_preview`).
        position : int
            For the next call.
        """
        return read_events(self.folder / "events.jsonl", since)

    def follow(
        self, since: int = 0, *, interval: float = 0.1, should_leave: Callable[[], bool] = lambda: False
    ) -> Iterator[Event]:
        """Yield events as they come, until the run ends; leaving early does not stop the run.

        A run whose process vanished ends with a `Failed` that tells the cause as far as it is known.
        """
        position = since
        last: Event | None = None
        while not should_leave():
            state = self.state
            events, position = self.events(position)
            for event in events:
                last = event
                yield event
            if not state.active:
                # an earlier attempt may have ended with a word, and this one without any
                of_attempt = self._last_word(read_process(self.folder / "process.json"))
                if not (isinstance(last, (Done, Failed)) and isinstance(of_attempt, (Done, Failed))):
                    yield self.failure or Failed(message=f"The run {self.name} has ended.")
                return
            time.sleep(interval)

    def wait(self, timeout: float | None = None) -> RunState:
        """Wait for the end and return the state; after `timeout` seconds the state as it is."""
        end = None if timeout is None else time.monotonic() + timeout
        while (state := self.state).active and (end is None or time.monotonic() < end):
            time.sleep(0.05)
        return state

    def load_preview(self, event: Preview) -> NDArray[Any] | None:
        """The array of a preview; None where its file was removed in favour of newer ones."""
        if event.array is not None:
            return event.array
        if not event.path:
            return None
        try:
            return np.load(self.folder / event.path, allow_pickle=False)
        except (OSError, ValueError):
            return None

    def log_tail(self, n_characters: int = 4000) -> str:
        """The end of what the process printed."""
        try:
            with open(self.folder / "log.txt", "rb") as stream:
                stream.seek(max(0, size_of(self.folder / "log.txt") - n_characters))
                return stream.read().decode("utf-8", errors="replace")
        except OSError:
            return ""

    def execute(self, *, resume: bool = False) -> Iterator[Event]:
        """Do the work here and now, yielding the events; the same files come out as from a process of its own.

        Meanwhile the current folder is that in which the run was made: relative paths in its job hold from there on.

        Raises
        ------
        JobError
            If there is nothing to do, somebody else does it, or the folder in which the run was made is gone.
        """
        job = self._prepared(resume)
        with contextlib.chdir(job.working_directory or os.curdir):
            yield from execute(self.folder, job, resume=resume)

    def stop(self) -> None:
        """Ask the job to stop at its next safe point, with a checkpoint.

        Raises
        ------
        JobError
            If it is not running.
        """
        state = self.state
        if not state.active:
            raise JobError(f"The run {self.name} is not running: it is {state}.")
        write_text(self.folder / "stop", f"asked at {time.strftime('%Y-%m-%d %H:%M:%S')}\n")

    def kill(self) -> None:
        """End the job's process at once; the last checkpoint, if there is one, stays and can be resumed.

        Raises
        ------
        JobError
            If it is not running, or runs inside another program or on another computer.
        """
        process = read_process(self.folder / "process.json")
        if process is None or not self.state.active:
            raise JobError(f"The run {self.name} is not running: it is {self.state}.")
        if process.inline:
            raise JobError(f"The run {self.name} runs inside another program (process {process.pid}); stop it instead.")
        if not is_here(process, self.folder):
            raise JobError(f"The run {self.name} runs on {process.host}; kill it there.")
        kill_tree(process)
        last = self._last_word(process)
        if not isinstance(last, (Done, Failed)) and (self.folder / "job.yaml").exists():
            kept = (
                "what the last checkpoint holds can be resumed"
                if has_checkpoint(self.folder)
                else "it can be resumed, but has no checkpoint yet"
            )
            message = f"The run was killed on request; {kept}."
            append_event(self.folder / "events.jsonl", Failed(message=message))

    def resume(self) -> None:
        """Go on from the last checkpoint, in a process of its own.

        Raises
        ------
        JobError
            If it is running or done, or the folder in which it was made is gone.
        """
        job = self._prepared(resume=True)
        spawn(self.folder, resume=True, working_directory=job.working_directory)

    def start(self) -> None:
        """Begin, in a process of its own.

        Raises
        ------
        JobError
            If it was started before, or the folder in which it was made is gone.
        """
        job = self._prepared(resume=False)
        spawn(self.folder, resume=False, working_directory=job.working_directory)

    def delete(self) -> None:
        """Remove the folder with all that is in it.

        Raises
        ------
        JobError
            If it is running, is no run folder, or holds a folder from which nothing can be removed; then all stays.
        """
        if not (self.folder / "job.yaml").exists():
            raise JobError(f"{self.folder} is no run folder: it has no job.yaml.")
        if self.attempt and self.state.active:
            raise JobError(f"The run {self.name} is {self.state}; stop it before deleting it.")
        locked = _locked_folder(self.folder)
        if locked is not None:
            raise JobError(f"The run {self.name} cannot be deleted: nothing can be removed from {locked}.")
        try:
            shutil.rmtree(self.folder)
        except OSError as error:
            stays = Path(os.fsdecode(error.filename)).name if error.filename else "something"
            raise JobError(
                f"The run {self.name} cannot be deleted whole: {stays} stays in {self.folder} ({reason(error)})."
            ) from error

    def _last_word(self, process: ProcessRecord | None) -> Event | None:
        """The last event of the present attempt."""
        return last_event(self.folder / "events.jsonl", process.events_from if process else 0)

    def _prepared(self, resume: bool) -> JobFile:
        job = self.job
        state = self.state
        if resume:
            if state is RunState.DONE:
                raise JobError(f"The run {self.name} is done; there is nothing to resume.")
            if state.active and self.attempt:
                raise JobError(f"The run {self.name} is {state}; it cannot be resumed now.")
        elif self.attempt:
            raise JobError(f"The run {self.name} was started before and is {state}; resume it instead.")
        if job.working_directory and not os.path.isdir(job.working_directory):
            raise JobError(
                f"The run {self.name} was made in {job.working_directory}, from where its paths hold; that folder is "
                "gone: make it again, or start a new run."
            )
        if resume:
            (self.folder / "stop").unlink(missing_ok=True)
        return job


def _locked_folder(folder: Path) -> Path | None:
    """The folder above, itself or the first below from which this user may remove nothing; else None."""
    below = (Path(place) for place, folders, files in os.walk(folder) if folders or files)
    places = (folder.parent, *below)
    return next((place for place in places if not os.access(place, os.W_OK | os.X_OK)), None)


def list_runs(runs_folder: str | Path) -> list[Run]:
    """The runs in a folder, newest first; a folder that is not there holds none."""
    runs_folder = Path(runs_folder)
    if not runs_folder.is_dir():
        return []
    runs = [Run(path.parent) for path in visible_files(runs_folder, "*/job.yaml")]
    return sorted(runs, key=lambda run: (-read_creation(run.folder / "job.yaml"), run.name))
