"""``stemlearn simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_stemlearn.cli.paths import expand_home
from napari_stemlearn.cli.settings_options import PRESET_HELP, DeviceOption, SettingsOption, set_option


def simulate(
    out: Annotated[
        Path,
        typer.Argument(help="Folder for the images; a set that was begun there is gone on with.", callback=expand_home),
    ],
    settings: SettingsOption = None,
    assignments: Annotated[list[str] | None, set_option("imaging.pixel_size=0.1 or imaging=varied (a preset)")] = None,
    preset: Annotated[str, typer.Option("--preset", help=PRESET_HELP + "default.")] = "default",
    number: Annotated[int | None, typer.Option("--number", "-n", help="How many micrographs.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Same seed, same micrographs.")] = None,
    device: DeviceOption = None,
) -> None:
    """Simulate labelled micrographs: TIFF images, CSV tables of all sites, a table of all parameters.

    Ctrl-C stops after the image at hand; the same command goes on.
    """
    from napari_stemlearn.cli import INTERRUPTED
    from napari_stemlearn.cli.settings_options import chosen_settings
    from napari_stemlearn.cli.watching import stop_on_interrupt, watch
    from napari_stemlearn.datasets.settings import SimulateSettings
    from napari_stemlearn.datasets.simulated import write_data_set

    changes = {"number": number, "seed": seed, "device": device}
    chosen = chosen_settings(SimulateSettings, preset=preset, file=settings, assignments=assignments, changes=changes)
    asked: list[bool] = []
    with stop_on_interrupt(lambda: asked.append(True)):
        done = watch(write_data_set(chosen, out, should_stop=lambda: bool(asked)), "simulating")
    typer.echo(str(out))
    if done.stopped:
        raise typer.Exit(INTERRUPTED)
