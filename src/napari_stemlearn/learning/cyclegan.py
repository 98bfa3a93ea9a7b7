"""CycleGAN between simulations and an unlabelled experimental stack, as a plain generator of events.

Zhu et al., ICCV 2017; with critics on Fourier amplitudes, Khan et al., npj Comput. Mater. 9 (2023) 85.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.devices import device_name, memory_free_gb
from napari_stemlearn.errors import MicrographError
from napari_stemlearn.events import Checkpoint, Done, Event, Log, Metric, Progress, Started
from napari_stemlearn.learning.checkpoints import checkpoint_path, write_checkpoint
from napari_stemlearn.learning.cyclegan_looks import compared_looks, look_at, survival_of
from napari_stemlearn.learning.cyclegan_preparation import Prepared, prepare
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.cyclegan_trainer import LOOKS, Trainer
from napari_stemlearn.learning.device import explained_writing, fitting_batch_size, let_go, out_of_memory
from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.learning.translators import save_translator
from napari_stemlearn.memory_errors import is_out_of_memory
from napari_stemlearn.scoring.realism import Realism, realism


def train_cyclegan(
    settings: CycleGANSettings,
    folder: Path,
    *,
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train a CycleGAN; yields events, writes checkpoints and the generator into `folder`.

    Parameters
    ----------
    settings
        What to learn from, and how.
    folder
        Run folder; ``checkpoints/`` and ``result/`` are written into it.
    resume
        Go on from the checkpoint ``last``.
    should_stop
        Asked before every step; on True a checkpoint is written and the generator ends.

    Raises
    ------
    StemlearnError
        If images do not fit, memory or disk run out, labels survive in no checkpoint, or it diverges from the start.
    """
    prepared = yield from prepare(settings, folder, resume=resume, should_stop=should_stop)
    if prepared is None:
        yield Done(stopped=True)
        return
    trainer = Trainer(prepared.settings, prepared.experiment, prepared.pool)
    if resume and checkpoint_path(folder, "last").exists():
        trainer.restore(checkpoint_path(folder, "last"))
    elif not resume:
        for name in ("last", "best"):
            checkpoint_path(folder, name).unlink(missing_ok=True)
    yield Started(
        device=str(trainer.device),
        device_name=device_name(trainer.device),
        memory_free_gb=memory_free_gb(trainer.device),
        total=settings.steps,
        resumed_at=trainer.step,
    )
    patches = prepared.experiment.patches(np.random.default_rng(settings.seed), LOOKS, prepared.side)
    before = realism(patches, prepared.pool.first(LOOKS))
    yield Metric(trainer.step, {f"simulation_{name}": value for name, value in before.record().items()})
    finished = yield from _learn_all(trainer, patches, folder, should_stop)
    if finished:
        yield from _finish(trainer, prepared, patches, before, folder)


def _learn_all(
    trainer: Trainer, patches: NDArray[np.float32], folder: Path, should_stop: Callable[[], bool]
) -> Generator[Event, None, bool]:
    """Learn and look, step by step; returns whether it came to its end.

    Raises
    ------
    TrainingError
        If no checkpoint was good enough to be kept.
    """
    settings, refused = trainer.settings, ""
    while trainer.step < settings.steps:
        if should_stop():
            yield _write(trainer, folder, "last")
            yield Done(result={"step": trainer.step}, stopped=True)
            return False
        losses = _learn(trainer)
        lost = trainer.steadiness.add(losses)
        if lost:
            yield _diverged(trainer, folder, lost)
            break
        if trainer.step % 10 == 0 or trainer.step == settings.steps:
            yield Metric(trainer.step, losses)
        yield Progress(trainer.step, settings.steps, "steps")
        if trainer.step % settings.every == 0 or trainer.step == settings.steps:
            look = look_at(trainer, patches)
            yield from look.events
            refused = look.refused
            if refused:
                yield Log(message=refused, level="warning")
            elif look.distance < trainer.best:
                trainer.best = look.distance
                yield _write(trainer, folder, "best")
            lost = trainer.steadiness.look(look.distance, bool(refused))
            if lost:
                yield _diverged(trainer, folder, lost)
                break
            yield _write(trainer, folder, "last")
    if not checkpoint_path(folder, "best").exists():
        raise TrainingError(refused or "No checkpoint was good enough to be kept.")
    return True


def _finish(
    trainer: Trainer, prepared: Prepared, patches: NDArray[np.float32], before: Realism, folder: Path
) -> Iterator[Event]:
    """Measure the best checkpoint and keep it as a generator."""
    settings = trainer.settings
    trainer.restore(checkpoint_path(folder, "best"))
    translator = trainer.translator()
    survival = survival_of(translator, trainer.pool, settings)
    after = realism(patches, translator.translate_stack(trainer.pool.first(LOOKS)))
    measured = {"labels": survival.record(), "realism": after.record(), "realism_of_simulation": before.record()}
    try:
        measured["looks"] = compared_looks(trainer, translator, prepared.side)
    except MicrographError as error:
        yield Log(message=f"KID and FID were not measured: {error}", level="warning")
    with explained_writing(folder):
        learnt = None if prepared.stack is None else prepared.stack.record()
        saved = save_translator(folder / "result" / settings.name, translator, settings, measured, learnt)
    yield Done(result={"generator": str(saved), "best_step": trainer.step, **survival.record(), **after.record()})


def _learn(trainer: Trainer) -> dict[str, float]:
    """One step.

    Raises
    ------
    TrainingError
        If memory runs out; says which batch or crop fits.
    """
    try:
        return trainer.learn()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        settings = trainer.settings

        def smaller(size: int, crop: int = settings.crop) -> None:
            # a trainer of its own: what is left of the failed step takes memory, and crops have a spectrum of their own
            tried = settings.model_copy(update={"batch_size": size, "crop": crop})
            Trainer(tried, trainer.experiment, trainer.pool).learn()

        for optimiser in trainer.optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        let_go(error)
        fitting = fitting_batch_size(smaller, settings.batch_size)
        # crops of 32 pixels are the smallest
        crop = 0 if fitting else 32 * fitting_batch_size(lambda parts: smaller(1, 32 * parts), settings.crop // 32)
        otherwise = f"a crop of {crop} pixels fits" if crop else "choose a smaller generator or another device"
        raise out_of_memory(trainer.device, settings.batch_size, fitting, otherwise) from error


def _diverged(trainer: Trainer, folder: Path, why: str) -> Log:
    """The word that the best checkpoint is kept after a training went wrong.

    Raises
    ------
    TrainingError
        If there is none.
    """
    message = f"The training diverged at step {trainer.step}: {why}."
    if checkpoint_path(folder, "best").exists():
        return Log(message=f"{message} The best checkpoint before is kept.", level="warning")
    raise TrainingError(
        f"{message} No checkpoint was good enough to be kept; lower the learning rate "
        f"(now {trainer.settings.learning_rate:g}) or raise the weights of cycle and identity."
    )


def _write(trainer: Trainer, folder: Path, name: str) -> Checkpoint:
    path = checkpoint_path(folder, name)
    with explained_writing(folder):
        write_checkpoint(path, trainer.tensors(), trainer.values())
    return Checkpoint(trainer.step, name, str(path))
