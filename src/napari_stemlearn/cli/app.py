"""The commands together."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_stemlearn.cli import (
    crystals,
    dataset,
    find,
    generate,
    info,
    models,
    provenance,
    runs,
    score,
    settings,
    simulate,
    train,
    train_gan,
)
from napari_stemlearn.cli.refusals import SentenceGroup

app = typer.Typer(
    name="stemlearn",
    cls=SentenceGroup,
    help="Find atoms and defects in atomic-resolution STEM and HRTEM images, with networks trained on simulations.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from napari_stemlearn import __version__

        typer.echo(f"napari-stemlearn {__version__}")
        raise typer.Exit


@app.callback()
def _stemlearn(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command("simulate")(simulate.simulate)
app.command("train")(train.train)
app.command("train-gan")(train_gan.train_gan)
app.command("generate")(generate.generate)
app.add_typer(dataset.app, name="dataset")
app.command("find")(find.find)
app.command("score")(score.score)
app.add_typer(models.app, name="models")
app.add_typer(runs.app, name="runs")
app.command("crystals")(crystals.crystals)
app.command("info")(info.info)
app.command("provenance")(provenance.provenance)
app.command("settings")(settings.settings)
