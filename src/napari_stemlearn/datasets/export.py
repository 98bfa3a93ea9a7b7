"""Images of a data set as files that any program reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemlearn.atomic_writing import replacing
from napari_stemlearn.errors import FormatError
from napari_stemlearn.events import Done, Event, Progress

if TYPE_CHECKING:
    from napari_stemlearn.datasets.store import DataSet

TABLE = "images.csv"


def exporting(
    data_set: DataSet, folder: str | Path, where: str = "", *, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """Write images as ``00007.tif`` with ``00007_sites.csv``, and a table ``images.csv`` of their parameters.

    Training and the docks read such a folder like one of the simulation.

    Parameters
    ----------
    data_set
        Where they come from.
    folder
        Made where missing; must be empty.
    where
        Query for the images; empty takes all.
    should_stop
        Asked before each image.

    Yields
    ------
    Event
        The last is a `Done` with ``folder`` and ``files``.

    Raises
    ------
    QueryError
        If the query cannot be understood.
    FormatError
        If the folder holds other files or cannot be written, or no image fulfils the query.
    """
    from napari_stemlearn.file_errors import reason
    from napari_stemlearn.formats.folders import holds_files

    folder = Path(folder).expanduser()
    table = data_set.query(where)
    if table.empty:
        raise FormatError(f"No image of {data_set.path} fulfils the query, so nothing is exported.")
    yield Progress(done=0, total=len(table), stage="images")
    files: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if holds_files(folder):
            raise FormatError(f"{folder} holds other files; choose a new or empty folder.")
        for index in table.index:
            if should_stop():
                break
            files.append(_write(data_set, int(index), folder))
            yield Progress(done=len(files), total=len(table), stage="images")
        kept = table.head(len(files)).copy()
        kept.insert(0, "sites", [f"{path.stem}_sites.csv" for path in files])
        kept.insert(0, "image", [path.name for path in files])
        with replacing(folder / TABLE) as part:
            kept.rename_axis("index").to_csv(part)
    except OSError as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"The set cannot be exported to {folder}: {reason(error)}.") from error
    yield Done(result={"folder": str(folder), "files": [str(path) for path in files]}, stopped=len(files) < len(table))


def _write(data_set: DataSet, index: int, folder: Path) -> Path:
    """Write the labels, then the image."""
    from napari_stemlearn.formats import write_sites, write_tiff

    name = f"{index:05d}"
    micrograph = replace(data_set.image(index), name=name)
    said = {key: micrograph.provenance.get(key) for key in ("synthetic", "statement", "data_set")}
    provenance: dict[str, Any] = {**said, "image": f"{name}.tif"}
    write_sites(folder / f"{name}_sites.csv", data_set.sites(index), micrograph=micrograph, provenance=provenance)
    return write_tiff(folder / f"{name}.tif", micrograph)
