"""``stemlearn crystals``."""

from __future__ import annotations

from typing import Annotated

import typer


def crystals(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the crystals known by name."""
    from dataclasses import asdict

    from napari_stemlearn.cli.printing import print_json, print_table
    from napari_stemlearn.structures.presets import describe_presets

    presets = describe_presets()
    if as_json:
        print_json([asdict(preset) for preset in presets])
        return
    print_table(
        ("name", "family", "a (A)", "zone axes", "sublattices", "what it is"),
        (
            (
                preset.name,
                preset.family,
                preset.lattice_constant,
                " ".join("[" + "".join(map(str, axis)) + "]" for axis in preset.zone_axes),
                preset.sublattices,
                preset.sentence,
            )
            for preset in presets
        ),
    )
