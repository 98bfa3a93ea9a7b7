"""Finding sites in a micrograph, by a trained network or by the classical finder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.finding.cautions import cautions
from napari_stemlearn.finding.classical_names import CLASSICAL
from napari_stemlearn.finding.finder import Finder, make_finder
from napari_stemlearn.finding.first_look import first_look
from napari_stemlearn.finding.found import Found, FrameFound, joined
from napari_stemlearn.finding.frame_reader import open_frame
from napari_stemlearn.finding.frame_search import Stopped, search_frame
from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import make_sites

if TYPE_CHECKING:
    from napari_stemlearn.models.store import Model


def find(
    micrograph: Micrograph,
    model: Model | str | Path = CLASSICAL,
    settings: FindSettings | None = None,
    *,
    frames: Sequence[int] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    with_maps: bool = False,
) -> Found:
    """Find the sites of a micrograph, frame by frame.

    Parameters
    ----------
    micrograph
        With its pixel size; any real type, memory maps and dask arrays included.
    model
        A loaded model, the name or folder of one, or ``"log"`` for the classical finder.
    settings
        None for the defaults.
    frames
        Frames of a stack to search; None for all.
    on_progress
        Called with tiles done and tiles in all.
    should_stop
        Asked between tiles; finished frames are kept.
    with_maps
        Keep the score maps (float32 at the network's pixel size).

    Returns
    -------
    Found
        Sites in pixels of `micrograph`, notes, and maps where asked for.

    Raises
    ------
    MicrographError
        If the pixel size is missing or absurd for the model, or a frame is constant or holds NaN; `find_kept` also
        gives the frames before that one.
    ModelError
        If there is no such model, or the settings name classes that it does not know.
    """
    found, fault = find_kept(
        micrograph,
        model,
        settings,
        frames=frames,
        on_progress=on_progress,
        should_stop=should_stop,
        with_maps=with_maps,
    )
    if fault is not None:
        raise fault
    return found


def find_kept(
    micrograph: Micrograph,
    model: Model | str | Path = CLASSICAL,
    settings: FindSettings | None = None,
    *,
    frames: Sequence[int] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    with_maps: bool = False,
) -> tuple[Found, Exception | None]:
    """Find the sites of a micrograph and keep finished frames where a later one breaks; parameters as of `find`.

    Returns
    -------
    found : Found
        Of the frames that were finished.
    fault : Exception or None
        What ended the search before its last frame.

    Raises
    ------
    MicrographError, ModelError
        As of `find`, where no frame was finished.
    """
    finder = make_finder(micrograph, model, settings or FindSettings())
    parts: list[FrameFound] = []
    stopped, fault = False, None
    try:
        # what came before a fault stays in the list
        parts.extend(_search(finder, frames, on_progress, should_stop, with_maps))
    except Stopped:
        stopped = True
    except Exception as error:
        if not parts:
            raise
        fault = error
    notes = finder.notes + (("The search was stopped before its end.",) if stopped else ())
    found = joined(
        parts,
        is_stack=micrograph.is_stack,
        stopped=stopped,
        notes=notes,
        record=finder.record(),
        border=finder.border,
        shape=micrograph.shape,
        classes=finder.wanted,
    )
    return found, fault


def find_frames(
    micrograph: Micrograph,
    model: Model | str | Path = CLASSICAL,
    settings: FindSettings | None = None,
    *,
    frames: Sequence[int] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    with_maps: bool = False,
    rivals: bool = False,
) -> Iterator[FrameFound]:
    """Find the sites of a micrograph and give each frame when it is done; parameters and errors as of `find`.

    With `rivals`, sites of exclusive classes are all given, for thresholds that are to be moved afterwards:
    `strongest_of_rivals` then says which of those above their thresholds stay.
    Asked to stop, it ends; the frame that it was in is not given.
    """
    finder = make_finder(micrograph, model, settings or FindSettings())
    if rivals:
        finder.exclusive = ()
    try:
        for part in _search(finder, frames, on_progress, should_stop, with_maps):
            if finder.notes:
                part = replace(part, notes=finder.notes + part.notes)
            yield part
    except Stopped:
        return


def _search(
    finder: Finder,
    frames: Sequence[int] | None,
    on_progress: Callable[[int, int], None] | None,
    should_stop: Callable[[], bool] | None,
    with_maps: bool,
) -> Iterator[FrameFound]:
    micrograph = finder.micrograph
    chosen = range(micrograph.n_frames) if frames is None else [int(frame) for frame in frames]
    for frame in chosen:
        if not 0 <= frame < micrograph.n_frames:
            raise MicrographError(f"'{micrograph.name}' has no frame {frame}; it has 0 to {micrograph.n_frames - 1}.")
    looked = False
    for count, frame in enumerate(chosen):
        if should_stop is not None and should_stop():
            raise Stopped
        try:
            reader = open_frame(micrograph, frame)
        except MicrographError as error:
            if not (finder.settings.skip_bad_frames and micrograph.is_stack):
                raise
            note = f"{str(error)[:-1]}; it was left out."
            none = make_sites([], [], "", pixel_size=micrograph.pixel_size, origin="predicted")
            yield FrameFound(frame, none, notes=(note,), border=finder.border)
            continue
        in_all = None if on_progress is None else _in_all(on_progress, count, len(chosen))
        part = search_frame(finder, reader, frame, on_progress=in_all, should_stop=should_stop, with_maps=with_maps)
        if not looked:
            # the frames of a stack show one specimen at one pixel size
            doubts = cautions(micrograph, finder.settings, finder.name, finder.card, part.border)
            doubts += first_look(reader, finder.pixel_size, finder.settings, finder.card)
            part, looked = replace(part, notes=part.notes + doubts), True
        yield part


def _in_all(on_progress: Callable[[int, int], None], before: int, count: int) -> Callable[[int, int], None]:
    """Tell of the tiles of all `count` frames, `before` of which are done, where those of one frame are told."""
    return lambda done, total: on_progress(before * total + done, count * total)
