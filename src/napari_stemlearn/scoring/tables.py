"""Scores as CSV and JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from napari_stemlearn.atomic_writing import write_bytes
from napari_stemlearn.errors import FormatError
from napari_stemlearn.scoring.bootstrapping import Bootstrap
from napari_stemlearn.scoring.scores import Scores
from napari_stemlearn.scoring.thresholds import Sweep


def scores_record(scores: Scores, sweep: Sweep | None = None, bootstrap: Bootstrap | None = None) -> dict[str, Any]:
    """Plain values for JSON; numbers that are not defined become None."""
    record: dict[str, Any] = {
        "rule": scores.matches.rule,
        "classes": rows_of(scores.table),
        "frames": rows_of(scores.per_frame),
        "left_out": scores.matches.left_out,
        "left_out_found": scores.matches.left_out_found,
        "notes": list(scores.matches.notes),
        "confusion": {
            "names": [str(name) for name in scores.confusion.columns],
            "true_in_rows_found_in_columns": scores.confusion.to_numpy().tolist(),
        },
    }
    if sweep is not None:
        record["sweep"] = {
            "best": rows_of(sweep.best),
            "curve": rows_of(sweep.curve),
            "every_score": sweep.every_score,
        }
    if bootstrap is not None:
        record["bootstrap"] = {
            "unit": bootstrap.unit,
            "n_units": bootstrap.n_units,
            "confidence": bootstrap.confidence,
            "intervals": rows_of(bootstrap.table),
        }
    return record


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as plain values, NaN as None."""
    return [
        {str(name): _plain(value) for name, value in zip(table.columns, row, strict=True)}
        for row in table.itertuples(index=False, name=None)
    ]


def _plain(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_scores(
    path: str | Path, scores: Scores, sweep: Sweep | None = None, bootstrap: Bootstrap | None = None
) -> Path:
    """Write scores; the ending decides: ``.csv`` holds the table of the classes, ``.json`` everything.

    Raises
    ------
    FormatError
        If the ending is another one or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() == ".csv":
        table = scores.table
        if bootstrap is not None:
            wide = bootstrap.table.pivot(index="class", columns="metric", values=["low", "high"])
            wide.columns = pd.Index([f"{metric}_{end}" for end, metric in wide.columns])
            table = table.merge(wide.reset_index(), on="class", how="left")
        text = table.to_csv(index=False)
    elif path.suffix.lower() == ".json":
        text = json.dumps(scores_record(scores, sweep, bootstrap), indent=1) + "\n"
    else:
        raise FormatError(f"Scores are written as .csv or .json, not as '{path.suffix or path.name}'.")
    try:
        write_bytes(path, text.encode("utf-8"))
    except OSError as error:
        raise FormatError(f"The scores cannot be written to {path}: {error.strerror or error}.") from error
    return path
