"""Train a network that marks sites in images: a plain generator of events."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from torch import Tensor

from napari_stemlearn.devices import device_name, memory_free_gb
from napari_stemlearn.events import Done, Event, Log, Metric, Progress, Started, preview
from napari_stemlearn.learning.checkpoints import checkpoint_path, make_checkpoint_folder
from napari_stemlearn.learning.crops import (
    HELD_OUT,
    SAME_STYLE,
    Crop,
    CropSource,
    LabelledBatch,
    as_batch,
    validation_crops,
)
from napari_stemlearn.learning.device import explained_writing, fitting_batch_size, let_go, out_of_memory, shared_cores
from napari_stemlearn.learning.failures import TrainingError, WorkerDiedError
from napari_stemlearn.learning.loading import iterate_batches, number_of_workers, open_source
from napari_stemlearn.learning.segmentation_product import finish, result_of_best
from napari_stemlearn.learning.segmentation_trainer import Trainer, learning_rate
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.validation import absent_classes, evaluate, loss_of, true_sites
from napari_stemlearn.memory_errors import is_out_of_memory

PREVIEWS = 4
"""Images shown at each validation."""


def train_segmentation(
    settings: SegmentationSettings,
    folder: str | Path,
    *,
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train a network and keep the best one as a model.

    Parameters
    ----------
    settings
        What to learn, from what, how.
    folder
        Gets ``checkpoints/last`` and ``best`` and, at the end, the model in ``result``.
    resume
        Go on from the last checkpoint, as if never stopped; without one, begin.
    should_stop
        Asked before every step; when true, a checkpoint is written and the training ends.

    Yields
    ------
    Event
        Started, Progress, Metric, Preview, Checkpoint, Log; Done at the end.

    Raises
    ------
    TrainingError
        If the loss is no number, memory or disk run out, or a checkpoint does not fit.
    StemlearnError
        If a device, a structure or a stored set is not there.
    """
    folder = Path(folder)
    trainer = Trainer(settings)
    with explained_writing(folder):
        make_checkpoint_folder(folder)
    if resume and checkpoint_path(folder, "last").exists():
        trainer.restore(folder)
    elif not resume:
        for name in ("last", "best"):
            checkpoint_path(folder, name).unlink(missing_ok=True)
    steps = settings.optimisation.steps
    yield Started(
        device=str(trainer.device),
        device_name=device_name(trainer.device),
        memory_free_gb=memory_free_gb(trainer.device),
        total=steps,
        resumed_at=trainer.step,
    )
    workers = number_of_workers(settings)
    yield Log(message=f"Computing with {trainer.precision}; {workers} processes make images.")
    with shared_cores(trainer.device, workers):
        yield from _learn_all(trainer, folder, should_stop)


