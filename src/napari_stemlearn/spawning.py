"""Worker processes: how many, and how to start them so that they leave the caller's script and Ctrl-C alone."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

MOST_WORKERS = 16
"""Worker processes that are started at most when the number is left open."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@contextmanager
def spawned_workers() -> Iterator[None]:
    """Processes that are spawned inside, by this thread or by threads that it starts there, are workers.

    They do not import the caller's script, of which they need nothing, so that it runs without a main guard.
    Ctrl-C in a terminal reaches all processes of a command: only the main one may answer it, by asking for a stop.
    """
    with _script_left_alone(), _interrupts_held_back():
        yield


def ignore_interrupts() -> None:
    """Let this worker process ignore Ctrl-C; for systems where that is not inherited, such as Windows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _script_left_alone() -> Iterator[None]:
    """Start processes that do not run the caller's script again."""
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name) for name in ("__spec__", "__file__") if hasattr(main, name)}
    main.__spec__ = None
    if hasattr(main, "__file__"):
        del main.__file__
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Block Ctrl-C in this thread: what it starts inherits that, and here it comes a moment later."""
    if os.name != "posix":
        yield
        return
    from multiprocessing import resource_tracker

    # the first process would start it, which takes the block away
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
