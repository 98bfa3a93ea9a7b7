"""Find sites in files: single images and stacks, one table for all or one for each."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemlearn.errors import (
    FormatError,
    JobError,
    MicrographError,
    MissingPixelSizeError,
    SettingsError,
    SeveralImagesError,
    SitesError,
    StemlearnError,
)
from napari_stemlearn.events import Done, Event, Log, Progress, Started
from napari_stemlearn.finding.classical_names import CLASSICAL, CLASSICAL_CLASS
from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.jobs.search_outputs import SearchOutputs
from napari_stemlearn.micrograph import Micrograph, same_pixel_size

if TYPE_CHECKING:
    from napari_stemlearn.finding.found import Found


@dataclass(frozen=True)
class Request:
    """What to search.

    Parameters
    ----------
    images
        Files of micrographs.
    model
        Name or folder of a model, or ``log`` for the classical finder.
    pixel_size
        Of all images in angstrom, where the files do not tell it or tell it wrongly.
    title
        Which image of files that hold several: number or title; other files take part with their only image.
    device
        ``auto``, ``cpu``, ``cuda:0``, ``mps``.
    maps
        Whether to write the score maps.
    folders
        Further folders of models to look for `model` in.
    overwrite
        Whether tables and images that are not as a search wrote them may be replaced.
    frames
        Frames of each stack to search, from 0; None for all.
    """

    images: tuple[str, ...]
    model: str
    pixel_size: float | None = None
    title: int | str | None = None
    device: str = "auto"
    maps: bool = False
    folders: tuple[str, ...] = ()
    overwrite: bool = False
    frames: tuple[int, ...] | None = None


def find_in_files(
    settings: FindSettings,
    folder: Path,
    *,
    inputs: dict[str, Any],
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Search files and write ``folder/result/sites.csv`` for one image, ``NAME_sites.csv`` for each of several.

    The work of a job. `inputs` are the fields of `Request`; `resume` begins again, as a search is short.

    Raises
    ------
    JobError
        If `inputs` do not make a `Request`.
    """
    try:
        paths = {"images": inputs["images"], "folders": inputs.get("folders", ())}
        listed: dict[str, Any] = {name: tuple(map(str, given)) for name, given in paths.items()}
        if inputs.get("frames") is not None:
            listed["frames"] = tuple(map(int, inputs["frames"]))
        request = Request(**{**inputs, **listed})
    except (TypeError, KeyError) as error:
        raise JobError(f"A search needs images and model as inputs: {error}.") from error
    result = Path(folder) / "result"
    out = result / "sites.csv" if len(request.images) == 1 else result
    yield from search_files(settings, request, out, should_stop=should_stop)


