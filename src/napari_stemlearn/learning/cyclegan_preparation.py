"""What a CycleGAN learns from, checked and made before anything learns: experiment, settings, simulated images."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_stemlearn.atomic_writing import write_bytes
from napari_stemlearn.events import Event, Log, Progress
from napari_stemlearn.learning.checkpoints import checkpoint_path, make_checkpoint_folder
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.device import explained_writing
from napari_stemlearn.learning.experiment import Experiment, read_experiment
from napari_stemlearn.learning.failures import TrainingError
from napari_stemlearn.learning.likeness import likeness_to_crystals, likeness_to_images
from napari_stemlearn.learning.matched_settings import matched_settings
from napari_stemlearn.learning.simulated_stack import SimulatedStack
from napari_stemlearn.learning.simulation_pool import SimulatedImage, SimulationPool, simulated_images

MATCHED = "matched.json"
"""File beside the checkpoints: settings of the simulations as given and as matched to the experiment."""

STACK_SIDE = 512
"""Pixels a side of a simulated stack of which the spectrum is compared with that of the experiment."""


@dataclass(frozen=True)
class Prepared:
    """What a training learns from.

    Parameters
    ----------
    settings
        Matched to the experiment, where that is asked for.
    experiment
        The unlabelled experimental images.
    stack
        The simulated stack; None where simulations are made.
    pool
        The simulated images.
    side
        Of them, in pixels.
    """

    settings: CycleGANSettings
    experiment: Experiment
    stack: SimulatedStack | None
    pool: SimulationPool
    side: int


def prepare(
    settings: CycleGANSettings, folder: Path, *, resume: bool, should_stop: Callable[[], bool]
) -> Generator[Event, None, Prepared | None]:
    """Read and check the experiment, match the settings to it and make the simulated images.

    Parameters
    ----------
    settings, folder, resume, should_stop
        As of `cyclegan.train_cyclegan`.

    Returns
    -------
    Prepared or None
        None where it was stopped.

    Raises
    ------
    StemlearnError
        If images cannot be read or do not fit, or nothing can be written.
    """
    experiment = read_experiment(settings.experiment, settings.crop, settings.pixel_size)
    yield Log(
        message=f"{len(experiment.frames)} experimental frames at {experiment.pixel_size:.4g} angstrom per pixel."
    )
    if experiment.remark:
        yield Log(message=experiment.remark, level="warning")
    stack = SimulatedStack.of(settings, experiment.pixel_size) if settings.simulated else None
    if stack is not None:
        frames = "1 frame" if len(stack.frames) == 1 else f"{len(stack.frames)} frames"
        yield Log(message=f"Simulated images are cut out of {frames} of {stack.name}.")
        if stack.remark:
            yield Log(message=stack.remark)
    if settings.check_likeness:
        yield _compared(experiment, settings, stack)
    with explained_writing(folder):
        make_checkpoint_folder(folder)
    if settings.align_lattice and stack is None:
        settings, remarks = _matched(settings, experiment, folder, resume)
        for remark in remarks:
            yield Log(message=remark)
    side = max(2 * settings.crop, 192)
    if stack is not None:
        side = min(side, stack.smallest)
    images = []
    for image in _simulations(settings, experiment.pixel_size, side, stack, should_stop):
        images.append(image)
        yield Progress(len(images), settings.simulations, "simulations")
    if len(images) < settings.simulations:
        yield Log(message=f"Stopped after {len(images)} of {settings.simulations} simulations, as asked.")
        return None
    return Prepared(settings, experiment, stack, SimulationPool(images), side)


def _compared(experiment: Experiment, settings: CycleGANSettings, stack: SimulatedStack | None) -> Log:
    """Compare crystal and pixel size of experiment and simulations before anything learns.

    Raises
    ------
    TrainingError
        If they do not match.
    """
    if stack is not None:
        likeness = likeness_to_images(experiment, stack.looks(STACK_SIDE))
    else:
        likeness = likeness_to_crystals(experiment, settings.structures)
    if likeness.problem():
        raise TrainingError(likeness.problem())
    if likeness.judged:
        return Log(message=f"The spectrum of the experiment matches that of {likeness.crystal}.")
    return Log(
        message="The experiment and the simulations show too few lattice spots to tell whether crystal and pixel size "
        "match.",
        level="warning",
    )


def _matched(
    settings: CycleGANSettings, experiment: Experiment, folder: Path, resume: bool
) -> tuple[CycleGANSettings, tuple[str, ...]]:
    """Settings matched to the experiment; a resumed run takes those that it began with, to the last digit."""
    path = checkpoint_path(folder, "last").with_name(MATCHED)
    given = {name: settings.record()[name] for name in ("structures", "imaging")}
    if resume and path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["given"] == json.loads(json.dumps(given)):
            return settings.changed(**kept["matched"]), ()
    found = matched_settings(settings.structures, settings.imaging, experiment, cells=settings.fit_cell)
    settings = settings.model_copy(update={"structures": found.structures, "imaging": found.imaging})
    matched = {name: settings.record()[name] for name in given}
    with explained_writing(folder):
        write_bytes(path, json.dumps({"given": given, "matched": matched}).encode("utf-8"))
    return settings, found.remarks


def _simulations(
    settings: CycleGANSettings,
    pixel_size: float,
    side: int,
    stack: SimulatedStack | None,
    should_stop: Callable[[], bool],
) -> Iterator[SimulatedImage]:
    """Images to draw crops from: cut out of a stack, or simulated."""
    if stack is not None:
        return stack.images(side, should_stop)
    return simulated_images(
        settings.structures,
        settings.imaging,
        pixel_size=pixel_size,
        side=side,
        count=settings.simulations,
        seed=settings.seed,
        should_stop=should_stop,
    )
