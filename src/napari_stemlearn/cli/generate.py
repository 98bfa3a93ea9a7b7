"""``stemlearn generate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_stemlearn.cli.paths import expand_home
from napari_stemlearn.cli.settings_options import PRESET_HELP, DeviceOption, SettingsOption, set_option

if TYPE_CHECKING:
    from napari_stemlearn.generation.settings import GenerateSettings


def generate(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="The data set, NAME.stemset; default: its name.", metavar="FOLDER", callback=expand_home
        ),
    ] = None,
    generator: Annotated[
        Path | None,
        typer.Option(
            "--generator",
            help="Folder of a trained generator; without it, plain simulations.",
            metavar="FOLDER",
            callback=expand_home,
        ),
    ] = None,
    structure: Annotated[
        str | None,
        typer.Option("--structure", help="Specimen: a preset, a crystal's name, or a CIF file.", callback=expand_home),
    ] = None,
    settings: SettingsOption = None,
    assignments: Annotated[list[str] | None, set_option("visible_mark=true or shape=[256,256]")] = None,
    preset: Annotated[str, typer.Option("--preset", help=PRESET_HELP + "default, tiny.")] = "default",
    number: Annotated[int | None, typer.Option("--number", "-n", help="How many micrographs.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Same seed, same micrographs.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the data set.")] = None,
    device: DeviceOption = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Processes; 0 for none, -1 for what this computer can.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", help="Address of a dask scheduler whose workers are taken.", metavar="ADDRESS"),
    ] = None,
    visible_mark: Annotated[
        bool, typer.Option("--visible-mark", help="Write into each micrograph that it is synthetic.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the set at --out; a larger --number adds to it.")
    ] = False,
) -> None:
    """Generate a data set of labelled micrographs: simulated, given the look of the day, marked as synthetic.

    Prints the folder of the data set. Ctrl-C stops; the same with --resume goes on.
    """
    from napari_stemlearn.cli import INTERRUPTED
    from napari_stemlearn.cli.printing import note
    from napari_stemlearn.cli.settings_options import chosen_settings
    from napari_stemlearn.cli.watching import stop_on_interrupt, watch
    from napari_stemlearn.datasets.places import ENDING, data_set_folder
    from napari_stemlearn.errors import SettingsError
    from napari_stemlearn.generation.generate import write_generated_set
    from napari_stemlearn.generation.settings import GenerateSettings
    from napari_stemlearn.learning.structure_mixture import mixture_named

    if out is not None and out.suffix != ENDING:
        out = out.with_name(out.name + ENDING)
    changes: dict[str, Any] = {
        "generator": str(generator) if generator is not None else None,
        "number": number,
        "device": device,
        "workers": workers,
        "scheduler": scheduler,
    }
    if resume:
        if settings or assignments or structure or preset != "default" or seed is not None or name or visible_mark:
            raise SettingsError(
                "A resumed set keeps its settings; give --resume with --out, and with --number, --generator, --device, "
                "--workers or --scheduler alone."
            )
        if out is None:
            raise SettingsError("Which set to go on with? Give its folder with --out.")
        chosen = chosen_settings(GenerateSettings, changes=changes, base=settings_of(out))
    else:
        changes |= {
            "structures": mixture_named(structure) if structure is not None else None,
            "seed": seed,
            "name": name or (out.stem if out is not None else None),
            "visible_mark": visible_mark or None,
        }
        chosen = chosen_settings(
            GenerateSettings,
            preset=preset,
            file=settings,
            assignments=assignments,
            changes=changes,
            first=("generator",),
        )
        _check_size(chosen, assignments or [])
    path = out or Path(data_set_folder(chosen.name))
    asked: list[bool] = []
    with stop_on_interrupt(lambda: asked.append(True)):
        done = watch(write_generated_set(chosen, path, resume=resume, should_stop=lambda: bool(asked)), "generating")
    if done.stopped:
        note(f"Stopped with {done.result['images']} images; go on with: stemlearn generate --out '{path}' --resume")
    typer.echo(str(path))
    if done.stopped:
        raise typer.Exit(INTERRUPTED)


def _check_size(chosen: GenerateSettings, assignments: list[str]) -> None:
    """Refuse a shape or pixel size inside imaging that the set would not get.

    Raises
    ------
    SettingsError
        Says what to give in its place.
    """
    from napari_stemlearn.errors import SettingsError
    from napari_stemlearn.generation.learnt_imaging import words_on_pixel_size, words_on_shape
    from napari_stemlearn.learning.generator_cards import read_generator_card

    if chosen.imaging is None:
        return
    names = [assignment.partition("=")[0].strip() for assignment in assignments]
    words = ""
    if "imaging.shape" in names:
        words = words_on_shape(chosen.imaging.shape)
    elif "imaging.pixel_size" in names and chosen.generator:
        card = read_generator_card(Path(chosen.generator).expanduser())
        words = words_on_pixel_size(chosen.imaging.pixel_size, card)
    if words:
        raise SettingsError(f"Setting imaging: {words}.")


def settings_of(path: Path) -> GenerateSettings:
    """Settings with which a set was generated.

    Raises
    ------
    FormatError
        If it is no data set.
    SettingsError
        If it was not generated.
    """
    from napari_stemlearn.datasets.store import open_data_set
    from napari_stemlearn.errors import SettingsError
    from napari_stemlearn.generation.settings import GenerateSettings

    try:
        return GenerateSettings.checked(open_data_set(path).settings)
    except SettingsError as error:
        raise SettingsError(f"{path} was not made by this program's generate: {error}") from error
