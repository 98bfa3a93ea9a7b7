"""Finding sites in a micrograph, by a trained network or by the classical finder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemlearn.errors import MicrographError, ModelError, SettingsError
from napari_stemlearn.finding import classical
from napari_stemlearn.finding.column_radius import measure_texture
from napari_stemlearn.finding.found import Found, FrameFound, joined
from napari_stemlearn.finding.frame_reader import FrameReader, open_frame
from napari_stemlearn.finding.heap import release_freed
from napari_stemlearn.finding.image_refinement import refine_positions, set_back_close
from napari_stemlearn.finding.peaks import keep_apart, local_maxima, patch_radius, spot_centres
from napari_stemlearn.finding.rivals import strongest_of_rivals, with_rivals
from napari_stemlearn.finding.score_maps import ScoreMaps
from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.micrograph import Micrograph, check_micrograph
from napari_stemlearn.sites import inside, make_sites

if TYPE_CHECKING:
    from napari_stemlearn.models.card import ModelCard
    from napari_stemlearn.models.store import Model

LARGEST_FACTOR = 4.0
"""A pixel size farther than this factor outside the range of the card is refused."""

SMALLEST = 2
"""Least side in pixels of what a network sees; one pixel cannot be mirrored."""

TILES_BETWEEN_RELEASES = 4
"""After so many tiles of a frame freed memory is given back to the system."""


class Stopped(Exception):
    """Raised between two tiles when a search is asked to stop."""


def find(
    micrograph: Micrograph,
    model: Model | str | Path = classical.NAME,
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
    model: Model | str | Path = classical.NAME,
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
    settings = settings or FindSettings()
    finder = _finder(micrograph, model, settings)
    parts: list[FrameFound] = []
    stopped, fault = False, None
    try:
        # what came before a fault stays in the list
        parts.extend(_search(micrograph, finder, settings, frames, on_progress, should_stop, with_maps))
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
        record=finder.record(micrograph, settings),
        border=finder.border(micrograph.require_pixel_size(), settings),
        shape=micrograph.shape,
        classes=finder.wanted,
    )
    return found, fault


def find_frames(
    micrograph: Micrograph,
    model: Model | str | Path = classical.NAME,
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
    settings = settings or FindSettings()
    finder = _finder(micrograph, model, settings)
    if rivals:
        finder.exclusive = ()
    try:
        for part in _search(micrograph, finder, settings, frames, on_progress, should_stop, with_maps):
            if finder.notes:
                part = replace(part, notes=finder.notes + part.notes)
            yield part
    except Stopped:
        return


class Finder:
    """A finder that was checked against the micrograph and the settings.

    Parameters
    ----------
    name
        Of the model, or ``log``.
    classes
        Of the maps, in order.
    wanted
        Classes to report.
    collected
        Classes whose spots are looked for: the wanted ones, and those that can take a place from them.
    thresholds
        By class.
    min_distance
        In angstrom; None for the classical finder, which takes it from the column radius.
    exclusive
        Groups of classes of which a place holds only one.
    prepare
        Gives the score maps of a frame.
    notes
        On the whole micrograph.
    card
        Of the model, or None.
    """

    def __init__(
        self,
        name: str,
        classes: tuple[str, ...],
        settings: FindSettings,
        prepare: Callable[[FrameReader], ScoreMaps],
        *,
        card: ModelCard | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        for given in (*settings.classes, *settings.thresholds):
            if given not in classes:
                raise ModelError(f"The model '{name}' knows no class '{given}'; it knows {', '.join(classes)}.")
        self.name, self.classes, self.prepare, self.card, self.notes = name, classes, prepare, card, notes
        self.wanted = tuple(entry for entry in classes if not settings.classes or entry in settings.classes)
        self.exclusive = card.exclusive if card is not None else ()
        self.collected = with_rivals(self.wanted, self.classes, self.exclusive)
        own = {entry: card.threshold(entry) if card is not None else 0.5 for entry in classes}
        if settings.threshold is not None:
            own = dict.fromkeys(classes, settings.threshold)
        self.thresholds = {**own, **settings.thresholds}

    def record(self, micrograph: Micrograph, settings: FindSettings) -> dict[str, Any]:
        """Provenance of what it finds."""
        return {
            "model": self.name,
            "weights_sha256": self.card.weights_sha256 if self.card is not None else "",
            "pixel_size": micrograph.pixel_size,
            "thresholds": {name: self.thresholds[name] for name in self.wanted},
            "settings": settings.record(),
            "border": self.border(micrograph.require_pixel_size(), settings),
            "shape": list(micrograph.shape),
        }

    def border(self, pixel_size: float, settings: FindSettings) -> float:
        """Sites within this many pixels of the edge are left out; `pixel_size` of the image in angstrom."""
        if settings.border is not None:
            return float(settings.border)
        return self.card.target_radius / pixel_size if self.card is not None else 0.0


def _finder(micrograph: Micrograph, model: Model | str | Path, settings: FindSettings) -> Finder:
    check_micrograph(micrograph)
    if not isinstance(settings, FindSettings):
        raise SettingsError(f"Settings of a search are a FindSettings, not a value of type {type(settings).__name__}.")
    if not isinstance(model, (str, Path)) and not hasattr(model, "card"):
        raise ModelError(f"A model is a name, a folder or a loaded model, not a value of type {type(model).__name__}.")
    pixel_size = micrograph.require_pixel_size()
    if isinstance(model, str) and model == classical.NAME:
        return Finder(
            classical.NAME,
            (classical.CLASS,),
            settings,
            lambda reader: classical.classical_maps(reader, pixel_size, settings),
        )
    from napari_stemlearn.finding.inference import NetworkMaps

    if isinstance(model, (str, Path)):
        from napari_stemlearn.models.store import load_model

        loaded = load_model(model)
    else:
        loaded = model
    card = loaded.card
    check_size(card, pixel_size, micrograph)
    return Finder(
        card.name,
        card.classes,
        settings,
        lambda reader: NetworkMaps(reader, loaded, pixel_size, settings).maps(),
        card=card,
        notes=pixel_size_notes(card, pixel_size, micrograph.name),
    )


def check_size(card: ModelCard, pixel_size: float, micrograph: Micrograph) -> None:
    """Refuse a frame of which too little is left at the pixel size of a network.

    Raises
    ------
    MicrographError
        With the size before and after.
    """
    height, width = micrograph.shape
    rows, columns = (int(side * (pixel_size / card.pixel_size)) for side in (height, width))
    if min(rows, columns) < SMALLEST:
        raise MicrographError(
            f"'{micrograph.name}' is too small for the model '{card.name}': its {height} by {width} pixels are {rows} "
            f"by {columns} at {card.pixel_size:g} angstrom, where at least {SMALLEST} by {SMALLEST} are needed."
        )


def pixel_size_notes(card: ModelCard, pixel_size: float, name: str) -> tuple[str, ...]:
    """What the user should know about a pixel size, as full sentences.

    Raises
    ------
    MicrographError
        If it is more than four times outside of what the network has seen.
    """
    notes = []
    lowest, highest = card.pixel_size_range or (card.pixel_size / 2, card.pixel_size * 2)
    known = "" if card.pixel_size_range else " (taken as half to twice its own, since its card states no range)"
    if not lowest / LARGEST_FACTOR <= pixel_size <= highest * LARGEST_FACTOR:
        raise MicrographError(
            f"The pixel size of '{name}' is {pixel_size:g} angstrom; the model '{card.name}' was trained for "
            f"{lowest:g} to {highest:g} angstrom{known}: check the pixel size or choose another model."
        )
    if abs(pixel_size / card.pixel_size - 1) > 1e-9:
        notes.append(f"The image was resampled from {pixel_size:.4g} to {card.pixel_size:.4g} angstrom per pixel.")
    # a rounded pixel size at the end of the range is inside
    if not lowest * 0.999 <= pixel_size <= highest * 1.001:
        notes.append(
            f"The pixel size of {pixel_size:.4g} angstrom is outside the {lowest:g} to {highest:g} angstrom that the "
            f"model '{card.name}' was trained for{known}: check what it finds."
        )
    return tuple(notes)


def _search(
    micrograph: Micrograph,
    finder: Finder,
    settings: FindSettings,
    frames: Sequence[int] | None,
    on_progress: Callable[[int, int], None] | None,
    should_stop: Callable[[], bool] | None,
    with_maps: bool,
) -> Iterator[FrameFound]:
    chosen = range(micrograph.n_frames) if frames is None else [int(frame) for frame in frames]
    for frame in chosen:
        if not 0 <= frame < micrograph.n_frames:
            raise MicrographError(f"'{micrograph.name}' has no frame {frame}; it has 0 to {micrograph.n_frames - 1}.")
    for count, frame in enumerate(chosen):
        if should_stop is not None and should_stop():
            raise Stopped
        try:
            reader = open_frame(micrograph, frame)
        except MicrographError as error:
            if not (settings.skip_bad_frames and micrograph.is_stack):
                raise
            note = f"{str(error)[:-1]}; it was left out."
            border = finder.border(micrograph.require_pixel_size(), settings)
            yield FrameFound(frame, _no_sites(micrograph), notes=(note,), border=border)
            continue
        yield _search_frame(
            micrograph, frame, reader, finder, settings, (count, len(chosen)), on_progress, should_stop, with_maps
        )


def _no_sites(micrograph: Micrograph) -> pd.DataFrame:
    return make_sites([], [], "", pixel_size=micrograph.pixel_size, origin="predicted")


def _search_frame(
    micrograph: Micrograph,
    frame: int,
    reader: FrameReader,
    finder: Finder,
    settings: FindSettings,
    place: tuple[int, int],
    on_progress: Callable[[int, int], None] | None,
    should_stop: Callable[[], bool] | None,
    with_maps: bool,
) -> FrameFound:
    maps = finder.prepare(reader)
    kept = {name: np.zeros(maps.shape, np.float32) for name in finder.wanted} if with_maps else None
    margin = patch_radius(maps.spot_radius)
    spots: dict[str, list[NDArray[np.float64]]] = {name: [] for name in finder.collected}
    for done, tile in enumerate(maps.tiles, 1):
        if should_stop is not None and should_stop():
            raise Stopped
        wide_y, wide_x = tile.y.grown(margin, maps.shape[0]), tile.x.grown(margin, maps.shape[1])
        core = (tile.y.within(wide_y), tile.x.within(wide_x))
        every = maps.window(wide_y, wide_x)
        for name in finder.collected:
            values = every[finder.classes.index(name)]
            row, column = local_maxima(values, finder.thresholds[name], core)
            y, x = spot_centres(values, row, column, maps.spot_radius)
            score = values[row, column].astype(float)
            spots[name].append(np.stack([y + wide_y.start, x + wide_x.start, score], axis=1))
            if kept is not None and name in kept:
                kept[name][tile.y.start : tile.y.stop, tile.x.start : tile.x.stop] = values[core]
        if done % TILES_BETWEEN_RELEASES == 0:
            release_freed()
        if on_progress is not None:
            on_progress(place[0] * len(maps.tiles) + done, place[1] * len(maps.tiles))
    sites, notes = _sites_of(spots, micrograph, frame, reader, finder, settings, maps)
    border = finder.border(micrograph.require_pixel_size(), settings)
    return FrameFound(frame, sites, kept, maps.pixel_size if with_maps else None, maps.notes + notes, border)


def _sites_of(
    spots: dict[str, list[NDArray[np.float64]]],
    micrograph: Micrograph,
    frame: int,
    reader: FrameReader,
    finder: Finder,
    settings: FindSettings,
    maps: ScoreMaps,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """From spots in the maps to the site table of a frame."""
    pixel_size = micrograph.require_pixel_size()
    distance = settings.min_distance
    if distance is None:
        # two blobs closer than two standard deviations are one in the classical finder's maps
        distance = finder.card.min_distance if finder.card is not None else 2 * maps.spot_radius * maps.pixel_size
    y, x, score, label = _chosen(spots, finder, distance / maps.pixel_size)
    y, x = ((axis + 0.5) * (maps.pixel_size / pixel_size) - 0.5 for axis in (y, x))
    extra: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    on_image = settings.refine == "image" or (settings.refine == "auto" and finder.card is None)
    if on_image:
        sigma = _column_sigma(reader, pixel_size, settings, finder, maps)
        max_shift = min(settings.refine_max_shift, 0.45 * distance) / pixel_size
        fits = refine_positions(reader, y, x, sigma=sigma, max_shift=max_shift, polarity=settings.polarity)
        if finder.card is None:
            # at the edge the filter also answers to the flanks of columns that lie outside
            kept = ~fits["beyond_frame"].to_numpy(dtype=bool)
            fits, y, x, score, label = fits[kept].reset_index(drop=True), y[kept], x[kept], score[kept], label[kept]
        set_back_close(
            fits, y, x, label, (*((name,) for name in finder.wanted), *finder.exclusive), distance / pixel_size
        )
        y, x = fits["y"].to_numpy(), fits["x"].to_numpy()
        extra = {
            "position_error_angstrom": fits["error"].to_numpy() * pixel_size,
            "sigma_angstrom": fits["sigma"].to_numpy() * pixel_size,
            "amplitude": fits["amplitude"].to_numpy(),
            "refined": fits["refined"].to_numpy(dtype=bool),
        }
        refused = int((~fits["refined"]).sum())
        if refused:
            notes = (
                f"Frame {frame}: {refused} of {len(fits)} Gaussian fits were refused; these sites stay unrefined.",
            )
    sites = make_sites(y, x, label, pixel_size=pixel_size, frame=frame, score=score, origin="predicted", extra=extra)
    border = finder.border(pixel_size, settings)
    if border > 0:
        sites = sites[inside(sites, micrograph.shape, border)]
    return sites.reset_index(drop=True), notes


def _chosen(
    spots: dict[str, list[NDArray[np.float64]]], finder: Finder, distance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.object_]]:
    """Positions in map pixels, scores and classes of the spots that stay, apart in class and exclusive groups."""
    tables, labels = [], []
    for name, parts in spots.items():
        every = np.concatenate(parts) if parts else np.empty((0, 3))
        every = every[keep_apart(every[:, 0], every[:, 1], every[:, 2], distance)]
        tables.append(every)
        labels.append(np.full(len(every), name, dtype=object))
    table, label = np.concatenate(tables), np.concatenate(labels)
    y, x, score = table.T
    keep = strongest_of_rivals(y, x, score, label, finder.exclusive, distance)
    table, label = table[keep], label[keep]
    wanted = np.isin(label.astype(str), list(finder.wanted))
    table, label = table[wanted], label[wanted]
    order = np.lexsort((table[:, 1], table[:, 0]))
    y, x, score = table[order].T
    return y, x, score, label[order]


def _column_sigma(
    reader: FrameReader, pixel_size: float, settings: FindSettings, finder: Finder, maps: ScoreMaps
) -> float:
    """Expected standard deviation of a column in pixels of the image."""
    if finder.card is None:
        return maps.spot_radius
    radius = settings.column_radius
    if radius is None:
        radius = measure_texture(classical.sample_of(reader), pixel_size).column_radius
    return max(radius / np.sqrt(2) / pixel_size, 0.6)
