"""What napari opens: micrographs, stacks of single files, site tables, and folders that our writer made."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stemlearn.errors import FormatError, StemlearnError
from napari_stemlearn.formats import (
    EXTENSIONS,
    hash_micrograph,
    read_micrograph,
    read_micrographs,
    read_sites,
    read_stack,
)
from napari_stemlearn.formats.site_files import read_with_sidecar
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import implied_pixel_size
from napari_stemlearn.widgets.layer_data import LayerData, image_layer_data, points_layer_data
from napari_stemlearn.widgets.layers import KEY, image_layers, micrograph_from_layer, origin_of, pixel_size_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_stemlearn.formats.site_files import ImageRecord

INDEX = "stemlearn-layers.json"
"""File that lists the layers of a folder that our writer made."""

PathOrPaths = str | Path | Sequence[str | Path]
Reader = Callable[[PathOrPaths], list[LayerData]]


def get_micrograph_reader(path: PathOrPaths) -> Reader | None:
    """A reader for micrographs and for folders of ours; None for what others should open, such as colour images."""
    paths = _paths(path)
    if len(paths) == 1 and (paths[0] / INDEX).is_file():
        return read_folder
    if not paths or any(entry.suffix.lower() not in EXTENSIONS for entry in paths):
        return None
    if any(entry.is_dir() and entry.suffix.lower() != ".zspy" for entry in paths):
        return None
    if paths[0].suffix.lower() in (".tif", ".tiff"):
        from napari_stemlearn.formats.tiff_reading import is_grey_tiff

        if not all(is_grey_tiff(entry) for entry in paths):
            return None
    return read_images


def get_sites_reader(path: PathOrPaths) -> Reader | None:
    """A reader for site tables; None for other tables."""
    from napari_stemlearn.formats.site_files import is_site_table

    paths = _paths(path)
    if not paths or any(entry.suffix.lower() != ".csv" or not is_site_table(entry) for entry in paths):
        return None
    return read_site_tables


def read_images(path: PathOrPaths) -> list[LayerData]:
    """Layers for every image in a file, or one stack of several files."""
    paths = _paths(path)
    found = read_micrographs(paths[0]) if len(paths) == 1 else [read_stack(paths)]
    _tell_synthetic(found)
    return [image_layer_data(micrograph) for micrograph in found]


def read_site_tables(path: PathOrPaths) -> list[LayerData]:
    """A Points layer for each table.

    A table without a pixel size of its own lies on the image it was made for: the file beside it that its name begins
    with (``scan_labels.csv`` on ``scan.tif``), else the image that is selected in the viewer, else the only one.
    """
    return [_sites_layer(entry) for entry in _paths(path)]


def read_folder(path: PathOrPaths) -> list[LayerData]:
    """The layers of a folder that `write_folder` made, in their order and under their names.

    Raises
    ------
    FormatError
        If the list of layers is damaged or names a file that is not there.
    """
    folder = _paths(path)[0]
    try:
        entries = json.loads((folder / INDEX).read_text(encoding="utf-8"))["layers"]
        listed = [
            (str(entry["name"]), Path(str(entry["file"])).name, entry.get("source"), bool(entry.get("stack")))
            for entry in entries
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{folder.name}/{INDEX} is damaged, so the folder's layers are not known.") from error
    layers = []
    images = []
    for name, file, source, stack in listed:
        if Path(file).suffix == ".csv":
            image = next((folder / other for title, other, _, _ in listed if title == source and other != file), None)
            layers.append(_sites_layer(folder / file, name=name, source=source, source_file=image, stack=stack))
        else:
            found = read_micrograph(folder / file)
            images.append(Micrograph(found.data, found.pixel_size, name, found.provenance))
            layers.append(image_layer_data(images[-1]))
            # napari knows the folder only
            layers[-1][1]["metadata"][KEY]["path"] = str((folder / file).absolute())
    _tell_synthetic(images)
    return layers


def _tell_synthetic(micrographs: Sequence[Micrograph]) -> None:
    """Let napari say which images are synthetic; their names stay, since site tables know their image by its name."""
    origins = {micrograph.name: origin_of(micrograph) for micrograph in micrographs}
    synthetic = [name for name, origin in origins.items() if origin.get("synthetic")]
    if synthetic:
        from napari.utils.notifications import show_info

        show_info(f"{', '.join(synthetic)}: {origins[synthetic[0]]['statement']}")


def _sites_layer(
    path: Path,
    *,
    name: str | None = None,
    source: str | None = None,
    source_file: Path | None = None,
    stack: bool | None = None,
) -> LayerData:
    sites, sidecar = read_with_sidecar(path)
    pixel_size = sidecar.pixel_size_angstrom if sidecar is not None else None
    if pixel_size is None:
        pixel_size = implied_pixel_size(sites)
    named = sidecar.image if sidecar is not None else None
    image = _image_beside(path) if pixel_size is None else None
    layer = _image_shown() if pixel_size is None and image is None else None
    if layer is None and named is not None and source_file is None:
        layer = _image_of_these_values(named)
    if source_file is None:
        beside = next(_files_beside(path), None)
        source_file = beside if beside is not None and (named is None or beside.stem == named.name) else None
    if image is not None:
        pixel_size, source = image.pixel_size, image.name
        stack = image.is_stack if stack is None else stack
        sites = read_sites(path, pixel_size=pixel_size)
    elif named is not None:
        source = source or named.name
        stack = len(named.shape) == 3 if stack is None else stack
    return points_layer_data(
        sites,
        name=name or path.stem,
        pixel_size=pixel_size,
        stack=stack,
        classes=sidecar.classes if sidecar is not None else None,
        source=layer.name if layer is not None else source,
        source_file=str(source_file.absolute()) if source_file is not None else None,
        source_layer=layer,
        provenance={**(sidecar.provenance if sidecar is not None else {}), "file": path.name},
    )


def _files_beside(path: Path) -> Iterator[Path]:
    """The images that a table may be named after, the longest name first."""
    # systems that tell capitals from small letters hold scan.TIF beside scan_labels.csv as well
    images: list[Path] = []
    with contextlib.suppress(OSError):
        images = sorted(file for file in path.parent.iterdir() if file.suffix.lower() in EXTENSIONS and file.is_file())
    stem = path.stem
    while stem:
        here = {file.suffix.lower(): file for file in reversed(images) if file.stem == stem}
        yield from (here[ending] for ending in EXTENSIONS if ending in here)
        stem = stem.rpartition("_")[0]


def _image_beside(path: Path) -> Micrograph | None:
    """The image with a pixel size that a table is named after."""
    for file in _files_beside(path):
        try:
            found = read_micrograph(file, lazy=True)
        except StemlearnError:
            continue
        if found.pixel_size is not None:
            return found
    return None


def _image_of_these_values(record: ImageRecord) -> Layer | None:
    """The open image that sites were written for, by the hash of its values."""
    viewer = current_viewer()
    images = image_layers(viewer) if viewer is not None else []
    # those of the same name first, for a hash takes time
    for layer in sorted(images, key=lambda one: one.name != record.name):
        try:
            micrograph = micrograph_from_layer(layer)
        except StemlearnError:
            continue
        if tuple(micrograph.data.shape) == record.shape and hash_micrograph(micrograph) == record.sha256:
            return layer
    return None


def current_viewer() -> ViewerModel | None:
    """The viewer in whose window somebody works."""
    napari = sys.modules.get("napari")
    return napari.current_viewer() if napari is not None else None


def _image_shown() -> Layer | None:
    """The selected image of the current viewer, else its only one, where it has a pixel size."""
    viewer = current_viewer()
    if viewer is None:
        return None
    images = image_layers(viewer)
    active = viewer.layers.selection.active
    layer = active if active in images else images[0] if len(images) == 1 else None
    try:
        return layer if layer is not None and pixel_size_of(layer) is not None else None
    except StemlearnError:
        return None


def _paths(path: PathOrPaths) -> list[Path]:
    return [Path(path)] if isinstance(path, (str, Path)) else [Path(entry) for entry in path]
