"""``stemlearn train-gan``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_stemlearn.cli.paths import expand_home
from napari_stemlearn.cli.runs import DEFAULT_RUNS, RunsFolderOption
from napari_stemlearn.cli.settings_options import PRESET_HELP, DeviceOption, SettingsOption, set_option
from napari_stemlearn.cli.training import BackgroundOption, OverwriteOption, ResumeOption


def train_gan(
    stack: Annotated[
        list[Path] | None,
        typer.Argument(help="Experimental images and stacks without labels, or their folder.", callback=expand_home),
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option("--pixel-size", help="Angstrom per pixel; default: what the files say.")
    ] = None,
    structure: Annotated[
        str | None,
        typer.Option(
            "--structure",
            help="Specimen of the simulations: a preset, a crystal's name, or a CIF file.",
            callback=expand_home,
        ),
    ] = None,
    simulated: Annotated[
        list[Path] | None,
        typer.Option(
            "--simulated",
            help="A simulated stack NAME.tif with NAME_sites.csv, a folder of such, or a data set, in place of "
            "--structure. Repeatable.",
            metavar="PATH",
            callback=expand_home,
        ),
    ] = None,
    settings: SettingsOption = None,
    assignments: Annotated[list[str] | None, set_option("steps=2000 or imaging.pixel_size=0.1")] = None,
    preset: Annotated[
        str, typer.Option("--preset", help=PRESET_HELP + "default, quick, paper, one-image, tiny.")
    ] = "default",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder that gets a copy of the generator.", metavar="FOLDER", callback=expand_home),
    ] = None,
    overwrite: OverwriteOption = False,
    name: Annotated[str | None, typer.Option("--name", help="Name of the generator.")] = None,
    device: DeviceOption = None,
    resume: ResumeOption = None,
    background: BackgroundOption = False,
    runs_folder: RunsFolderOption = DEFAULT_RUNS,
) -> None:
    """Teach simulations the look of an experimental stack (CycleGAN); labels stay in place.

    Prints the folder of the generator. Ctrl-C stops with a checkpoint; 'stemlearn train-gan --resume RUN' goes on.
    """
    from napari_stemlearn import jobs
    from napari_stemlearn.cli.printing import note
    from napari_stemlearn.cli.settings_options import chosen_settings
    from napari_stemlearn.cli.training import Training
    from napari_stemlearn.errors import SettingsError
    from napari_stemlearn.formats.folders import micrograph_files
    from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
    from napari_stemlearn.learning.generator_cards import (
        GENERATOR_CARD,
        GENERATOR_WEIGHTS,
        read_generator_card,
        words_on,
    )
    from napari_stemlearn.learning.readiness import check_cyclegan
    from napari_stemlearn.learning.structure_mixture import mixture_named

    files = (GENERATOR_WEIGHTS, GENERATOR_CARD)
    training = Training("train-gan", "cyclegan", "the training of a generator", "learning the look", "generator", files)
    training.check_out(out, background, overwrite)
    if resume is not None:
        if (
            stack
            or pixel_size
            or structure
            or simulated
            or settings
            or assignments
            or name
            or device
            or preset != "default"
        ):
            raise SettingsError("A resumed run keeps its images and settings; give --resume without others.")
        run = training.run_to_resume(resume, runs_folder)
    else:
        if structure is not None and simulated:
            raise SettingsError("Give --structure or --simulated, not both: a simulated stack is simulated already.")
        images = [str(path.absolute()) for path in micrograph_files(stack or [])]
        chosen = chosen_settings(
            CycleGANSettings,
            preset=preset,
            file=settings,
            assignments=assignments,
            changes={
                "experiment": images or None,
                "pixel_size": pixel_size,
                "structures": mixture_named(structure) if structure is not None else None,
                "simulated": [str(path.absolute()) for path in simulated or []] or None,
                "name": name,
                "device": device,
            },
        )
        check_cyclegan(chosen)
        run = jobs.create("cyclegan", chosen, runs_folder=runs_folder, label=chosen.name)
    generator = training.product(run, resumed=resume is not None, background=background, out=out)
    if generator is None:
        return
    for line in words_on(read_generator_card(generator)):
        note(line)
    typer.echo(str(generator))
