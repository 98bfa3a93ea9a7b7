"""Search one frame: peaks of the score maps tile by tile, then the site table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemlearn.finding.classical import sample_of
from napari_stemlearn.finding.column_radius import measure_texture
from napari_stemlearn.finding.finder import Finder
from napari_stemlearn.finding.found import FrameFound
from napari_stemlearn.finding.frame_reader import FrameReader
from napari_stemlearn.finding.heap import release_freed
from napari_stemlearn.finding.image_refinement import refine_positions, set_back_close
from napari_stemlearn.finding.peaks import keep_apart, local_maxima, patch_radius, spot_centres
from napari_stemlearn.finding.rivals import strongest_of_rivals
from napari_stemlearn.finding.score_maps import ScoreMaps
from napari_stemlearn.finding.site_contrast import marks_all_columns, site_contrast, unseen_note
from napari_stemlearn.sites import inside, make_sites

TILES_BETWEEN_RELEASES = 4
"""After so many tiles of a frame freed memory is given back to the system."""


class Stopped(Exception):
    """Raised between two tiles when a search is asked to stop."""


def search_frame(
    finder: Finder,
    reader: FrameReader,
    frame: int,
    *,
    on_progress: Callable[[int, int], None] | None,
    should_stop: Callable[[], bool] | None,
    with_maps: bool,
) -> FrameFound:
    """Find the sites of one frame.

    Parameters
    ----------
    finder
        Of the search.
    reader
        Of the frame.
    frame
        Its index.
    on_progress
        Called with tiles done and tiles in all, of this frame.
    should_stop
        Asked before each tile.
    with_maps
        Keep the score maps.

    Raises
    ------
    Stopped
        Where `should_stop` says so.
    """
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
            on_progress(done, len(maps.tiles))
    sites, notes = _sites_of(spots, finder, reader, frame, maps)
    return FrameFound(frame, sites, kept, maps.pixel_size if with_maps else None, maps.notes + notes, finder.border)


def _sites_of(
    spots: dict[str, list[NDArray[np.float64]]],
    finder: Finder,
    reader: FrameReader,
    frame: int,
    maps: ScoreMaps,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """From spots in the maps to the site table of a frame."""
    settings, pixel_size, distance = finder.settings, finder.pixel_size, finder.min_distance(maps)
    y, x, score, label = _chosen(spots, finder, distance / maps.pixel_size)
    y, x = ((axis + 0.5) * (maps.pixel_size / pixel_size) - 0.5 for axis in (y, x))
    extra: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    on_image = settings.refine == "image" or (settings.refine == "auto" and finder.card is None)
    if on_image:
        sigma = _column_sigma(finder, reader, maps)
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
    if finder.card is not None and marks_all_columns(finder.card):
        extra["contrast"] = site_contrast(reader, y, x, pixel_size)
    sites = make_sites(y, x, label, pixel_size=pixel_size, frame=frame, score=score, origin="predicted", extra=extra)
    if finder.border > 0:
        sites = sites[inside(sites, finder.micrograph.shape, finder.border)]
    if "contrast" in extra:
        notes += unseen_note(sites["contrast"].to_numpy(), frame)
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


def _column_sigma(finder: Finder, reader: FrameReader, maps: ScoreMaps) -> float:
    """Expected standard deviation of a column in pixels of the image."""
    if finder.card is None:
        return maps.spot_radius
    radius = finder.settings.column_radius
    if radius is None:
        radius = measure_texture(sample_of(reader), finder.pixel_size).column_radius
    return max(radius / np.sqrt(2) / finder.pixel_size, 0.6)
