"""A job that counts: small enough for tests, with checkpoints, stop, resume and every way to break."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.events import Checkpoint, Done, Event, Log, Metric, Progress, Started, preview
from napari_stemlearn.jobs import JobKind
from napari_stemlearn.settings import Settings, quantity


class CountingSettings(Settings):
    """How far to count."""

    presets: ClassVar = {"default": {}}

    total: int = quantity(5, "1", "How far to count.", minimum=1, maximum=10_000)
    pause: float = quantity(0.0, "s", "Rest after each number.", minimum=0, maximum=10)
    breaks_at: int = quantity(-1, "1", "Number at which the job breaks; -1 for never.")
    breaks_with: str = "error"
    seed: int = 7


def count(
    settings: CountingSettings, folder: Path, *, resume: bool = False, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """Count to `total`; the checkpoint holds the last number."""
    checkpoint = folder / "checkpoints" / "last.json"
    number = json.loads(checkpoint.read_text())["number"] if resume and checkpoint.exists() else 0
    yield Started(device="cpu", total=settings.total, resumed_at=number)
    yield Log(message=f"Counting from {number}.")
    print("counting", flush=True)
    stopped = False
    while number < settings.total:
        if should_stop():
            stopped = True
            break
        number += 1
        if number == settings.breaks_at:
            _break(settings.breaks_with, folder)
        time.sleep(settings.pause)
        yield Metric(step=number, values={"square": float(number**2)})
        yield preview("ramp", np.full((4, 4), number, dtype=float), number, pixel_size=0.2)
        yield Progress(done=number, total=settings.total, stage="numbers")
    checkpoint.write_text(json.dumps({"number": number}))
    yield Checkpoint(step=number, name="last", path="checkpoints/last.json")
    if not stopped:
        (folder / "result" / "count.txt").write_text(str(number))
    yield Done(result={"number": number}, stopped=stopped)


def _break(how: str, folder: Path) -> None:
    if how == "error":
        raise ZeroDivisionError("division by\nzero")
    if how == "sentence":
        raise MicrographError("The micrograph is made of cheese.")
    if how == "memory":
        raise MemoryError
    if how == "torch":
        import torch

        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 EiB")
    if how == "disk":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "result"))
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(41)
    if how == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError(how)


COUNTING = JobKind("counting", "Count", "counting:CountingSettings", "counting:count")
KIND = "counting:COUNTING"
