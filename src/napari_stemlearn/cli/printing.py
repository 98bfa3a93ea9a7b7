"""Plain tables and JSON on stdout."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import typer


def print_table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print columns side by side, the last one as long as it is."""
    table = [list(names), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(names) - 1)]
    for row in table:
        cells = [*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]
        typer.echo("  ".join(cells).rstrip())


def print_json(values: Any) -> None:
    """Print JSON; numbers that are not defined become null."""
    typer.echo(json.dumps(_plain(values), indent=1, ensure_ascii=False, default=str))


def note(sentence: str) -> None:
    """Say something to the person, beside the output."""
    typer.echo(sentence, err=True)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(entry) for entry in value)
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
