"""``stemlearn info``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_stemlearn.cli.paths import expand_home

if TYPE_CHECKING:
    from napari_stemlearn.micrograph import Micrograph


def info(
    image: Annotated[
        Path, typer.Argument(help="Micrograph: dm3, dm4, emd, ser, mrc, hspy, zspy or tif.", callback=expand_home)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell shape, pixel size, grey levels and metadata of the images in a file."""
    from napari_stemlearn.cli.printing import print_json
    from napari_stemlearn.formats import read_micrographs

    found = [_described(micrograph) for micrograph in read_micrographs(image)]
    if as_json:
        print_json(found)
        return
    import yaml

    for number, description in enumerate(found):
        if len(found) > 1:
            typer.echo(f"image {number}")
        typer.echo(yaml.safe_dump(description, sort_keys=False, allow_unicode=True, default_flow_style=None).rstrip())


def _described(micrograph: Micrograph) -> dict[str, Any]:
    from napari_stemlearn.errors import MicrographError
    from napari_stemlearn.formats.plain_values import plain
    from napari_stemlearn.micrograph import check_values

    frame = micrograph.frame(0)
    pixel_size = micrograph.pixel_size
    described: dict[str, Any] = {
        "name": micrograph.name,
        "axes": list(micrograph.axes),
        "shape": [int(length) for length in micrograph.data.shape],
        "type": str(micrograph.data.dtype),
        "pixel_size_angstrom": pixel_size if pixel_size is not None else "unknown; give it with --pixel-size",
    }
    if pixel_size is not None:
        described["field_of_view_angstrom"] = [round(side * pixel_size, 4) for side in micrograph.shape]
    described["first_frame"] = {
        "minimum": frame.min().item(),
        "maximum": frame.max().item(),
        "mean": float(frame.mean(dtype=float)),
    }
    try:
        check_values(frame, micrograph.name)
    except MicrographError as error:
        described["trouble"] = str(error)
    described["metadata"] = plain(micrograph.provenance)
    return described
