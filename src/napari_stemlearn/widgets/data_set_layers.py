"""Images of a data set as layers: a stack that is read when it is looked at, with its columns and defects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemlearn.errors import FormatError
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.widgets.layers import (
    KEY,
    about,
    add_image,
    add_sites,
    go_to_frame,
    origin_of,
    our_layers,
    update_sites,
)

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

    from napari_stemlearn.datasets.store import DataSet

SHOWN_IMAGES = 16
"""Images that are shown at most; the others stay on disk."""

SHOWN_SITES = 120_000
"""Sites from which on fewer images are shown, since each is a point to be drawn."""


@dataclass(frozen=True)
class ShownImages:
    """Some images of a data set.

    Parameters
    ----------
    path
        Folder of the set.
    micrograph
        The images as a stack; pixels are read when they are asked for.
    columns, defects
        Their site tables; ``frame`` is the place in the stack.
    matching
        How many images were wanted.
    """

    path: str
    micrograph: Micrograph
    columns: pd.DataFrame
    defects: pd.DataFrame
    matching: int

    @property
    def numbers(self) -> list[int]:
        """Numbers of the images in the set, in the order of the stack."""
        return list(self.micrograph.provenance["images"])


def read_images(path: str | Path, where: str = "") -> ShownImages:
    """Read the labels of the first images that fulfil a query, and prepare their pixels.

    Raises
    ------
    FormatError
        If it is no data set, damaged, or has no such image.
    QueryError
        If the query cannot be understood.
    """
    from napari_stemlearn.datasets.store import open_data_set
    from napari_stemlearn.sites import concat_sites

    data_set = open_data_set(path)
    try:
        indices = data_set.indices(where)
        if not indices:
            raise FormatError(f"The data set {path} has no such image.")
        tables: list[pd.DataFrame] = []
        for frame, index in enumerate(indices[:SHOWN_IMAGES]):
            table = data_set.sites(index)
            if tables and sum(map(len, tables)) + len(table) > SHOWN_SITES:
                break
            tables.append(table.assign(frame=frame))
        sites = concat_sites(tables)
        defect = sites["kind"] == "defect"
        micrograph = _stack(data_set, indices[: len(tables)])
    finally:
        data_set.close()
    columns, defects = (sites[rows].reset_index(drop=True) for rows in (~defect, defect))
    return ShownImages(str(path), micrograph, columns, defects, len(indices))


def _stack(data_set: DataSet, indices: list[int]) -> Micrograph:
    import dask
    import dask.array as da
    import numpy as np

    from napari_stemlearn.marking import synthetic_provenance

    read = dask.delayed(data_set.pixels, pure=False)
    frames = [da.from_delayed(read(index), shape=data_set.shape, dtype=np.float32) for index in indices]
    details: dict[str, Any] = {"data_set": str(data_set.path), "images": indices}
    if data_set.card["synthetic"]:
        generator = (data_set.card["generator"] or {}).get("name", "")
        details = synthetic_provenance(generator, **data_set.card["marks"], **details)
    else:
        details["synthetic"] = False
    return Micrograph(da.stack(frames), data_set.pixel_size, data_set.name, details)


def show_images(viewer: ViewerModel, shown: ShownImages) -> None:
    """Show images with their columns (hidden at first) and defects; the layers of the same set are used again."""
    first = not len(viewer.layers)
    micrograph = shown.micrograph
    origin = origin_of(micrograph)
    record = {"step": "generate", "data_set": shown.path, "images": shown.numbers, **origin}
    image = _find(viewer, shown.path, "image")
    if image is None:
        name = f"{micrograph.name} (synthetic)" if micrograph.provenance.get("synthetic") else micrograph.name
        image = add_image(viewer, micrograph, name, kind="generated", record={**record, "role": "image"})
    else:
        image.data = micrograph.data
        image.metadata[KEY].update(record, provenance=micrograph.provenance)
        image.reset_contrast_limits()
    for role, table, visible in (("columns", shown.columns, False), ("defects", shown.defects, True)):
        layer = _find(viewer, shown.path, role)
        if layer is not None:
            update_sites(layer, table)
            layer.metadata[KEY].update(record)
            continue
        options = {"name": f"{micrograph.name} {role}", "visible": visible}
        add_sites(viewer, table, kind="truth", source_layer=image, record={**record, "role": role}, **options)
    if first:
        viewer.reset_view()
        go_to_frame(viewer, image, 0)


def _find(viewer: ViewerModel, path: str, role: str) -> Any:
    for layer in our_layers(viewer, ("generated", "truth")):
        record = about(layer)
        if record.get("step") == "generate" and record.get("data_set") == path and record.get("role") == role:
            return layer
    return None
