"""Worker processes that make batches: they outlive Ctrl-C, need no main guard, and their death is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from interrupted_children import interrupted_children
from napari_stemlearn.events import Checkpoint, Done
from napari_stemlearn.learning import segmentation
from napari_stemlearn.learning.crops import LabelledBatch, training_batch
from napari_stemlearn.learning.failures import WorkerDiedError
from napari_stemlearn.learning.loading import iterate_batches, open_source
from napari_stemlearn.learning.settings import SegmentationSettings

TINY = SegmentationSettings.preset("tiny")
WITH_WORKER = TINY.changed(**{"data.workers": 1, "optimisation.steps": 8})

SCRIPT = """
from napari_stemlearn import jobs
from napari_stemlearn.learning.settings import SegmentationSettings

print("the script runs")
settings = SegmentationSettings.preset("tiny").changed(**{"data.workers": 1})
print(jobs.run_inline("train", settings, runs_folder="runs").state)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGINT")
def test_workers_go_on_when_ctrl_c_reaches_them() -> None:
    with interrupted_children() as reached:
        batches = list(iterate_batches(WITH_WORKER, 0))
    assert reached
    assert len(batches) == 8
    here = training_batch(open_source(TINY), WITH_WORKER, 7)
    np.testing.assert_array_equal(batches[7].images, here.images)


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text(SCRIPT)
    ran = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout.split("\n") == ["the script runs", "done", ""], ran.stderr


def _dying_after_two(settings: SegmentationSettings, start: int) -> Iterator[LabelledBatch]:
    source = open_source(settings)
    for number in range(start, start + 2):
        yield training_batch(source, settings, number)
    raise WorkerDiedError("A process died.")


def test_a_worker_that_dies_during_a_stop_leaves_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation, "iterate_batches", _dying_after_two)
    asked = iter([False, False, False, True])
    events = list(segmentation.train_segmentation(WITH_WORKER, tmp_path, should_stop=lambda: next(asked)))
    assert isinstance(events[-1], Done)
    assert events[-1].stopped
    assert [event.step for event in events if isinstance(event, Checkpoint) and event.name == "last"][-1] == 2


def test_a_worker_that_dies_otherwise_ends_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation, "iterate_batches", _dying_after_two)
    with pytest.raises(WorkerDiedError):
        list(segmentation.train_segmentation(WITH_WORKER, tmp_path))
