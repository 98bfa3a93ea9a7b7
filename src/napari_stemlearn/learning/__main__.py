"""Train a model from a recipe: ``python -m napari_stemlearn.learning RECIPE --out FOLDER``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.events import Done, Event, Log, Metric, Progress, Started
from napari_stemlearn.learning.recipes import list_recipes, load_recipe
from napari_stemlearn.settings import parse_assignments, set_path


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when done, 2 for a fault of the input or a training that broke."""
    parser = argparse.ArgumentParser(prog="python -m napari_stemlearn.learning", description=__doc__)
    parser.add_argument("recipe", help=f"a YAML file, or one of {', '.join(list_recipes())}")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and the model")
    parser.add_argument("--steps", type=int, help="batches to learn from, in place of the recipe's")
    parser.add_argument("--minutes", type=float, help="stop after this long; resume goes on")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument(
        "--set", dest="changes", metavar="NAME=VALUE", action="append", default=[], help="change a setting"
    )
    given = parser.parse_args(arguments)
    try:
        settings = load_recipe(given.recipe)
        values = settings.record()
        _merge(values, parse_assignments(given.changes))
        if given.steps is not None:
            set_path(values, "optimisation.steps", given.steps)
        settings = type(settings).checked(values)
        from napari_stemlearn.learning.segmentation import train_segmentation

        begun = time.monotonic()

        def should_stop() -> bool:
            return given.minutes is not None and time.monotonic() - begun > 60 * given.minutes

        given.out.mkdir(parents=True, exist_ok=True)
        settings.save(given.out / "recipe.yaml")
        for event in train_segmentation(settings, given.out, resume=given.resume, should_stop=should_stop):
            line = _line(event)
            if line:
                print(f"{time.monotonic() - begun:8.1f} s  {line}", flush=True)
    except (StemlearnError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _merge(values: dict, changes: dict, prefix: str = "") -> None:
    for key, value in changes.items():
        if isinstance(value, dict):
            _merge(values, value, f"{prefix}{key}.")
        else:
            set_path(values, f"{prefix}{key}", value)


def _line(event: Event) -> str:
    if isinstance(event, Started):
        return f"{event.device} ({event.device_name}), {event.total} steps, from {event.resumed_at}"
    if isinstance(event, Log):
        return event.message
    if isinstance(event, Metric):
        return f"step {event.step}: " + ", ".join(f"{name} {value:.4g}" for name, value in event.values.items())
    if isinstance(event, Progress):
        return "" if event.stage == "train" else event.stage
    if isinstance(event, Done):
        return ("stopped: " if event.stopped else "done: ") + str(event.result.get("model", "no model yet"))
    return ""


if __name__ == "__main__":
    sys.exit(main())
