"""Train a network that marks sites in images: a plain generator of events."""

from __future__ import annotations

import logging
import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_stemlearn.events import Checkpoint, Done, Event, Log, Metric, Progress, Started, preview
from napari_stemlearn.learning.averaged import AveragedNetwork
from napari_stemlearn.learning.checkpoints import (
    check_same_settings,
    checkpoint_path,
    make_checkpoint_folder,
    network_tensors,
    optimiser_tensors,
    read_checkpoint,
    restore_network,
    restore_optimiser,
    write_checkpoint,
)
from napari_stemlearn.learning.crops import (
    HELD_OUT,
    SAME_STYLE,
    THRESHOLDS,
    Crop,
    LabelledBatch,
    as_batch,
    validation_crops,
)
from napari_stemlearn.learning.device import (
    choose_precision,
    explained_writing,
    fitting_batch_size,
    let_go,
    out_of_memory,
    shared_cores,
)
from napari_stemlearn.learning.failures import TrainingError, WorkerDiedError
from napari_stemlearn.learning.loading import iterate_batches, number_of_workers, open_source
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.starting_weights import mix_weights, take_weights
from napari_stemlearn.learning.targets import Targets, draw_targets
from napari_stemlearn.learning.torch_seeds import torch_seed
from napari_stemlearn.learning.validation import (
    Validation,
    absent_classes,
    card_scores,
    evaluate,
    loss_of,
    true_sites,
)
from napari_stemlearn.memory_errors import is_out_of_memory
from napari_stemlearn.models.card import SYNTHETIC_NOTE, ModelCard, NormalisationRecord
from napari_stemlearn.models.device import choose_device, device_name, memory_free_gb
from napari_stemlearn.models.store import load_model, save_model
from napari_stemlearn.networks.residual_unet import ResidualUNet

FREE_TO_CHANGE = (
    "name",
    "description",
    "device",
    "precision",
    "data.workers",
    "validation.every",
    "optimisation.report_every",
)
"""Settings that a resumed training may have otherwise than when it began."""

PREVIEWS = 4
"""Images shown at each validation."""

RISING = 0.1
"""Part of the steps in which the one-cycle learning rate rises."""


def learning_rate(settings: SegmentationSettings, step: int) -> float:
    """Learning rate of step number `step` (from 0), after Smith and Topin, arXiv 1708.07120, for ``one_cycle``."""
    optimisation = settings.optimisation
    part = step / max(optimisation.steps, 1)
    if optimisation.schedule == "constant":
        return optimisation.learning_rate
    if optimisation.schedule == "one_cycle":
        if part < RISING:
            return optimisation.learning_rate * (0.04 + 0.96 * part / RISING)
        part = (part - RISING) / (1 - RISING)
    return optimisation.learning_rate * max(0.5 * (1 + math.cos(math.pi * part)), 1e-3)


@dataclass
class _Best:
    """The best validation so far, by its loss on the held-out style."""

    f1: float = -1.0
    loss: float = math.inf

    def is_beaten_by(self, validation: Validation) -> bool:
        # F1 of a few rare defects in some dozen images jumps about; the loss of every pixel does not
        return validation.loss < self.loss


