"""``stemlearn provenance``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_stemlearn.cli.paths import expand_home

if TYPE_CHECKING:
    from napari_stemlearn.formats.provenance import ProvenanceReport


def provenance(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Micrographs, pictures (png, jpg), or data sets.", callback=expand_home),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell whether images are synthetic: reads tags, metadata, files beside them and the watermark in the pixels.

    Finding no mark does not prove that an image was measured.
    """
    from napari_stemlearn.cli.printing import print_json
    from napari_stemlearn.formats.provenance import read_provenance

    if as_json:
        print_json([read_provenance(file).record() for file in files])
        return
    for file in files:
        _print(read_provenance(file))


def _print(report: ProvenanceReport) -> None:
    from napari_stemlearn.formats.provenance import describe_watermark

    typer.echo(f"{report.path}: {report.verdict}")
    for mark in report.marks:
        if mark.kind != "watermark":
            typer.echo(f"  {mark.kind} {mark.place}: {mark.words}")
    for name, finding in report.watermarks.items():
        place = f" of {name}" if len(report.watermarks) > 1 else ""
        typer.echo(f"  watermark{place}: {describe_watermark(finding)}")
    if report.trouble:
        typer.echo(f"  pixels not looked at: {report.trouble}")
    if report.synthetic and any(not mark.synthetic for mark in report.marks):
        typer.echo("  The marks contradict each other; one that says synthetic outweighs the others.")
