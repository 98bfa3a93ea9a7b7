"""``stemlearn train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_stemlearn.cli.paths import expand_home
from napari_stemlearn.cli.runs import DEFAULT_RUNS, RunsFolderOption
from napari_stemlearn.cli.settings_options import PRESET_HELP, DeviceOption, SettingsOption, set_option
from napari_stemlearn.cli.training import BackgroundOption, OverwriteOption, ResumeOption


def train(
    settings: SettingsOption = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe", help="Recipe of a shipped model, by its name, or a YAML file of one.", callback=expand_home
        ),
    ] = None,
    assignments: Annotated[list[str] | None, set_option("optimisation.steps=3000 or imaging=varied (a preset)")] = None,
    preset: Annotated[str, typer.Option("--preset", help=PRESET_HELP + "default, quick, tiny.")] = "default",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder that gets a copy of the trained model.", metavar="FOLDER", callback=expand_home
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    name: Annotated[str | None, typer.Option("--name", help="Name of the model.")] = None,
    device: DeviceOption = None,
    resume: ResumeOption = None,
    background: BackgroundOption = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS,
) -> None:
    """Train a network that finds atoms or defects, from simulations or from a stored set.

    Prints the folder of the trained model. Ctrl-C stops with a checkpoint; 'stemlearn train --resume RUN' goes on.
    """
    from napari_stemlearn import jobs
    from napari_stemlearn.cli.settings_options import chosen_settings
    from napari_stemlearn.cli.training import Training
    from napari_stemlearn.errors import SettingsError
    from napari_stemlearn.learning.readiness import check_training
    from napari_stemlearn.learning.recipes import load_recipe
    from napari_stemlearn.learning.settings import SegmentationSettings
    from napari_stemlearn.models.store import CARD, WEIGHTS

    training = Training("train", "train", "a training", "training", "model", (WEIGHTS, CARD))
    training.check_out(out, background, overwrite)
    if resume is not None:
        if settings or recipe or assignments or name or device or preset != "default":
            raise SettingsError("A resumed run keeps its settings; give --resume without other settings.")
        run = training.run_to_resume(resume, runs_folder)
    else:
        if recipe is not None and (settings is not None or preset != "default"):
            raise SettingsError("A recipe is complete; give --recipe without --settings and --preset.")
        chosen = chosen_settings(
            SegmentationSettings,
            preset=preset,
            file=settings,
            assignments=assignments,
            changes={"name": name, "device": device},
            base=load_recipe(recipe) if recipe is not None else None,
        )
        check_training(chosen)
        run = jobs.create("train", chosen, runs_folder=runs_folder, label=chosen.name)
    model = training.product(run, resumed=resume is not None, background=background, out=out)
    if model is not None:
        typer.echo(str(model))