class _Training:
    """Everything that changes while a network learns."""

    def __init__(self, settings: SegmentationSettings) -> None:
        from lightning_fabric import Fabric

        # its one line about the precision is an event here
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        self.settings = settings
        self.device = choose_device(settings.device)
        self.precision = choose_precision(settings.precision, self.device)
        devices: Any = [self.device.index] if self.device.type == "cuda" else 1
        self.fabric = Fabric(accelerator=self.device.type, devices=devices, precision=self.precision)  # type: ignore[arg-type]
        torch.manual_seed(torch_seed(settings.seed))
        self.network = ResidualUNet(1, len(settings.targets.classes), **settings.network.model_dump())
        self.thresholds_of_start: dict[str, float] = {}
        if settings.start_from:
            self.thresholds_of_start = take_weights(self.network, settings).thresholds
        self.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = AveragedNetwork(self.network, settings.optimisation.ema)
        fused = self.device.type in ("cuda", "cpu")
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=settings.optimisation.learning_rate,
            weight_decay=settings.optimisation.weight_decay,
            fused=fused,
        )
        self.wrapped, self.wrapped_optimiser = self.fabric.setup(self.network, self.optimiser)
        self.best = _Best()
        self.step = 0

    def tensors(self, batch: LabelledBatch) -> tuple[Tensor, Targets]:
        """A batch on the device."""
        images = torch.from_numpy(batch.images).unsqueeze(1).to(self.device, non_blocking=True)
        images = images.contiguous(memory_format=torch.channels_last)
        targets = self.settings.targets
        shape = (len(images), len(targets.classes), *images.shape[-2:])
        radius = targets.radius / self.settings.pixel_size
        return images, draw_targets(batch.sites, shape, radius, kind=targets.shape, device=self.device)

    def learn(self, images: Tensor, targets: Targets) -> Tensor:
        """One step; returns the loss, still on the device."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, self.step)
        loss = loss_of(self.wrapped(images), targets, self.settings)
        self.fabric.backward(loss)
        if self.settings.optimisation.gradient_clip > 0:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.optimisation.gradient_clip)
        self.wrapped_optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.averaged.update(self.network, self.step)
        self.step += 1
        return loss.detach()

    def save(self, folder: Path) -> Checkpoint:
        """Write the checkpoint from which `restore` goes on."""
        tensors = {
            **network_tensors("network", self.network),
            **network_tensors("averaged", self.averaged.network),
            **optimiser_tensors(self.optimiser),
            "random.cpu": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        values = {
            "step": self.step,
            "best": [self.best.f1, self.best.loss if math.isfinite(self.best.loss) else None],
            "settings": self.settings.record(),
        }
        path = checkpoint_path(folder, "last")
        with explained_writing(path.parent):
            write_checkpoint(path, tensors, values)
        return Checkpoint(step=self.step, name="last", path=str(path))

    def restore(self, folder: Path) -> None:
        """Go back to the last checkpoint, bit by bit."""
        path = checkpoint_path(folder, "last")
        tensors, values = read_checkpoint(path)
        check_same_settings(values["settings"], self.settings.record(), path, FREE_TO_CHANGE)
        restore_network("network", self.network, tensors)
        restore_network("averaged", self.averaged.network, tensors)
        restore_optimiser(self.optimiser, tensors)
        torch.set_rng_state(tensors["random.cpu"])
        if self.device.type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], self.device)
        f1, loss = values["best"]
        self.best = _Best(f1, math.inf if loss is None else loss)
        self.step = int(values["step"])

    def save_best(self, folder: Path, validation: Validation, same: Validation) -> Checkpoint:
        """Keep the averaged weights with what they scored."""
        self.best = _Best(validation.f1, validation.loss)
        path = checkpoint_path(folder, "best")
        thresholds = validation.thresholds(self.thresholds_of_start)
        values = {
            "step": self.step,
            "thresholds": thresholds,
            "scores": _scores(self.settings, thresholds, validation, same),
        }
        with explained_writing(path.parent):
            write_checkpoint(path, network_tensors("averaged", self.averaged.network), values)
        return Checkpoint(step=self.step, name="best", path=str(path))


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
    training = _Training(settings)
    with explained_writing(folder):
        make_checkpoint_folder(folder)
    if resume and checkpoint_path(folder, "last").exists():
        training.restore(folder)
    elif not resume:
        for name in ("last", "best"):
            checkpoint_path(folder, name).unlink(missing_ok=True)
    steps = settings.optimisation.steps
    yield Started(
        device=str(training.device),
        device_name=device_name(training.device),
        memory_free_gb=memory_free_gb(training.device),
        total=steps,
        resumed_at=training.step,
    )
    workers = number_of_workers(settings)
    yield Log(message=f"Computing with {training.precision}; {workers} processes make images.")
    with shared_cores(training.device, workers):
        yield from _learn_all(training, folder, should_stop)


def _learn_all(training: _Training, folder: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    settings = training.settings
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
    if training.step < steps:
        batches = iterate_batches(settings, training.step)
        while training.step < steps:
            batch = None if should_stop() else _waited(meter, batches, should_stop)
            if batch is None:
                yield from _stop(training, meter, folder)
                return
            meter.add(_learn(training, batch))
            yield Progress(done=training.step, total=steps, stage="train")
            at_end = training.step == steps
            if training.step % settings.optimisation.report_every == 0 or at_end:
                yield _metric(training, meter)
            if training.step % settings.validation.every == 0 or at_end:
                yield from _validate(training, folder, same_style, held_out)
                meter.restart()
    yield Progress(done=steps, total=steps, stage="choose thresholds")
    yield Done(result=_finish(training, folder, same_style))


def _waited(meter: _Meter, batches: Iterator[LabelledBatch], should_stop: Callable[[], bool]) -> LabelledBatch | None:
    """The next batch; None where the process that makes it died while a stop was asked for."""
    try:
        return meter.waited(lambda: next(batches))
    except WorkerDiedError:
        # what ends the workers asks the training to stop as well
        if not should_stop():
            raise
        return None


def _stop(training: _Training, meter: _Meter, folder: Path) -> Iterator[Event]:
    """End early, with a checkpoint."""
    if meter.count:
        yield _metric(training, meter)
    yield training.save(folder)
    yield Log(message=f"Stopped at step {training.step} of {training.settings.optimisation.steps}, as asked.")
    yield Done(result=_result_of_best(training, folder), stopped=True)


def _learn(training: _Training, batch: LabelledBatch) -> Tensor:
    try:
        return training.learn(*training.tensors(batch))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        training.optimiser.zero_grad(set_to_none=True)
        let_go(error)

        def smaller(size: int) -> None:
            part = LabelledBatch(batch.images[:size], batch.sites[batch.sites[:, 0] < size])
            images, targets = training.tensors(part)
            training.fabric.backward(loss_of(training.wrapped(images), targets, training.settings))
            training.optimiser.zero_grad(set_to_none=True)

        size = len(batch.images)
        raise out_of_memory(training.device, size, fitting_batch_size(smaller, size)) from error


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


def _metric(training: _Training, meter: _Meter) -> Metric:
    values = meter.values()
    rate = learning_rate(training.settings, training.step - 1)
    if not math.isfinite(values["train_loss"]):
        raise TrainingError(
            f"The loss is no longer a number at step {training.step}; "
            f"lower optimisation.learning_rate (now {training.settings.optimisation.learning_rate:g})."
        )
    meter.restart()
    return Metric(step=training.step, values={**values, "learning_rate": rate})


def _validate(training: _Training, folder: Path, same_style: list[Crop], held_out: list[Crop]) -> Iterator[Event]:
    settings = training.settings
    network = training.averaged.network
    same = evaluate(network, same_style, settings, training.device)
    other = evaluate(network, held_out, settings, training.device)
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
            f"The validation loss is no longer a number at step {training.step}; lower optimisation.learning_rate."
        )
    yield Metric(step=training.step, values=values)
    shown = as_batch(held_out[:PREVIEWS], settings)
    targets = training.tensors(shown)[1].maps.amax(dim=1).cpu().numpy()
    for name, array in (
        ("image", shown.images),
        ("target", targets),
        ("prediction", other.maps[:PREVIEWS].max(axis=1)),
    ):
        yield preview(name, array, training.step, settings.pixel_size)
    if training.best.is_beaten_by(other):
        yield training.save_best(folder, other, same)
    yield training.save(folder)


def _result_of_best(training: _Training, folder: Path) -> dict[str, Any]:
    """Write the model of the best validation so far; nothing where there was none."""
    path = checkpoint_path(folder, "best")
    if not path.exists():
        return {}
    tensors, values = read_checkpoint(path)
    restore_network("averaged", training.averaged.network, tensors)
    return _write_model(training, folder, values["thresholds"], values["scores"])


def _finish(training: _Training, folder: Path, same_style: list[Crop]) -> dict[str, Any]:
    """Choose thresholds for the best weights on fresh images of the held-out style and write the model."""
    settings = training.settings
    tensors, _ = read_checkpoint(checkpoint_path(folder, "best"))
    restore_network("averaged", training.averaged.network, tensors)
    crops = validation_crops(open_source(settings), settings, THRESHOLDS, settings.validation.threshold_images)
    kept = 0.0
    if settings.start_from and settings.kept_of_start:
        network = training.averaged.network
        kept = mix_weights(network, settings, lambda mixed: evaluate(mixed, crops, settings, training.device).f1)
    held_out = evaluate(training.averaged.network, crops, settings, training.device)
    same = evaluate(training.averaged.network, same_style, settings, training.device)
    thresholds = held_out.thresholds(training.thresholds_of_start)
    scores = _scores(settings, thresholds, held_out, same)
    return _write_model(training, folder, thresholds, scores, kept=kept)


def _scores(
    settings: SegmentationSettings, thresholds: dict[str, float], held_out: Validation, same: Validation
) -> list[Any]:
    style_name = settings.validation.held_out_style
    scores = []
    what = "simulated" if settings.data.source == "simulation" else "stored"
    for validation, style in (
        (
            held_out,
            f"of the held-out style '{style_name}', on which the thresholds were chosen",
        ),
        (same, "of the training's own style, not learnt from"),
    ):
        count = len(validation.maps)
        scores += card_scores(validation, thresholds, settings, count, f"{count} {what} images {style}")
    return [entry.model_dump(mode="json", by_alias=True) for entry in scores]


def _note(settings: SegmentationSettings, kept: float) -> str:
    """What the model learnt from; that no experiment was used is said only where it is known."""
    if settings.data.source != "simulation":
        note = f"Trained on the stored set {settings.data.folder}."
    elif settings.data.generator:
        note = (
            f"Trained on simulated images with the look that {settings.data.generator} has learnt from experimental "
            "ones; no hand label was used."
        )
    else:
        note = SYNTHETIC_NOTE
    if settings.start_from:
        if note == SYNTHETIC_NOTE and not load_model(settings.start_from, "cpu").card.note.startswith(note):
            note = "Trained on simulated images."
        part = f"; a part of {kept:g} of them is kept" if kept else ""
        note += f" It started from the weights of {settings.start_from}{part}."
    return note


def _write_model(
    training: _Training, folder: Path, thresholds: dict[str, float], scores: list[dict[str, Any]], *, kept: float = 0.0
) -> dict[str, Any]:
    settings = training.settings
    network = training.averaged.network
    assert isinstance(network, ResidualUNet)
    source = open_source(settings)
    card = ModelCard(
        name=settings.name,
        description=settings.description,
        classes=tuple(settings.targets.classes),
        pixel_size=settings.pixel_size,
        pixel_size_range=source.pixel_size_range,
        normalisation=NormalisationRecord(**settings.normalisation.record()),
        network=network.record(),
        target_radius=settings.targets.radius,
        thresholds=thresholds,
        min_distance=settings.targets.min_distance,
        exclusive=settings.targets.exclusive,
        # with a generator, what it simulates is what was learnt from
        settings={**settings.record(), "structures": [part.record() for part in source.structures]},
        seed=settings.seed,
        versions={
            "napari-stemlearn": version("napari-stemlearn"),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        scores=tuple(scores),  # type: ignore[arg-type]
        note=_note(settings, kept),
    )
    result = folder / "result"
    card = save_model(result, network, card)
    return {"model": str(result), "thresholds": thresholds, "scores": card.record()["scores"]}
