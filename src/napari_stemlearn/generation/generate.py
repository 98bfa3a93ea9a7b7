"""Write a set of labelled micrographs, made by many workers: the work of a job."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_stemlearn.datasets.creation import create_data_set
from napari_stemlearn.datasets.entry import Entry
from napari_stemlearn.datasets.one_writer import only_writer
from napari_stemlearn.datasets.places import data_set_folder, is_data_set
from napari_stemlearn.datasets.simulated import small_part, told_once
from napari_stemlearn.datasets.store import DataSet, open_data_set
from napari_stemlearn.errors import FormatError, SettingsError
from napari_stemlearn.events import Done, Event, Log, Progress, Started, preview
from napari_stemlearn.file_errors import reason
from napari_stemlearn.generation.recipe import Recipe, recipe_of
from napari_stemlearn.generation.settings import GenerateSettings
from napari_stemlearn.generation.workers import check_scheduler, made_by_workers, made_here, number_of_workers
from napari_stemlearn.learning.structure_mixture import check_mixture
from napari_stemlearn.marking.visible_mark import check_visible_mark

WRITE_EVERY = 1.0
"""Seconds after which finished images are written together; a crash costs no more."""

WRITE_BYTES = 1 << 28
"""Bytes of finished images that are written at once."""

PREVIEW_EVERY = 2.0
"""Seconds between previews."""

MUCH_BEYOND = 0.05
"""Part of the pixels outside the grey levels of the generator from which on there is a warning."""

_FREE = ("name", "generator", "number", "device", "workers", "scheduler")
"""Settings that may differ when a set is gone on with; the generator is compared by its content."""


def generate_data_set(
    settings: GenerateSettings,
    folder: Path,
    *,
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Write a set into ``folder/result/NAME.stemset``: the work of a job; see `write_generated_set`.

    A set that was begun is gone on with whether or not `resume` is given.
    """
    path = Path(folder) / "result" / data_set_folder(settings.name)
    yield from write_generated_set(settings, path, resume=True, should_stop=should_stop)


