"""Layers of sites that a search wrote: known as ours, and whether somebody changed them since."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemlearn.widgets.layers import KEY, about, made_by_hand

if TYPE_CHECKING:
    from napari.layers import Points

OWN, WRITTEN = "layer_id", "written"
BOOKKEEPING = ("source_id", "source_file", OWN, WRITTEN)
"""Entries of the metadata that mean nothing outside of the viewer."""


def note(layer: Points, **details: Any) -> None:
    """Write down something about a layer; a duplicate of it keeps what it knew."""
    # Duplicate copies the metadata but not the record within
    layer.metadata[KEY] = {**about(layer), **details}


def mark_written(layer: Points) -> None:
    """Remember that the sites of a layer are what a search wrote."""
    note(layer, **{OWN: str(layer.unique_id), WRITTEN: fingerprint(layer)})
    # a function of no dock: sites that are added when the dock is closed are made by hand as well
    layer.events.data.connect(_added_by_hand)


def is_own(layer: Points) -> bool:
    """Whether a search wrote this very layer; a duplicate is nobody's."""
    return bool(about(layer).get(OWN) == str(layer.unique_id))


def is_edited(layer: Points) -> bool:
    """Whether sites of a layer are others than a search wrote."""
    return bool(about(layer).get(WRITTEN) != fingerprint(layer))


def fingerprint(layer: Points) -> str:
    """What changes with any position, class, score or other feature of a layer's sites."""
    import pandas as pd

    digest = hashlib.sha256(np.ascontiguousarray(layer.data, dtype=float).tobytes())
    for name, column in layer.features.items():
        digest.update(str(name).encode())
        digest.update(pd.util.hash_pandas_object(column, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def _added_by_hand(event: Any) -> None:
    if event.action == "added":
        made_by_hand(event.source, event.data_indices)
