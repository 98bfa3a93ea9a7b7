"""``stemlearn models``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_stemlearn.cli.paths import expand_home

if TYPE_CHECKING:
    from napari_stemlearn.models.card import ModelCard

app = typer.Typer(help="List trained models, or show one.", invoke_without_command=True)

FolderOption = Annotated[
    list[Path] | None,
    typer.Option("--folder", help="Further folder of models. Repeatable.", metavar="FOLDER", callback=expand_home),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def models(ctx: typer.Context, folder: FolderOption = None, as_json: JsonOption = False) -> None:
    """List the trained models with their classes, pixel size and scores."""
    if ctx.invoked_subcommand is not None:
        return
    from napari_stemlearn.cli.printing import print_json, print_table
    from napari_stemlearn.models.store import list_models

    entries = list_models(_there(folder))
    if as_json:
        print_json([{"origin": entry.origin, "folder": str(entry.folder), **entry.card.record()} for entry in entries])
        return
    print_table(
        ("name", "origin", "classes", "pixel size (A)", "trained for (A)", "scores (F1)", "description"),
        (
            (
                entry.name,
                entry.origin,
                entry.card.classes,
                entry.card.pixel_size,
                _range(entry.card.pixel_size_range),
                _scores(entry.card),
                entry.card.description,
            )
            for entry in entries
        ),
    )


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name of a model, or its folder.", callback=expand_home)],
    folder: FolderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the card of a model: classes, thresholds, scores, settings, versions."""
    import yaml

    from napari_stemlearn.cli.printing import print_json
    from napari_stemlearn.models.card import read_card
    from napari_stemlearn.models.store import CARD, find_model

    place = find_model(name, _there(folder))
    record = {"folder": str(place), **read_card(place / CARD).record()}
    if as_json:
        print_json(record)
    else:
        typer.echo(yaml.safe_dump(record, sort_keys=False, allow_unicode=True).rstrip())


def _there(folders: list[Path] | None) -> list[Path]:
    """The further folders, which must be there: nobody asks for one that has no models."""
    from napari_stemlearn.errors import ModelError

    for folder in folders or []:
        if not folder.is_dir():
            why = "it is a file" if folder.exists() else "nothing is there"
            raise ModelError(f"{folder} is no folder of models: {why}.")
    return folders or []


def _range(values: tuple[float, float] | None) -> str:
    return "-" if values is None else f"{values[0]:g} to {values[1]:g}"


def _scores(card: ModelCard) -> str:
    """F1 of each class on the first set of images of the card."""
    first = [score for score in card.scores if score.measured_on == card.scores[0].measured_on]
    return ", ".join(f"{one.site_class} {'-' if one.f1 is None else f'{one.f1:.3f}'}" for one in first) or "-"