def write_generated_set(
    settings: GenerateSettings,
    path: str | Path,
    *,
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Simulate labelled micrographs, translate them with a generator, mark them as synthetic and store them.

    Parameters
    ----------
    settings
        What to make, and by how many workers. On CPUs the same seed and settings give the same set bit by bit, whatever
        the number of workers; on GPUs the noise differs, its statistics do not.
    path
        Folder of the set, ending in ``.stemset``.
    resume
        Go on with a set that is there; images in it stay. The number of images may have grown.
    should_stop
        Asked between images.

    Yields
    ------
    Event
        The last is a `Done` with ``data_set`` (its folder), ``images``, ``columns`` and ``defects``.

    Raises
    ------
    SettingsError
        If the settings contradict each other, or the set was made with others.
    ModelError
        If the generator is missing or broken.
    JobError
        If workers die or cannot be reached.
    FormatError
        If a CIF file cannot be read, another program is making the set, or it cannot be written.
    """
    recipe = recipe_of(settings)
    check_mixture(recipe.structures)
    if settings.visible_mark:
        check_visible_mark(settings.shape, name="Each micrograph")
    if settings.scheduler:
        check_scheduler(settings.scheduler)
    with _begun(settings, recipe, Path(path).expanduser(), resume) as data_set:
        yield from _filled(data_set, settings, recipe, should_stop)


def _filled(
    data_set: DataSet, settings: GenerateSettings, recipe: Recipe, should_stop: Callable[[], bool]
) -> Iterator[Event]:
    """Make the images that are missing."""
    there = set(data_set.indices())
    wanted = [index for index in range(settings.number) if index not in there]
    workers = 0 if settings.scheduler else _workers(settings, recipe, len(wanted))
    yield _started(settings, workers, len(there & set(range(settings.number))))
    if there:
        yield Log(message=f"{len(there)} images are there already and stay.")
    if not wanted:
        images: Iterator[tuple[int, Entry]] = iter(())
    elif settings.scheduler or workers:
        yield Log(message=f"Made by {_who(settings.scheduler, workers)}.")
        images = made_by_workers(recipe, wanted, should_stop, workers=workers, scheduler=settings.scheduler)
    else:
        images = made_here(recipe, wanted, should_stop)
    done = 0
    for event in _stored(data_set, images, settings.number - len(wanted), settings.number):
        if isinstance(event, Progress):
            done = event.done - (settings.number - len(wanted))
        yield event
    totals = data_set.table.totals()
    result: dict[str, Any] = {"data_set": str(data_set.path), "images": len(data_set)}
    result |= {f"{kind}s": sum(totals.get(kind, {}).values()) for kind in ("column", "defect")}
    data_set.close()
    yield Done(result=result, stopped=done < len(wanted))


def _stored(data_set: DataSet, images: Iterator[tuple[int, Entry]], done: int, total: int) -> Iterator[Event]:
    """Write images as they come, some at a time, and tell how far it is."""
    yield Progress(done=done, total=total, stage="images")
    held: dict[int, Entry] = {}
    size = 0
    written = shown = -1e9
    warned = False
    told: set[str] = set()
    try:
        for index, entry in images:
            held[index] = entry
            size += entry.pixels.nbytes
            now = time.monotonic()
            yield from told_once(index, entry.notes, told)
            beyond = float(entry.row.parameters.get("translation.beyond_known_levels", 0.0))
            if beyond > MUCH_BEYOND and not warned:
                warned = True
                yield Log(message=_beyond(index, beyond), level="warning")
            if now - written < WRITE_EVERY and size < WRITE_BYTES:
                continue
            data_set.add_entries(held)
            done += len(held)
            held, size, written = {}, 0, now
            if now - shown >= PREVIEW_EVERY:
                shown = now
                yield preview("image", small_part(entry.pixels), index, data_set.pixel_size)
            yield Progress(done=done, total=total, stage="images")
    finally:
        # finished images are kept whatever ended the work
        data_set.add_entries(held)
    if held:
        yield Progress(done=done + len(held), total=total, stage="images")


@contextmanager
def _begun(settings: GenerateSettings, recipe: Recipe, path: Path, resume: bool) -> Iterator[DataSet]:
    """A new set, or the one that is there if it was made with the same settings; no other program makes it meanwhile.

    Raises
    ------
    SettingsError
        If a set is there that was made with other settings, or is not to be gone on with.
    FormatError
        If another program is making it, or it cannot be opened or written.
    """
    resolved = settings.changed(
        structures=[part.record() for part in recipe.structures], imaging=recipe.imaging.record()
    )
    record = resolved.record()
    if settings.generator:
        # found again from another working folder
        record["generator"] = str(Path(settings.generator).expanduser().absolute())
    generator = recipe.generator.record() if recipe.generator else None
    _remove_empty_set(path)
    new = not path.exists()
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
        create_data_set(
            path,
            shape=settings.shape,
            pixel_size=recipe.imaging.pixel_size,
            synthetic=True,
            name=settings.name,
            number=settings.number,
            settings=record,
            generator=generator,
            marks={"watermark": True, "visible_mark": recipe.visible_mark},
        )
    elif not is_data_set(path):
        # says what is wrong with it
        open_data_set(path)
    with only_writer(path):
        # another program may have begun another set here a moment ago
        data_set = open_data_set(path)
        if not (new or resume):
            raise SettingsError(f"The data set {path} is there already; resume it, or choose another name.")
        _check_same(data_set, record, generator)
        data_set.mend()
        data_set.grow(settings.number)
        yield data_set


def _check_same(data_set: DataSet, record: dict[str, Any], generator: dict[str, Any] | None) -> None:
    """Refuse to go on with a set that was made otherwise."""
    path, before = data_set.path, data_set.settings
    for name in sorted({*before, *record} - {*_FREE}):
        if before.get(name) != record.get(name):
            raise SettingsError(f"{path} was made with other settings ('{name}' differs); choose another name.")
    if (data_set.card["generator"] or {}).get("sha256") != (generator or {}).get("sha256"):
        raise SettingsError(f"{path} was made with another generator; choose another name.")


def _remove_empty_set(path: Path) -> None:
    """Take away a set that was begun here and of which no image was made: it keeps nobody from beginning another one.

    Raises
    ------
    FormatError
        If another program is making it.
    """
    if not is_data_set(path):
        return
    with only_writer(path) as writer:
        data_set = open_data_set(path)
        try:
            if len(data_set):
                return
        finally:
            data_set.close()
        rest = path.with_name(f".{path.stem[:40]}-{uuid.uuid4().hex[:12]}")
        if os.name != "posix":
            # Windows moves no folder with an open file, and so none in which another program has begun meanwhile
            writer.release()
        try:
            os.replace(path, rest)
        except OSError as error:
            raise FormatError(f"The empty data set {path} cannot be replaced: {reason(error)}.") from error
        shutil.rmtree(rest, ignore_errors=True)


def _started(settings: GenerateSettings, workers: int, there: int) -> Started:
    if settings.scheduler:
        return Started(device=settings.scheduler, total=settings.number, resumed_at=there)
    from napari_stemlearn.devices import choose_device, device_name, memory_free_gb

    device = choose_device(settings.device)
    name = device_name(device) if device.type != "cpu" else f"CPU, {max(workers, 1)} processes"
    return Started(
        device=str(device),
        device_name=name.replace("1 processes", "1 process"),
        memory_free_gb=memory_free_gb(device),
        total=settings.number,
        resumed_at=there,
    )


def _workers(settings: GenerateSettings, recipe: Recipe, images: int) -> int:
    from napari_stemlearn.devices import choose_device, memory_free_gb

    return number_of_workers(
        settings.workers,
        images,
        settings.shape,
        translated=recipe.generator is not None,
        gpu_memory=memory_free_gb(choose_device(settings.device)),
    )


def _who(scheduler: str, workers: int) -> str:
    if scheduler:
        return f"the workers of {scheduler}"
    return "one worker process" if workers == 1 else f"{workers} worker processes"


def _beyond(index: int, part: float) -> str:
    return (
        f"{100 * part:.0f} % of the pixels of simulation {index} lie outside the grey levels that the generator learnt "
        "from; take the imaging settings that it learnt from, or expect strange images."
    )
