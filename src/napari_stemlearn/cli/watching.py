"""Show on stderr what a job reports: a bar with the time left, numbers, sentences."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from napari_stemlearn.events import Done, Event


def watch(events: Iterable[Event], what: str) -> Done:
    """Draw events until the last one.

    Parameters
    ----------
    events
        From a job.
    what
        Word before the bar.

    Returns
    -------
    Done
        How it ended.

    Raises
    ------
    JobError
        With the failure's sentence, if it failed.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from napari_stemlearn.errors import JobError
    from napari_stemlearn.events import Done, Failed, Log, Metric, Started
    from napari_stemlearn.events import Progress as Step

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[stage]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"),
    )
    end: Event | None = None
    with Progress(*columns, console=console, transient=False, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None, stage="", numbers="")
        for event in events:
            if isinstance(event, Started):
                memory = "" if event.memory_free_gb is None else f", {event.memory_free_gb:.1f} GB free"
                name = f" ({event.device_name}{memory})" if event.device_name else ""
                resumed = f", going on from {event.resumed_at}" if event.resumed_at else ""
                console.print(f"{what} on {event.device}{name}{resumed}", markup=False)
                bar.update(task, total=event.total or None, completed=event.resumed_at)
            elif isinstance(event, Step):
                if event.stage != bar.tasks[0].fields["stage"]:
                    # another thing is counted: the time left begins anew
                    bar.reset(task)
                bar.update(task, completed=event.done, total=event.total or None, stage=event.stage)
            elif isinstance(event, Metric):
                numbers = ", ".join(f"{name} {_short(value)}" for name, value in event.values.items())
                bar.update(task, numbers=numbers[:100])
                if not console.is_terminal:
                    console.print(f"step {event.step}: {numbers}", markup=False)
            elif isinstance(event, Log):
                console.print(f"{'Warning: ' if event.level == 'warning' else ''}{event.message}", markup=False)
            elif isinstance(event, (Done, Failed)):
                end = event
    if isinstance(end, Failed):
        raise JobError(end.message)
    if not isinstance(end, Done):
        raise JobError("The job ended without a result.")
    return end


@contextmanager
def stop_on_interrupt(ask_to_stop: Callable[[], Any]) -> Iterator[None]:
    """Let the first Ctrl-C ask for a clean stop and the second one break off."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        typer.echo("Stopping at the next safe point; press Ctrl-C again to break off at once.", err=True)
        ask_to_stop()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _short(value: float) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) and math.isfinite(value) else str(value)