def _learn_all(trainer: Trainer, folder: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    settings = trainer.settings
    steps = settings.optimisation.steps
    source = open_source(settings)
    same_style = validation_crops(source, settings, SAME_STYLE, settings.validation.images)
    held_out = validation_crops(source, settings, HELD_OUT, settings.validation.images)
    kept = f", and thresholds stay those of {settings.start_from}" if settings.start_from else ""
    for style, crops in (("training's own", same_style), ("held-out", held_out)):
        absent = absent_classes(true_sites(as_batch(crops, settings), settings), settings)
        if absent:
            yield Log(
                message=f"No validation image of the {style} style has a site of {', '.join(absent)}: "
                f"left out of the mean F1{kept}.",
                level="warning",
            )
    meter = _Meter(settings.optimisation.batch_size)
    if trainer.step < steps:
        batches = iterate_batches(settings, trainer.step)
        while trainer.step < steps:
            batch = None if should_stop() else _waited(meter, batches, should_stop)
            if batch is None:
                yield from _stop(trainer, source, meter, folder)
                return
            meter.add(_learn(trainer, batch))
            yield Progress(done=trainer.step, total=steps, stage="train")
            at_end = trainer.step == steps
            if trainer.step % settings.optimisation.report_every == 0 or at_end:
                yield _metric(trainer, meter)
            if trainer.step % settings.validation.every == 0 or at_end:
                yield from _validate(trainer, folder, same_style, held_out)
                meter.restart()
    yield Progress(done=steps, total=steps, stage="choose thresholds")
    yield Done(result=finish(trainer, source, same_style, folder))


def _waited(meter: _Meter, batches: Iterator[LabelledBatch], should_stop: Callable[[], bool]) -> LabelledBatch | None:
    """The next batch; None where the process that makes it died while a stop was asked for."""
    try:
        return meter.waited(lambda: next(batches))
    except WorkerDiedError:
        # what ends the workers asks the training to stop as well
        if not should_stop():
            raise
        return None


def _stop(trainer: Trainer, source: CropSource, meter: _Meter, folder: Path) -> Iterator[Event]:
    """End early, with a checkpoint."""
    if meter.count:
        yield _metric(trainer, meter)
    yield trainer.save(folder)
    yield Log(message=f"Stopped at step {trainer.step} of {trainer.settings.optimisation.steps}, as asked.")
    yield Done(result=result_of_best(trainer, source, folder), stopped=True)


def _learn(trainer: Trainer, batch: LabelledBatch) -> Tensor:
    try:
        return trainer.learn(*trainer.tensors(batch))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        trainer.optimiser.zero_grad(set_to_none=True)
        let_go(error)

        def smaller(size: int) -> None:
            part = LabelledBatch(batch.images[:size], batch.sites[batch.sites[:, 0] < size])
            images, targets = trainer.tensors(part)
            trainer.fabric.backward(loss_of(trainer.wrapped(images), targets, trainer.settings))
            trainer.optimiser.zero_grad(set_to_none=True)

        size = len(batch.images)
        raise out_of_memory(trainer.device, size, fitting_batch_size(smaller, size)) from error


class _Meter:
    """Mean loss and speed between two reports."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.restart()

    def restart(self) -> None:
        self.count, self.wait, self.begun = 0, 0.0, time.perf_counter()
        self.total: Tensor | float = 0.0

    def waited(self, fetch: Callable[[], LabelledBatch]) -> LabelledBatch:
        begun = time.perf_counter()
        batch = fetch()
        self.wait += time.perf_counter() - begun
        return batch

    def add(self, loss: Tensor) -> None:
        self.total = self.total + loss
        self.count += 1

    def values(self) -> dict[str, float]:
        seconds = max(time.perf_counter() - self.begun, 1e-9)
        return {
            "train_loss": float(self.total) / self.count,
            "crops_per_second": self.count * self.batch_size / seconds,
            "waiting": self.wait / seconds,
        }


def _metric(trainer: Trainer, meter: _Meter) -> Metric:
    values = meter.values()
    rate = learning_rate(trainer.settings, trainer.step - 1)
    if not math.isfinite(values["train_loss"]):
        raise TrainingError(
            f"The loss is no longer a number at step {trainer.step}; "
            f"lower optimisation.learning_rate (now {trainer.settings.optimisation.learning_rate:g})."
        )
    meter.restart()
    return Metric(step=trainer.step, values={**values, "learning_rate": rate})


def _validate(trainer: Trainer, folder: Path, same_style: list[Crop], held_out: list[Crop]) -> Iterator[Event]:
    settings = trainer.settings
    network = trainer.averaged.network
    same = evaluate(network, same_style, settings, trainer.device)
    other = evaluate(network, held_out, settings, trainer.device)
    values = {
        "same_style_loss": same.loss,
        "held_out_loss": other.loss,
        "same_style_f1": same.f1,
        "held_out_f1": other.f1,
    }
    for style, validation in (("same_style", same), ("held_out", other)):
        for name, f1 in validation.f1_of_classes.items():
            values[f"{style}_f1_{name}"] = f1
    if not math.isfinite(same.loss + other.loss):
        raise TrainingError(
            f"The validation loss is no longer a number at step {trainer.step}; lower optimisation.learning_rate."
        )
    yield Metric(step=trainer.step, values=values)
    shown = as_batch(held_out[:PREVIEWS], settings)
    targets = trainer.tensors(shown)[1].maps.amax(dim=1).cpu().numpy()
    for name, array in (
        ("image", shown.images),
        ("target", targets),
        ("prediction", other.maps[:PREVIEWS].max(axis=1)),
    ):
        yield preview(name, array, trainer.step, settings.pixel_size)
    if trainer.best.is_beaten_by(other):
        yield trainer.save_best(folder, other, same)
    yield trainer.save(folder)
