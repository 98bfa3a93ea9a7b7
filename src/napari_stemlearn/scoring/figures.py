"""The figure of a score: precision-recall curves, position errors and the table of the classes."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stemlearn.atomic_writing import replacing
from napari_stemlearn.errors import FormatError
from napari_stemlearn.scoring.bootstrapping import Bootstrap
from napari_stemlearn.scoring.scores import Scores
from napari_stemlearn.scoring.thresholds import Sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure


FIGURE_EXTENSIONS = (".png", ".svg", ".pdf")
"""Endings of files that figures are written to."""


def write_figure(
    path: str | Path, scores: Scores, sweep: Sweep | None = None, bootstrap: Bootstrap | None = None, *, title: str = ""
) -> Path:
    """Write `scores_figure` as ``.png``, ``.svg`` or ``.pdf``, whole or not at all.

    Raises
    ------
    FormatError
        If the ending is another one or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FIGURE_EXTENSIONS:
        raise FormatError(f"Figures are written as .png, .svg or .pdf, not as '{path.suffix or path.name}'.")
    figure = scores_figure(scores, sweep, bootstrap, title=title)
    try:
        with replacing(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=150)
    except OSError as error:
        raise FormatError(f"The figure cannot be written to {path}: {error.strerror or error}.") from error
    return path


def scores_figure(
    scores: Scores, sweep: Sweep | None = None, bootstrap: Bootstrap | None = None, *, title: str = ""
) -> Figure:
    """Draw precision against recall, found minus true positions, and a table per class.

    Parameters
    ----------
    scores
        From `score`.
    sweep
        Adds the curves; without it there is one point a class.
    bootstrap
        Adds intervals to the table.
    title
        Above everything.

    Returns
    -------
    matplotlib.figure.Figure
        Not tied to any window; save it with ``figure.savefig``.
    """
    figure_class = _figure_class()
    figure = figure_class(figsize=(9.5, 5.6 + 0.22 * len(scores.table)), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(4.2, 0.6 + 0.32 * len(scores.table)))
    curve_axes, error_axes = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    names = list(scores.matches.classes)
    for index, name in enumerate(names):
        color = f"C{index % 10}"
        row = scores.of(name)
        label = name
        if sweep is not None:
            curve = sweep.of(name)
            curve_axes.plot(curve["recall"], curve["precision"], color=color, lw=1.5)
            average = sweep.best.loc[sweep.best["class"] == name, "average_precision"].iloc[0]
            label = f"{name} (average precision {_number(average)})"
        curve_axes.plot([row["recall"]], [row["precision"]], "o", color=color, label=label)
        pairs = scores.matches.pairs
        pairs = pairs[pairs["counted"].astype(bool) & (pairs["class"] == name)]
        error_axes.plot(pairs["dx_angstrom"], pairs["dy_angstrom"], ".", ms=3, color=color, alpha=0.6, label=name)
    curve_axes.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    reach = scores.matches.tolerance_angstrom
    error_axes.add_patch(_circle(reach))
    ticks = [-reach, -reach / 2, 0, reach / 2, reach]
    error_axes.set(
        xlabel="x found − true (Å)",
        ylabel="y found − true (Å)",
        xlim=(-1.1 * reach, 1.1 * reach),
        ylim=(1.1 * reach, -1.1 * reach),
        aspect="equal",
        xticks=ticks,
        yticks=ticks,
    )
    for axes in (curve_axes, error_axes):
        axes.grid(alpha=0.3)
    if names:
        curve_axes.legend(loc="lower left", fontsize=8)
    _draw_table(figure.add_subplot(grid[1, :]), scores, bootstrap)
    tolerance = f"one-to-one within {reach:.2g} Å"
    figure.suptitle(f"{title}: {tolerance}" if title else tolerance, fontsize=11)
    return figure


def _figure_class() -> type[Figure]:
    """Matplotlib's figure; where the home folder cannot be written it takes a temporary one, and need not say so."""
    logger = logging.getLogger("matplotlib")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        from matplotlib.figure import Figure
    finally:
        logger.setLevel(before)
    return Figure


def _circle(radius: float):  # type: ignore[no-untyped-def]
    from matplotlib.patches import Circle

    return Circle((0, 0), radius, fill=False, ls=":", color="0.5")


def _draw_table(axes, scores: Scores, bootstrap: Bootstrap | None) -> None:  # type: ignore[no-untyped-def]
    axes.axis("off")
    intervals = {}
    if bootstrap is not None:
        for row in bootstrap.table.itertuples(index=False, name=None):
            intervals[row[0], row[1]] = (row[3], row[4])
    cells = []
    for row in scores.table.to_dict("records"):
        cells.append([row["class"], row["n_truth"], row["tp"], row["fp"], row["fn"]])
        for metric in ("precision", "recall", "f1"):
            text = _number(row[metric])
            if (row["class"], metric) in intervals:
                low, high = intervals[row["class"], metric]
                text += f" [{_number(low)}, {_number(high)}]"
            cells[-1].append(text)
        cells[-1].append(_number(row["rms_error_angstrom"]))
    heads = ["class", "true", "TP", "FP", "FN", "precision", "recall", "F1", "rms (Å)"]
    table = axes.table(cells, colLabels=heads, loc="center", colWidths=[0.14, *[0.07] * 4, *[0.165] * 3, 0.09])
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    if bootstrap is not None:
        note = f"{bootstrap.confidence:.0%} intervals from {bootstrap.n_units} {bootstrap.unit}"
        axes.set_title(note, fontsize=8, loc="right", color="0.4")


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
