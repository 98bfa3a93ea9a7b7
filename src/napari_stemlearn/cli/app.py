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
    help="Find atoms and defects in atomic-resolution STEM images, with networks trained on simulations.",
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


app.command("simulate", short_help="Simulate labelled micrographs.")(simulate.simulate)
app.command("train", short_help="Train a network that finds atoms or defects.")(train.train)
app.command("train-gan", short_help="Teach simulations the look of your images (CycleGAN).")(train_gan.train_gan)
app.command("generate", short_help="Generate a data set with the look of your images.")(generate.generate)
app.add_typer(dataset.app, name="dataset", short_help="Look into data sets, query and export them.")
app.command("find", short_help="Find sites in images and stacks.")(find.find)
app.command("score", short_help="Score found sites against true ones.")(score.score)
app.add_typer(models.app, name="models")
app.add_typer(runs.app, name="runs", short_help="List, watch, stop, resume and delete runs.")
app.command("crystals")(crystals.crystals)
app.command("info", short_help="Tell shape, pixel size and metadata of a file.")(info.info)
app.command("provenance", short_help="Tell whether images were measured or made.")(provenance.provenance)
app.command("settings", short_help="Print settings as YAML, with units and ranges.")(settings.settings)
