"""``stemlearn dataset``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_stemlearn.cli.paths import expand_home

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(help="Look into data sets: what they hold, which images fulfil a query, images as files.")

PathArgument = Annotated[Path, typer.Argument(help="Data set: a folder NAME.stemset.", callback=expand_home)]
WhereArgument = Annotated[
    str, typer.Argument(help="Query, such as 'dose between 1e4 and 5e4 and class has vacancy1'; empty for all.")
]

MOST_COLUMNS = 8
"""Parameters that a table shows when none are named."""


@app.command("info")
def info(path: PathArgument, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Tell what a data set holds: images, classes, parameters and their ranges, origin."""
    from napari_stemlearn.cli.printing import print_json, print_table
    from napari_stemlearn.datasets.store import open_data_set

    found = open_data_set(path).info()
    if as_json:
        print_json(found)
        return
    import yaml

    parameters = found.pop("parameters")
    for key in ("bytes", "versions"):
        found.pop(key)
    if found["generator"]:
        found["generator"] = found["generator"]["name"]
    typer.echo(yaml.safe_dump(found, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110).rstrip())
    parameters = {name: ends for name, ends in parameters.items() if not name.endswith("_seed")}
    varied = {name: ends for name, ends in parameters.items() if ends[0] != ends[1]}
    fixed = len(parameters) - len(varied)
    if varied:
        typer.echo("")
        print_table(["parameter", "lowest", "highest"], [[name, *ends] for name, ends in varied.items()])
    typer.echo(f"{fixed} more parameters are the same in all images; --json prints them.")


@app.command("query")
def query(
    path: PathArgument,
    where: WhereArgument = "",
    columns: Annotated[
        str, typer.Option("--columns", help="Parameters and counts to print, with commas; 'all' for all.")
    ] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with all columns.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with all columns.")] = False,
) -> None:
    """Print the images that fulfil a query, one a line.

    Words: and, or, not, brackets; = != < <= > >= between; class has NAME; count(NAME). A parameter may be shortened
    to the last of its parts: dose is imaging.detector.dose.
    """
    from napari_stemlearn.cli.printing import note, print_json, print_table
    from napari_stemlearn.datasets.store import open_data_set
    from napari_stemlearn.errors import SettingsError

    if as_csv and as_json:
        raise SettingsError("Give --csv or --json, not both.")
    data_set = open_data_set(path)
    table = data_set.query(where)
    wanted = columns_named(table, columns) if columns else None
    if as_csv or as_json:
        table = table if wanted is None else table[wanted]
        if as_csv:
            typer.echo(table.to_csv(), nl=False)
        else:
            print_json(plain_rows(table))
        return
    if wanted is None:
        counts = [name for name in table.columns if name.startswith("n_")]
        varied = [name for name in table.columns if name not in counts and not name.endswith("_seed")]
        varied = [name for name in varied if table[name].nunique(dropna=False) > 1]
        wanted = counts + varied[:MOST_COLUMNS]
        left = len(varied) - MOST_COLUMNS
        if left > 0:
            note(f"{left} more parameters differ; --columns names those to print, --csv prints all.")
    rows = plain_rows(table[wanted])
    print_table(["image", *wanted], [list(row.values()) for row in rows])
    note(f"{len(table)} of {len(data_set)} images.")


@app.command("export")
def export(
    path: PathArgument,
    folder: Annotated[Path, typer.Argument(help="New or empty folder for the images.", callback=expand_home)],
    where: WhereArgument = "",
) -> None:
    """Write images as TIFF with their sites as CSV, and a table of all parameters.

    Ctrl-C stops after the image at hand.
    """
    from napari_stemlearn.cli import INTERRUPTED
    from napari_stemlearn.cli.watching import stop_on_interrupt, watch
    from napari_stemlearn.datasets.export import exporting
    from napari_stemlearn.datasets.store import open_data_set

    asked: list[bool] = []
    with stop_on_interrupt(lambda: asked.append(True)):
        done = watch(exporting(open_data_set(path), folder, where, should_stop=lambda: bool(asked)), "exporting")
    typer.echo(str(folder))
    if done.stopped:
        raise typer.Exit(INTERRUPTED)


def columns_named(table: pd.DataFrame, columns: str) -> list[str]:
    """Columns by their names or the last parts of these.

    Raises
    ------
    QueryError
        If there is no such column, or several.
    """
    from napari_stemlearn.datasets.queries import full_name

    if columns.strip().lower() == "all":
        return list(table.columns)
    return [full_name(name.strip(), list(table.columns)) for name in columns.split(",") if name.strip()]


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain values, missing ones as None, the number of the image first."""
    return [
        {"image": int(index), **{name: None if value != value else value for name, value in row.items()}}
        for index, row in zip(table.index, table.astype(object).to_dict("records"), strict=True)
    ]
