"""Which label sets this program has at work, and what its label layers were when their set was last read or written.

Metadata cannot tell this: napari copies them with a layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from napari_stemlearn.labelling.hand_labels import same_labels

if TYPE_CHECKING:
    import pandas as pd

    from napari_stemlearn.labelling.label_store import LoadedSet
    from napari_stemlearn.widgets.label_session import LabelSession


@dataclass(frozen=True)
class KeptLayer:
    """A label layer at the moment when its set was read or written: its file, the file's stamp, its labels."""

    path: Path
    stamp: str | None
    sites: pd.DataFrame


_at_work: WeakSet[LabelSession] = WeakSet()
_layers: dict[str, KeptLayer] = {}


def take(session: LabelSession) -> None:
    """A session begins."""
    _at_work.add(session)


def release(session: LabelSession) -> None:
    """A session ends."""
    _at_work.discard(session)


def session_at(path: Path) -> LabelSession | None:
    """The session that has a file at work, in whichever viewer."""
    return next((one for one in _at_work if one.path == path and one.alive()), None)


def names_at_work(folder: Path) -> set[str]:
    """Names of the sets of a folder that are at work, on disk or not."""
    return {one.path.stem for one in _at_work if one.path.parent == folder and one.alive()}


def keep_layer(layer: Any, kept: KeptLayer) -> None:
    """Remember what a layer is now, as its set was just read or written."""
    _layers[str(layer.unique_id)] = kept


def kept_layer(layer: Any) -> KeptLayer | None:
    """What a layer was when its set was last read or written; None for a copy that napari made of it."""
    return _layers.get(str(layer.unique_id))


def forget_layer(layer: Any) -> None:
    """A layer left its viewer."""
    _layers.pop(str(layer.unique_id), None)


def newest(loaded: LoadedSet, left: pd.DataFrame | None, kept: KeptLayer | None) -> tuple[pd.DataFrame, bool]:
    """The labels to go on with, and whether those of a layer must be kept beside them.

    Parameters
    ----------
    loaded
        The set on disk.
    left
        Labels of a layer that an earlier session of the set left in the viewer.
    kept
        What that layer was when the set was last read or written.
    """
    on_disk = loaded.state.sites
    if left is None or kept is None or same_labels(left, on_disk):
        return on_disk, False
    if kept.stamp == loaded.stamp:
        # only the layer was changed
        return left, False
    return on_disk, not same_labels(left, kept.sites)
