"""A look at a simulated stack before a training, whether it is in files or in the viewer; free of torch until then."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemlearn.errors import SitesError
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.widgets.experiment_look import marked_name
from napari_stemlearn.widgets.layers import about, our_layers, sites_from_layer, source_of

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

    from napari_stemlearn.learning.stored import LabelledFrame

ROLES = {"columns": "column", "defects": "defect"}
"""Parts of the truth that have layers of their own, and the ``kind`` of their sites."""


@dataclass(frozen=True)
class Wanted:
    """What a stack must fit.

    Parameters
    ----------
    pixel_size
        Of the experiment in angstrom; None where none is chosen yet.
    crop
        Side of the crops in pixels.
    count
        Images that are cut out of it.
    """

    pixel_size: float | None
    crop: int
    count: int


@dataclass(frozen=True)
class StackLook:
    """A stack that can be learnt from.

    Parameters
    ----------
    name
        Of the layer or the files.
    files
        That hold it; empty where a layer does.
    sentences
        What it holds, and whether it is resampled.
    """

    name: str
    files: tuple[str, ...]
    sentences: tuple[str, ...]


def site_layers(viewer: ViewerModel, image: Any) -> list[Any]:
    """Layers of truth that belong to an image layer; where there is none, those of hand labels."""
    for kind in ("truth", "hand"):
        found = [layer for layer in our_layers(viewer, kind) if source_of(viewer, layer) == image]
        if found:
            return found
    return []


def sites_of(viewer: ViewerModel, image: Any) -> pd.DataFrame:
    """Site table of an image layer: its layers of truth as the Simulate dock makes them, else its hand labels.

    Raises
    ------
    SitesError
        If no layer of sites belongs to it.
    """
    from napari_stemlearn.sites import concat_sites

    layers = site_layers(viewer, image)
    if not layers:
        raise SitesError(
            f"The layer '{image.name}' has no sites; whether labels survive is measured on them, so choose a "
            "simulation with the layers of its columns and defects, as the Simulate dock makes them."
        )
    return concat_sites(
        [
            _with_kind(sites_from_layer(layer, image, shown_only=False), ROLES.get(str(about(layer).get("role"))))
            for layer in layers
        ]
    )


def _with_kind(sites: pd.DataFrame, kind: str | None) -> pd.DataFrame:
    """What a training needs of a site table; ``kind`` as its layer tells, else by the class."""
    from napari_stemlearn.learning.simulated_stack import with_kind
    from napari_stemlearn.sites import COLUMNS

    sites = with_kind(sites) if kind is None else sites.assign(kind=kind)
    return sites[[name for name in (*COLUMNS, "kind", "sublattice") if name in sites]]


def look_at_stack_layer(micrograph: Micrograph, sites: pd.DataFrame, wanted: Wanted) -> StackLook:
    """Look at the image of a layer with its sites.

    Raises
    ------
    TrainingError, MicrographError
        If a training cannot learn from it.
    """
    from napari_stemlearn.learning.stored import labelled_by

    frames = labelled_by(micrograph, sites, f"The layers of '{micrograph.name}'")
    return _look(frames, micrograph.name, (), wanted)


def look_at_stack_files(paths: Sequence[str], wanted: Wanted) -> StackLook:
    """Look at files with their site tables, at all in a folder, or at a data set.

    Raises
    ------
    TrainingError, FormatError, SitesError, MicrographError
        If a training cannot learn from it.
    """
    from napari_stemlearn.learning.simulated_stack import stack_name, stored_frames

    files = tuple(str(Path(path).expanduser().absolute()) for path in paths)
    return _look(stored_frames(files), stack_name(files), files, wanted)


def _look(frames: Sequence[LabelledFrame], name: str, files: tuple[str, ...], wanted: Wanted) -> StackLook:
    from napari_stemlearn.learning.simulated_stack import SimulatedStack

    own = frames[0].pixel_size
    stack = SimulatedStack(
        frames, name, pixel_size=wanted.pixel_size or own, crop=wanted.crop, count=max(wanted.count, 1)
    )
    height, width = (min(frame.shape[axis] for frame in stack.frames) for axis in (0, 1))
    number = "1 frame" if len(frames) == 1 else f"{len(frames)} frames"
    columns, defects = (sum(found.values()) for found in stack.counts.values())
    taken = f" {len(stack.frames)} of them are taken." if len(stack.frames) < len(frames) else ""
    facts = (
        f"{number} of {height} × {width} pixels of {own:.4g} Å with {columns:,} columns and {defects:,} defects.{taken}"
    )
    return StackLook(name, files, (facts, stack.remark))


def write_stack_once(micrograph: Micrograph, sites: pd.DataFrame, folder: Path) -> tuple[str, ...]:
    """Write a stack as NAME.tif with NAME_sites.csv, unless it is there from an earlier training; returns the image.

    Parameters
    ----------
    micrograph
        Of the layer.
    sites
        Of all its frames.
    folder
        Made if missing.

    Raises
    ------
    FormatError
        If it cannot be written; nothing is left behind.
    """
    import pandas as pd

    from napari_stemlearn.formats import hash_micrograph, write_sites, write_tiff
    from napari_stemlearn.formats.atomic import make_folder
    from napari_stemlearn.formats.site_files import sidecar_path

    content = pd.util.hash_pandas_object(sites.astype(str), index=False).to_numpy().tobytes()
    mark = hashlib.sha256(hash_micrograph(micrograph).encode() + content).hexdigest()
    path = folder / marked_name(micrograph, mark)
    if not path.exists():
        make_folder(folder)
        # an image that is there has its sites
        table = write_sites(path.with_name(f"{path.stem}_sites.csv"), sites, micrograph=micrograph)
        try:
            write_tiff(path, micrograph)
        except BaseException:
            for left in (table, sidecar_path(table)):
                left.unlink(missing_ok=True)
            raise
    return (str(path),)
