"""``stemlearn find``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_stemlearn.cli.models import FolderOption
from napari_stemlearn.cli.paths import expand_home
from napari_stemlearn.cli.settings_options import PRESET_HELP, SettingsOption, set_option

OTHER_TABLES = (".xlsx", ".xls", ".ods", ".txt", ".tsv", ".dat", ".json", ".tif", ".tiff", ".h5")
"""Endings of files that no folder has by chance."""


def find(
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Micrographs (dm3, dm4, emd, ser, mrc, hspy, zspy or tif), or their folder.", callback=expand_home
        ),
    ],
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="Name or folder of a model, or 'log' for no network.", callback=expand_home),
    ],
    folder: FolderOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="CSV file, or a folder for one CSV an image; default: CSV on stdout.",
            callback=expand_home,
        ),
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option("--pixel-size", help="Angstrom per pixel; default: what the files say.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Lowest score that counts; default: the model's.")
    ] = None,
    tta: Annotated[
        bool, typer.Option("--tta", help="Average over rotations and mirrorings: better, eight times slower.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace what is not as a search wrote it: labels, corrected tables, images."),
    ] = False,
    maps: Annotated[bool, typer.Option("--maps", help="Write the score maps beside the CSV.")] = False,
    title: Annotated[
        str | None, typer.Option("--title", help="Which image of files that hold several: its number or title.")
    ] = None,
    frames: Annotated[
        str | None, typer.Option("--frames", help="Frames to search, such as 0,2-5; default: all.")
    ] = None,
    settings: SettingsOption = None,
    assignments: Annotated[list[str] | None, set_option("border=5 or refine=image")] = None,
    preset: Annotated[str, typer.Option("--preset", help=PRESET_HELP + "default, careful, everything.")] = "default",
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda:0 or mps; default: auto.")] = None,
) -> None:
    """Find sites in images and stacks, and write them as a CSV table in pixels of the image.

    Sites of several images share one CSV with a column 'image', or get one CSV each where --out is a folder.
    """
    import tempfile

    from napari_stemlearn.cli import INTERRUPTED
    from napari_stemlearn.cli.frame_numbers import frame_numbers
    from napari_stemlearn.cli.printing import note
    from napari_stemlearn.cli.settings_options import chosen_settings
    from napari_stemlearn.cli.watching import stop_on_interrupt, watch
    from napari_stemlearn.errors import SettingsError
    from napari_stemlearn.finding.settings import FindSettings
    from napari_stemlearn.formats.folders import micrograph_files
    from napari_stemlearn.jobs.search import Request, search_files
    from napari_stemlearn.micrograph import check_pixel_size

    changes = {"threshold": threshold, "test_time_augmentation": tta or None}
    chosen = chosen_settings(FindSettings, preset=preset, file=settings, assignments=assignments, changes=changes)
    if pixel_size is not None:
        check_pixel_size(pixel_size, "the images")
    if maps and out is None:
        raise SettingsError("Score maps are files; give --out with --maps.")
    if out is not None and out.suffix.lower() in OTHER_TABLES:
        raise SettingsError(
            f"Sites are written as .csv, not as '{out.suffix}'; give a CSV file or a folder with --out."
        )
    request = Request(
        images=tuple(map(str, micrograph_files(images))),
        model=model,
        pixel_size=pixel_size,
        title=int(title) if title is not None and title.isdigit() else title,
        device=device or "auto",
        maps=maps,
        folders=tuple(map(str, folder or ())),
        overwrite=overwrite,
        frames=frame_numbers(frames) if frames is not None else None,
    )
    asked: list[bool] = []
    with tempfile.TemporaryDirectory() as scratch, stop_on_interrupt(lambda: asked.append(True)):
        target = out if out is not None else Path(scratch) / "sites.csv"
        try:
            done = watch(search_files(chosen, request, target, should_stop=lambda: bool(asked)), "searching")
        except Exception:
            if out is None and target.exists():
                # what was found before the fault goes where all of it would have gone
                typer.echo(target.read_text(encoding="utf-8"), nl=False)
            raise
        for table in done.result["tables"]:
            typer.echo(table if out is not None else Path(table).read_text(encoding="utf-8"), nl=out is not None)
    if done.stopped and not done.result["tables"]:
        note("Stopped before the first frame was searched; nothing was written.")
        raise typer.Exit(INTERRUPTED)
    classes = ", ".join(f"{count} {name}" for name, count in done.result["classes"].items())
    note(f"Found {done.result['sites']} sites{': ' + classes if classes else ''}.")
    if done.stopped:
        raise typer.Exit(INTERRUPTED)
