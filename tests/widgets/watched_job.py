"""A job for the panel: it reports all that a training reports, and can break or go on for long."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.events import Checkpoint, Done, Event, Log, Metric, Progress, Started, preview
from napari_stemlearn.jobs import JobKind
from napari_stemlearn.settings import Settings, quantity


class WatchedSettings(Settings):
    """How long it goes on."""

    presets: ClassVar = {"default": {}}

    steps: int = quantity(4, "1", "Steps.", minimum=1)
    pause: float = quantity(0.0, "s", "Rest after each step.", minimum=0)
    breaks_at: int = quantity(-1, "1", "Step at which it breaks.")


def watched(
    settings: WatchedSettings, folder: Path, *, resume: bool = False, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """Count steps and report."""
    checkpoint = folder / "checkpoints" / "last.json"
    step = json.loads(checkpoint.read_text()) if resume and checkpoint.exists() else 0
    yield Started(device="cuda:7", device_name="Test card", memory_free_gb=12.34, total=settings.steps, resumed_at=step)
    yield Log(message="Warming up.")
    stopped = False
    while step < settings.steps:
        if should_stop():
            stopped = True
            break
        step += 1
        if step == settings.breaks_at:
            raise MicrographError("The micrograph is made of cheese.")
        time.sleep(settings.pause)
        yield Metric(step=step, values={"train_loss": 1 / step, "held_out_loss": 2 / step, "learning_rate": 0.1})
        yield Metric(step=step, values={"held_out_f1": step / settings.steps, "same_style_f1_vacancy1": 0.5})
        yield preview("image", np.arange(16.0).reshape(4, 4) + step, step, pixel_size=0.2)
        yield preview("prediction", np.full((3, 4, 4), step / settings.steps), step, pixel_size=0.2)
        yield Progress(done=step, total=settings.steps, stage="steps")
    checkpoint.write_text(json.dumps(step))
    yield Checkpoint(step=step, name="last", path="checkpoints/last.json")
    yield Done(result={"step": step}, stopped=stopped)


WATCHED = JobKind("watched", "Be watched", "watched_job:WatchedSettings", "watched_job:watched")
KIND = "watched_job:WATCHED"