def search_files(
    settings: FindSettings, request: Request, out: Path, *, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """Search files and write what is found.

    Parameters
    ----------
    settings
        How to search.
    request
        What to search.
    out
        A name that ends in ``.csv`` takes the sites of all images; of several images ``frame`` counts through, and the
        columns ``image`` and ``image_frame`` tell where a site is from. Another name is a folder, which gets a table
        ``NAME_sites.csv`` for each image. Maps lie beside the tables as ``NAME_map_CLASS.tif``.
    should_stop
        Asked between tiles; images that were searched to their end, and finished frames of a stack, are kept, as they
        are where a later frame or image cannot be searched.

    Yields
    ------
    Event
        The last is a `Done` with ``tables`` (paths), ``sites``, ``classes`` (counts) and ``notes``.

    Raises
    ------
    FormatError, MicrographError
        If an image cannot be read or searched, or what is found cannot be written. Files and targets are looked at
        before the search begins; what breaks later is told with what was written until then.
    ModelError
        If the model is unknown or broken.
    SettingsError
        If an image lacks one of the frames.
    SitesError
        If images of different pixel sizes are to share one table, or a table is there that no search wrote.
    """
    outputs = SearchOutputs(out, request.images)
    names = outputs.names
    sizes = _checked_all(request)
    if outputs.one_table and len(names) > 1 and not same_pixel_size(min(sizes), max(sizes)):
        raise SitesError(
            f"The images have pixel sizes from {min(sizes):.4g} to {max(sizes):.4g} angstrom, which one table cannot "
            "hold; give a folder, which gets one table for each, or give one --pixel-size for all."
        )
    model, device = _loaded(request)
    outputs.prepare(_map_classes(model, settings) if request.maps else (), overwrite=request.overwrite)
    yield Started(device=device[0], device_name=device[1], memory_free_gb=device[2])
    notes: list[str] = []
    counts: Counter[str] = Counter()
    stopped = False
    try:
        for name, path in zip(names, request.images, strict=True):
            stopped = stopped or should_stop()
            if stopped:
                break
            micrograph = _read(path, request)
            found, fault = yield from _search(
                micrograph, name, model, settings, request.maps, should_stop, request.frames
            )
            for note in found.notes:
                notes.append(f"{name}: {note}" if len(names) > 1 else note)
                yield Log(message=notes[-1])
            try:
                outputs.add(name, micrograph, found)
            finally:
                # what ended the search goes before a table that cannot be written for the same reason
                if fault is not None:
                    raise fault
            counts.update({entry: int((found.sites["class"] == entry).sum()) for entry in found.record["thresholds"]})
            stopped = found.stopped
    except Exception as fault:
        outputs.finish()
        told = outputs.told(fault)
        if told is not fault:
            raise told from fault
        if outputs.kept_words():
            yield Log(message=f"Before the fault, {outputs.kept_words()}.", level="warning")
        raise
    outputs.finish()
    result = {"tables": outputs.written, "sites": counts.total(), "classes": dict(counts), "notes": notes}
    yield Done(result=result, stopped=stopped)


def _search(
    micrograph: Micrograph,
    name: str,
    model: Any,
    settings: FindSettings,
    with_maps: bool,
    should_stop: Callable[[], bool],
    frames: tuple[int, ...] | None,
) -> Generator[Event, None, tuple[Found, Exception | None]]:
    """Search one micrograph in a thread, so that its tiles can be reported while it works."""
    from napari_stemlearn.finding import find_kept

    reports: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    left = threading.Event()

    def work() -> None:
        try:
            found = find_kept(
                micrograph,
                model,
                settings,
                frames=frames,
                on_progress=lambda done, total: reports.put(("tiles", (done, total))),
                should_stop=lambda: left.is_set() or should_stop(),
                with_maps=with_maps,
            )
            reports.put(("found", found))
        except BaseException as error:
            reports.put(("error", error))

    worker = threading.Thread(target=work, name="search", daemon=True)
    worker.start()
    try:
        while True:
            kind, value = reports.get()
            if kind == "tiles":
                yield Progress(done=value[0], total=value[1], stage=f"tiles of {name}")
            elif kind == "error":
                raise value
            else:
                return value  # type: ignore[no-any-return]
    finally:
        left.set()
        worker.join()


def _loaded(request: Request) -> tuple[Any, tuple[str, str, float | None]]:
    """The model, and the device with its name and free memory."""
    if request.model == CLASSICAL:
        return CLASSICAL, ("cpu", "", None)
    from napari_stemlearn.devices import device_name, memory_free_gb
    from napari_stemlearn.models.store import load_model

    model = load_model(request.model, request.device, folders=request.folders)
    return model, (str(model.device), device_name(model.device), memory_free_gb(model.device))


def _map_classes(model: Any, settings: FindSettings) -> tuple[str, ...]:
    classes = (CLASSICAL_CLASS,) if model == CLASSICAL else model.card.classes
    return tuple(name for name in classes if not settings.classes or name in settings.classes)


def _read(path: str, request: Request, lazy: bool | None = None) -> Micrograph:
    from napari_stemlearn.formats import read_micrographs
    from napari_stemlearn.formats.reading import chosen_image

    found = read_micrographs(path, pixel_size=request.pixel_size, lazy=lazy)
    # among several files a title is meant for those that need one
    title = request.title if len(found) > 1 or len(request.images) == 1 else None
    return chosen_image(found, path, title)


def _checked_all(request: Request) -> list[float]:
    """Pixel sizes of all images in angstrom.

    Raises
    ------
    FormatError, MicrographError
        As of `search_files`; of several images, names all that cannot be read.
    """
    sizes: list[float] = []
    unreadable: dict[str, StemlearnError] = {}
    unfit: list[StemlearnError] = []
    unscaled: list[str] = []
    for path in request.images:
        try:
            sizes.append(_checked(path, request))
        except MissingPixelSizeError as error:
            unscaled.append(Path(path).name)
            unfit.append(error)
        except SeveralImagesError as error:
            unfit.append(error)
        except (FormatError, MicrographError) as error:
            if Path(path).exists():
                unreadable[Path(path).name] = error
            else:
                unfit.append(error)
    if unreadable and len(request.images) > 1:
        first = next(iter(unreadable.values()))
        reason = str(first).removesuffix(".")
        if len(unreadable) == 1:
            raise type(first)(f"{reason}; move it away, or name the files to be searched.") from first
        raise FormatError(
            f"{len(unreadable)} of {len(request.images)} images cannot be read: {', '.join(unreadable)}; move them "
            f"away, or name the files to be searched (the first one: {reason})."
        ) from first
    if len(unscaled) > 1 and not unreadable and isinstance(unfit[0], MissingPixelSizeError):
        raise MissingPixelSizeError(
            f"{len(unscaled)} of {len(request.images)} images do not tell their pixel size: {', '.join(unscaled)}; "
            "name the files to be searched, or give it in angstrom."
        )
    if unreadable or unfit:
        raise (*unreadable.values(), *unfit)[0]
    return sizes


def _checked(path: str, request: Request) -> float:
    """Pixel size of an image that can be read."""
    try:
        micrograph = _read(path, request, lazy=True)
        if request.frames and max(request.frames) >= micrograph.n_frames:
            last = micrograph.n_frames - 1
            raise SettingsError(f"{Path(path).name} has no frame {max(request.frames)}; it has 0 to {last}.")
        return micrograph.require_pixel_size()
    except MissingPixelSizeError as error:
        name = Path(path).name
        raise MissingPixelSizeError(f"{name} does not tell its pixel size; give it in angstrom.") from error
