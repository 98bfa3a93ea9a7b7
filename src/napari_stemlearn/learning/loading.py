"""Batches made ahead of time by worker processes, in an order that does not depend on how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.learning.crops import CropSource, LabelledBatch, training_batch
from napari_stemlearn.learning.failures import WorkerDiedError
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.spawning import MOST_WORKERS, cores, ignore_interrupts, spawned_workers

FEW_STEPS = 20
"""Trainings shorter than this start none when the number is left open."""


def open_source(settings: SegmentationSettings) -> CropSource:
    """The source of labelled crops that the settings name.

    Raises
    ------
    TrainingError
        If a stored set is missing or holds nothing.
    """
    if settings.data.source == "folder":
        from napari_stemlearn.learning.stored import StoredCrops

        return StoredCrops(settings)
    from napari_stemlearn.learning.simulated import SimulatedCrops

    return SimulatedCrops(settings)


class TrainingBatches(Dataset[LabelledBatch | StemlearnError]):
    """All batches of a training, by number; made when asked for.

    Parameters
    ----------
    settings
        Of the training.
    """

    def __init__(self, settings: SegmentationSettings) -> None:
        self.settings = settings
        self._source: CropSource | None = None

    def __len__(self) -> int:
        return self.settings.optimisation.steps

    def __getitem__(self, index: int) -> LabelledBatch | StemlearnError:
        try:
            if self._source is None:
                self._source = open_source(self.settings)
            return training_batch(self._source, self.settings, index)
        except StemlearnError as error:
            # raised here, the sentence would come out wrapped in the worker's traceback
            return error

    def __getstate__(self) -> dict[str, object]:
        return {"settings": self.settings, "_source": None}


def number_of_workers(settings: SegmentationSettings) -> int:
    """Processes to start: as set, or one for each core; making an image takes longer than learning from it."""
    if settings.data.workers >= 0:
        return settings.data.workers
    # a handful of batches is made faster than a process starts
    return 0 if settings.optimisation.steps < FEW_STEPS else min(cores(), MOST_WORKERS)


def iterate_batches(settings: SegmentationSettings, start: int) -> Iterator[LabelledBatch]:
    """Yield the batches from number `start` on.

    Raises
    ------
    WorkerDiedError
        If a worker process dies.
    StemlearnError
        What making a batch raised.
    """
    workers = number_of_workers(settings)
    batches = TrainingBatches(settings)
    numbers = range(start, settings.optimisation.steps)
    if workers == 0:
        for number in numbers:
            yield _checked(batches[number])
        return
    # forking a process in which torch or Qt runs threads can hang; a spawned one starts afresh
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=4,
        multiprocessing_context="spawn",
        collate_fn=_unchanged,  # type: ignore[arg-type]
        worker_init_fn=_calm,
    )
    with spawned_workers():
        iterator = iter(loader)
    for _ in numbers:
        try:
            batch = next(iterator)
        except RuntimeError as error:
            if "exited unexpectedly" not in str(error) and "killed" not in str(error):
                raise
            raise WorkerDiedError(
                "A process that makes training images died, most likely for want of memory; "
                "lower data.workers or the batch size."
            ) from error
        yield _checked(batch)


def _unchanged(batch: Any) -> Any:
    return batch


def _calm(_worker: int) -> None:
    torch.set_num_threads(1)
    ignore_interrupts()


def _checked(batch: LabelledBatch | StemlearnError) -> LabelledBatch:
    if isinstance(batch, StemlearnError):
        raise batch
    return batch
