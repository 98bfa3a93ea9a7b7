"""File > Open Sample: a simulated day that needs no network, and public measured sets."""

from __future__ import annotations

from napari_stemlearn.widgets.layer_data import LayerData, image_layer_data, points_layer_data

GAP = 10.0
"""Angstrom between images shown side by side."""


def simulated_day() -> list[LayerData]:
    """Six unlabelled frames; beside them one frame with all its defects and columns."""
    from napari_stemlearn.samples import simulated_day as simulate_day

    day = simulate_day()
    micrograph = day.labelled.micrograph
    pixel_size = micrograph.require_pixel_size()
    beside = (0.0, day.stack.shape[1] * pixel_size + GAP)
    shared = {"pixel_size": pixel_size, "source": micrograph.name, "translate": beside, "stack": False}
    provenance = {"synthetic": True, "sample": "simulated WSe2 day"}
    return [
        image_layer_data(day.stack),
        image_layer_data(micrograph, translate=beside),
        points_layer_data(
            day.labelled.columns,
            name=f"{micrograph.name}: columns",
            kind="truth",
            visible=False,
            provenance=provenance,
            **shared,
        ),
        points_layer_data(
            day.labelled.defects,
            name=f"{micrograph.name}: defects",
            kind="truth",
            provenance=provenance,
            **shared,
        ),
    ]


def pt_single_atoms() -> list[LayerData]:
    """Four frames of single Pt atoms on carbon with the points that experts clicked."""
    return _public("pt-single-atoms")


def wse2_ti_doped() -> list[LayerData]:
    """Two detectors that saw Ti-doped WSe2 at the same time, with the class of every site."""
    return _public("wse2-ti-doped")


def _public(name: str) -> list[LayerData]:
    from napari_stemlearn.samples import load_public

    layers: list[LayerData] = []
    for micrograph, sites in load_public(name):
        layers.append(image_layer_data(micrograph))
        if sites is not None:
            layers.append(
                points_layer_data(
                    sites,
                    name=f"{micrograph.name}: labels",
                    kind="hand",
                    pixel_size=micrograph.pixel_size,
                    stack=micrograph.is_stack,
                    source=micrograph.name,
                    provenance={"sample": name, "synthetic": False},
                )
            )
    return layers
