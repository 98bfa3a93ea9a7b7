"""Micrographs and site tables as napari's layer data tuples, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.widgets.class_colours import KNOWN, colours_of
from napari_stemlearn.widgets.layers import (
    KEY,
    SCHEMA_VERSION,
    SITE_DIAMETER,
    SITE_DIAMETER_PIXELS,
    layout,
    origin_of,
    site_data,
    site_features,
    site_symbols,
)

if TYPE_CHECKING:
    from napari.layers import Layer

LayerData = tuple[Any, dict[str, Any], str]
"""Data, keyword arguments and type of a layer, as readers and samples hand them to napari."""


def image_layer_data(micrograph: Micrograph, **options: Any) -> LayerData:
    """An image layer with scale, units, axis labels and our metadata.

    Parameters
    ----------
    micrograph
        Image or stack; without a pixel size the layer is in pixels.
    **options
        Further arguments of the layer (``translate``, ``visible``, …).
    """
    details = {
        "name": micrograph.name,
        "metadata": {KEY: _record("image", provenance=micrograph.provenance, **origin_of(micrograph))},
        "rgb": False,
        **layout(micrograph.data.ndim, micrograph.pixel_size),
        **options,
    }
    return micrograph.data, details, "image"


def points_layer_data(
    sites: pd.DataFrame,
    *,
    name: str,
    kind: str | None = None,
    pixel_size: float | None = None,
    stack: bool | None = None,
    classes: list[str] | None = None,
    source: str | None = None,
    source_file: str | None = None,
    source_layer: Layer | None = None,
    provenance: dict[str, Any] | None = None,
    **options: Any,
) -> LayerData:
    """A Points layer with features ``class, score, origin``, ring or disc coloured by class, sized in angstrom.

    Parameters
    ----------
    sites
        Site table.
    name
        Name of the layer.
    kind
        Kind in the metadata; by default what the origins say (`kind_of_sites`).
    pixel_size
        In angstrom, where there is no source layer.
    stack
        Whether there is a frame axis; by default where a site lies in a later frame than the first.
    classes
        All classes in their order; they get their colours even where they have no site yet.
    source
        Name of the image that the sites belong to.
    source_file
        File of that image.
    source_layer
        Layer of that image; its placement is copied.
    provenance
        Kept in the metadata.
    **options
        Further arguments of the layer.
    """
    from napari_stemlearn.widgets.layers import pixel_size_of

    kind = kind or kind_of_sites(sites)
    if source_layer is not None:
        pixel_size = pixel_size_of(source_layer)
        stack = source_layer.ndim > 2 if stack is None else stack
    if stack is None:
        stack = len(sites) > 0 and int(sites["frame"].max()) > 0
    ndim = max(3 if stack else 2, source_layer.ndim if source_layer is not None and stack else 0)
    known = list(dict.fromkeys([*(classes or []), *sites["class"].astype(str)]))
    features = site_features(sites)
    details = {
        "name": name,
        "ndim": ndim,
        "features": features,
        "feature_defaults": _defaults(features, known),
        "metadata": {
            KEY: _record(
                kind,
                source=source,
                source_file=source_file,
                source_layer=source_layer,
                classes=known,
                provenance=dict(provenance or {}),
            )
        },
        "symbol": site_symbols(sites, kind),
        "size": max(SITE_DIAMETER / pixel_size if pixel_size else SITE_DIAMETER_PIXELS, 3.0),
        "face_color": "transparent",
        # the cycle, not colours of single points: a point added by hand takes the colour of its class
        "border_color": "class",
        "border_color_cycle": {**KNOWN, **colours_of([*KNOWN, *known])},
        "border_width": 0.12,
        "canvas_size_limits": (7, 10000),
        **layout(ndim, pixel_size, source_layer),
        **options,
    }
    return site_data(sites, ndim), details, "points"


def kind_of_sites(sites: pd.DataFrame) -> str:
    """Kind of a layer of sites: truth or predicted where all are; otherwise someone's labels."""
    origins = set(sites["origin"])
    return origins.pop() if origins in ({"truth"}, {"predicted"}) else "hand"


def layer_from_data(layer_data: LayerData | tuple[Any, ...]) -> Layer:
    """The layer that a tuple describes; writers get tuples and this is the way back to what we know of layers."""
    from napari.layers import Layer

    data, details, kind = layer_data
    return Layer.create(data, dict(details), kind)


def _defaults(features: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    # a new point would copy class and score of the last one
    defaults: dict[str, Any] = {"class": classes[0] if classes else "atom", "score": np.nan, "origin": "hand"}
    for column in features.columns:
        if column not in defaults:
            numeric = pd.api.types.is_float_dtype(features[column])
            first = features[column].iloc[0] if len(features) else ""
            defaults[column] = np.nan if numeric else first
    return {column: defaults[column] for column in features.columns}


def _record(
    kind: str, *, source: str | None = None, source_layer: Layer | None = None, **details: Any
) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "source": source,
        "source_id": str(source_layer.unique_id) if source_layer is not None else None,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **details,
    }
