"""Ctrl-C as a terminal sends it to the processes that a test starts, again and again."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

import psutil


@contextlib.contextmanager
def interrupted_children() -> Iterator[set[int]]:
    """Interrupt every process that begins inside, from its first moment on; yields the numbers of those it reached."""
    others = {child.pid for child in psutil.Process().children(recursive=True)}
    reached: set[int] = set()
    over = threading.Event()

    def interrupt() -> None:
        while not over.wait(0.02):
            for child in psutil.Process().children(recursive=True):
                if child.pid not in others:
                    with contextlib.suppress(psutil.Error):
                        child.send_signal(signal.SIGINT)
                        reached.add(child.pid)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    try:
        yield reached
    finally:
        over.set()
        thread.join()
