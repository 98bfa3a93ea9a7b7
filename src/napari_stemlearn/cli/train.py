"""``stemlearn train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_stemlearn.cli.runs import DEFAULT_RUNS, RunsFolderOption
from napari_stemlearn.cli.settings_options import PresetOption, SetOption, SettingsOption


def train(
    settings: SettingsOption = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="Recipe of a shipped model, by its name, or a YAML file of one."),
    ] = None,
    assignments: SetOption = None,
    preset: PresetOption = "default",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder that gets a copy of the trained model.", metavar="FOLDER")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the model.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda:0, mps.")] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", help="Go on with this run: its name, folder, or 'last'.", metavar="RUN")
    ] = None,
    background: Annotated[
        bool, typer.Option("--background", help="Start a process of its own and return; see 'stemlearn runs'.")
    ] = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS,
) -> None:
    """Train a network that finds atoms or defects, from simulations or from a stored set.

    Prints the folder of the trained model. Ctrl-C stops with a checkpoint; 'stemlearn train --resume RUN' goes on.
    """
    from napari_stemlearn import jobs
    from napari_stemlearn.cli.delivery import check_out, delivered
    from napari_stemlearn.cli.printing import note
    from napari_stemlearn.cli.refusals import INTERRUPTED
    from napari_stemlearn.cli.runs import run_named
    from napari_stemlearn.cli.settings_options import chosen_settings
    from napari_stemlearn.cli.watching import stop_on_interrupt, watch
    from napari_stemlearn.errors import JobError, SettingsError
    from napari_stemlearn.learning.recipes import load_recipe
    from napari_stemlearn.learning.settings import SegmentationSettings
    from napari_stemlearn.models.store import CARD, WEIGHTS

    if resume is not None:
        if settings or recipe or assignments or name or device or preset != "default":
            raise SettingsError("A resumed run keeps its settings; give --resume without other settings.")
        run = run_named(resume, runs_folder)
        if run.job.kind != "train":
            raise JobError(f"The run {run.name} is a '{run.job.kind}' job, not a training.")
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
        if out is not None:
            check_out(out, CARD, "model")
        run = jobs.create("train", chosen, runs_folder=runs_folder, label=chosen.name)
    if background:
        if out is not None:
            raise SettingsError("With --background the model stays in the run folder; leave --out away.")
        run.resume() if resume is not None else run.start()
        typer.echo(str(run.folder))
        return
    note(f"Run folder: {run.folder}")
    with stop_on_interrupt(run.stop):
        done = watch(run.execute(resume=resume is not None), "training")
    if done.stopped:
        note(f"Stopped with a checkpoint; go on with: stemlearn train --resume {run.folder}")
        raise typer.Exit(INTERRUPTED)
    typer.echo(str(delivered(run.result_folder, out, (WEIGHTS, CARD), "model")))
