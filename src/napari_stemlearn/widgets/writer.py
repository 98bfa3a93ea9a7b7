"""What napari saves: calibrated TIFF, site tables, and folders of both."""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemlearn.errors import FormatError
from napari_stemlearn.file_errors import reason
from napari_stemlearn.formats import write_sites, write_tiff
from napari_stemlearn.formats.atomic import make_folder, replacing
from napari_stemlearn.formats.folders import holds_files
from napari_stemlearn.formats.plain_values import plain
from napari_stemlearn.widgets.layer_data import layer_from_data
from napari_stemlearn.widgets.layers import (
    about,
    kind_of,
    micrograph_from_layer,
    pixel_size_of,
    sites_from_layer,
    source_of,
)
from napari_stemlearn.widgets.reader import INDEX, current_viewer
from napari_stemlearn.widgets.written_sites import BOOKKEEPING

if TYPE_CHECKING:
    from napari.layers import Layer

_OUR_BOOKKEEPING = (*BOOKKEEPING, "schema_version", "provenance", "classes")


def write_micrograph(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save an image layer as calibrated TIFF; its unit is turned into angstrom.

    Raises
    ------
    MicrographError, FormatError
        If the layer is no micrograph (colour, 4D, pixels that are not square) or the file cannot be written.
    """
    layer = layer_from_data((data, attributes, "image"))
    return [str(write_tiff(path, micrograph_from_layer(layer)))]


def write_site_table(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save a Points layer as a site table with its sidecar; positions are in pixels of the layer.

    Raises
    ------
    SitesError, FormatError
        If the features are no site table or the file cannot be written.
    """
    layer = layer_from_data((data, attributes, "points"))
    return [str(_write_points(Path(path), layer, None))]


def write_folder(path: str, layer_data: Sequence[tuple[Any, dict[str, Any], str]]) -> list[str]:
    """Save image and Points layers into a folder: one file a layer, and a list that keeps names and order.

    Points made on one of the images are written in that image's pixels, with its hash in their sidecar.

    All of them are written aside first, so that a layer that cannot be saved leaves an older folder as it was.

    Raises
    ------
    MicrographError, SitesError, FormatError
        If the folder cannot be made, already holds something else, or a layer is no micrograph and no table of sites.
    """
    folder = Path(path)
    if folder.exists() and (not folder.is_dir() or (holds_files(folder) and not (folder / INDEX).is_file())):
        raise FormatError(f"{folder} already exists and was not made by this command; choose another name.")
    layers = [layer_from_data(entry) for entry in layer_data]
    aside = folder.with_name(f".{folder.name[:40]}-{uuid.uuid4().hex[:12]}")
    make_folder(aside)
    try:
        files = _write_layers(aside, layers)
        make_folder(folder)
        # the list last: it names what lies beside it
        for name in sorted(entry.name for entry in aside.iterdir()):
            if name != INDEX:
                _move(aside / name, folder / name)
        _move(aside / INDEX, folder / INDEX)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return [str(folder / name) for name in [*files, INDEX]]


def _write_layers(folder: Path, layers: Sequence[Layer]) -> list[str]:
    """Write one file a layer and the list of them; names of the files."""
    images = {layer.name: layer for layer in layers if layer.as_layer_data_tuple()[2] == "image"}
    listed: list[dict[str, Any]] = []
    taken: set[str] = set()
    for layer in layers:
        is_image = images.get(layer.name) is layer
        stem = _file_stem(layer.name, taken)
        if is_image:
            file = write_tiff(folder / f"{stem}.tif", micrograph_from_layer(layer))
        else:
            file = _write_points(folder / f"{stem}.csv", layer, images.get(_source_name(layer)))
        listed.append(
            {
                "name": layer.name,
                "file": file.name,
                "kind": kind_of(layer),
                "source": None if is_image else _source_name(layer) or None,
                "stack": layer.ndim > 2,
            }
        )
    with replacing(folder / INDEX) as temporary:
        temporary.write_text(json.dumps({"version": 1, "layers": listed}, indent=1) + "\n", encoding="utf-8")
    return [entry["file"] for entry in listed]


def _move(source: Path, target: Path) -> None:
    try:
        os.replace(source, target)
    except OSError as error:
        raise FormatError(f"{target} cannot be written: {reason(error)}.") from error


def _source_name(layer: Layer) -> str:
    """Name that the image of a layer has now; empty where the image is gone."""
    viewer, record = current_viewer(), about(layer)
    if viewer is None or not (record.get("source_id") or record.get("source_file")):
        return str(record.get("source") or "")
    source = source_of(viewer, layer)
    return source.name if source is not None else ""


def _write_points(path: Path, layer: Layer, image: Layer | None) -> Path:
    record = about(layer)
    provenance = {**(record.get("provenance") or {})}
    provenance.update({name: value for name, value in record.items() if name not in _OUR_BOOKKEEPING})
    classes = record.get("classes")
    return write_sites(
        path,
        sites_from_layer(layer, image),
        pixel_size=pixel_size_of(layer if image is None else image),
        micrograph=micrograph_from_layer(image) if image is not None else None,
        classes=[str(entry) for entry in classes] if isinstance(classes, (list, tuple)) else None,
        provenance=plain({"layer": layer.name, **provenance}),
    )


def _file_stem(name: str, taken: set[str]) -> str:
    """A file name that any system takes and no other layer has."""
    base = re.sub(r"[^\w.+-]+", "_", name).strip("._")[:80] or "layer"
    stem, number = base, 1
    while stem.lower() in taken:
        number += 1
        stem = f"{base}_{number}"
    taken.add(stem.lower())
    return stem
