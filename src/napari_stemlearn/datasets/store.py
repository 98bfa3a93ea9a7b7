"""Labelled micrographs by the thousand: pixels in a zarr array, parameters and labels in an SQLite table.

A data set is a folder ``NAME.stemset`` with ``dataset.json`` (what it is, that it is synthetic, settings, versions),
``images.zarr`` (one chunk an image) and ``table.sqlite``. An image is part of the set once its row is in the table,
which is written after its pixels; what a crash leaves half written is made again.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemlearn.atomic_writing import write_bytes
from napari_stemlearn.datasets.image_table import ImageTable, Row, create_image_table
from napari_stemlearn.datasets.places import CARD
from napari_stemlearn.datasets.places import ENDING as ENDING
from napari_stemlearn.datasets.places import is_data_set as is_data_set
from napari_stemlearn.datasets.queries import Vocabulary
from napari_stemlearn.datasets.site_packing import pack_sites, unpack_positions, unpack_sites
from napari_stemlearn.errors import FormatError, MicrographError, SitesError
from napari_stemlearn.events import Done
from napari_stemlearn.folder_names import folder_name
from napari_stemlearn.marking import synthetic_provenance, synthetic_statement
from napari_stemlearn.micrograph import Micrograph, check_pixel_size
from napari_stemlearn.nested_names import flattened

if TYPE_CHECKING:
    import sqlite3

    import zarr

FORMAT = 1
"""Version of the layout."""

IMAGES, TABLE = "images.zarr", "table.sqlite"

SAME_PIXEL_SIZE = 1e-3
"""Relative difference of two pixel sizes that are the same but for rounding."""


@dataclass(frozen=True)
class Entry:
    """An image ready to be stored; small enough to be sent from a worker.

    Parameters
    ----------
    pixels
        Shape (y, x), float32.
    row
        What the table keeps.
    """

    pixels: NDArray[np.float32]
    row: Row

    @classmethod
    def of(cls, image: NDArray[Any], sites: pd.DataFrame, parameters: Mapping[str, Any], *, pixel_size: float) -> Entry:
        """Make an entry.

        Parameters
        ----------
        image
            Shape (y, x).
        sites
            All columns and all defects; ``kind`` tells which (without it, all are columns).
        parameters
            By name; mappings inside are joined by dots.
        pixel_size
            In angstrom.

        Raises
        ------
        SitesError
            If a site is of another frame than 0, or lacks its class or kind.
        """
        strays = sites.loc[sites["frame"] != 0, "frame"] if "frame" in sites else ()
        if len(strays):
            raise SitesError(
                f"{len(strays)} sites are of frames other than 0, the first of frame {next(iter(strays))}; an image of "
                "a data set is one frame, so give its sites with frame 0."
            )
        for column in ("class", "kind"):
            if column in sites and sites[column].isna().any():
                number = int(np.flatnonzero(sites[column].isna())[0]) + 1
                raise SitesError(f"Row {number} of the sites has no {column}; every site of a data set needs one.")
        kinds = sites["kind"] if "kind" in sites else pd.Series("column", index=sites.index)
        counts: dict[str, dict[str, int]] = {}
        for (kind, name), n in sites.groupby([kinds, sites["class"]]).size().items():
            counts.setdefault(str(kind), {})[str(name)] = int(n)
        row = Row(flattened(parameters), counts, pack_sites(sites, pixel_size))
        return cls(np.ascontiguousarray(image, dtype=np.float32), row)


class DataSet:
    """A set of labelled micrographs on disk; nothing is loaded before it is asked for.

    Parameters
    ----------
    path
        Its folder; see `open_data_set` and `create_data_set`.
    card
        Content of ``dataset.json``.
    """

    def __init__(self, path: Path, card: dict[str, Any]) -> None:
        self.path = path
        self.card = card
        self.table = ImageTable(path / TABLE)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.card["name"])

    @property
    def pixel_size(self) -> float:
        """Of all images, in angstrom."""
        return float(self.card["pixel_size_angstrom"])

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (y, x) of each image in pixels."""
        height, width = self.card["shape"]
        return int(height), int(width)

    @property
    def settings(self) -> dict[str, Any]:
        """Record of the settings that it was made with."""
        return dict(self.card["settings"])

    def __len__(self) -> int:
        return len(self.table)

    def __contains__(self, index: int) -> bool:
        return index in self.table

    def __repr__(self) -> str:
        return f"DataSet({str(self.path)!r}, {len(self)} images)"

    def indices(self, where: str = "") -> list[int]:
        """Numbers of the images that fulfil a query, ascending.

        Raises
        ------
        QueryError
            If the query cannot be understood.
        """
        return self.table.indices(where)

    def query(self, where: str = "") -> pd.DataFrame:
        """Parameters and counts of the images that fulfil a query, one row an image.

        Parameters
        ----------
        where
            Such as ``dose between 1e4 and 5e4 and class has vacancy1``; see `napari_stemlearn.datasets.queries`.

        Raises
        ------
        QueryError
            If the query cannot be understood.
        """
        return self.table.frame(where)

    def vocabulary(self) -> Vocabulary:
        """Names that a query can use."""
        return self.table.vocabulary()

    def pixels(self, index: int) -> NDArray[np.float32]:
        """Grey levels (y, x) of one image.

        Raises
        ------
        FormatError
            If there is no such image, or its file is missing or damaged.
        """
        if index >= self._array.shape[0]:
            # it may have grown since it was opened
            self.__dict__.pop("_array")
        if not 0 <= index < self._array.shape[0]:
            raise FormatError(f"{self.path} has no image {index}.")
        try:
            pixels: NDArray[np.float32] = np.asarray(self._array[index])
        except (OSError, ValueError, RuntimeError) as error:
            raise FormatError(f"Image {index} of {self.path} cannot be read: {_reason(error)}.") from error
        # what was never written comes as NaN
        if np.isnan(pixels[0, 0]):
            raise FormatError(f"The pixels of image {index} of {self.path} are missing.")
        return pixels

    def image(self, index: int) -> Micrograph:
        """One image, with all that is known about it in its provenance.

        Raises
        ------
        FormatError
            If there is no such image, or its file is missing or damaged.
        """
        provenance: dict[str, Any] = {"data_set": self.name, "image": int(index)}
        provenance |= {"drawn": self.table.parameters(index), "versions": self.card["versions"]}
        if self.card["synthetic"]:
            generator = (self.card["generator"] or {}).get("name", "")
            provenance = synthetic_provenance(generator, **self.card["marks"], **provenance)
        else:
            provenance["synthetic"] = False
        return Micrograph(self.pixels(index), self.pixel_size, f"{self.name} {index:05d}", provenance)

    def sites(self, index: int) -> pd.DataFrame:
        """Site table of one image: all columns and all defects; ``kind`` tells which.

        Raises
        ------
        FormatError
            If there is no such image, or its labels are damaged.
        """
        return unpack_sites(self.table.block(index), self.pixel_size)

    def positions(self, index: int) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
        """Class, y and x (pixels) of every site of one image; faster than `sites`."""
        return unpack_positions(self.table.block(index))

    def add(
        self,
        image: NDArray[Any] | Micrograph,
        sites: pd.DataFrame,
        parameters: Mapping[str, Any] | None = None,
        *,
        index: int | None = None,
    ) -> int:
        """Add one labelled image.

        Parameters
        ----------
        image
            Shape (y, x) as the set has it.
        sites
            All columns and all defects; ``kind`` tells which.
        parameters
            By name; mappings inside are joined by dots.
        index
            Its number; by default the next one.

        Returns
        -------
        int
            Its number.

        Raises
        ------
        FormatError, MicrographError
            If it cannot be written, is there already, is a stack, or has another shape or pixel size.
        SitesError
            If a site is of another frame than 0, or lacks its class or kind.
        """
        if isinstance(image, Micrograph):
            self._check_belongs(image)
        pixels = image.frame(0) if isinstance(image, Micrograph) else np.asarray(image)
        entry = Entry.of(pixels, sites, parameters or {}, pixel_size=self.pixel_size)
        with self._writing() as connection:
            if index is None:
                # no other writer takes the same one before this one is in the table
                index = max(self.indices(), default=-1) + 1
            self._insert(connection, {index: entry})
        return index

    def _check_belongs(self, image: Micrograph) -> None:
        """Refuse what cannot be an image of this set."""
        if image.n_frames > 1:
            raise MicrographError(
                f"'{image.name}' is a stack of {image.n_frames} frames; add its frames to {self.path} one by one."
            )
        size = image.pixel_size
        if size is not None and abs(size / self.pixel_size - 1) > SAME_PIXEL_SIZE:
            raise MicrographError(
                f"The pixel size of '{image.name}' is {size:g} angstrom; images of {self.path} have "
                f"{self.pixel_size:g} angstrom, so resample it first."
            )

    def add_entries(self, entries: Mapping[int, Entry]) -> None:
        """Add images, pixels first; all of them are in the set afterwards, or none.

        Several programs may add images to one set: they wait for each other.

        Raises
        ------
        FormatError, MicrographError
            If one cannot be written, is there already, has another shape, or a negative number.
        """
        if not entries:
            return
        with self._writing() as connection:
            self._insert(connection, entries)

    def _insert(self, connection: sqlite3.Connection, entries: Mapping[int, Entry]) -> None:
        """Write pixels, then rows, while no other writes."""
        for index, entry in entries.items():
            if index < 0:
                raise FormatError(f"An image of {self.path} cannot have the number {index}; they count from 0.")
            if entry.pixels.shape != self.shape:
                wanted, given = (" by ".join(map(str, shape)) for shape in (self.shape, entry.pixels.shape))
                raise MicrographError(f"Images of {self.path} have {wanted} pixels; image {index} has {given}.")
            if not np.isfinite(entry.pixels).all():
                raise MicrographError(f"Image {index} has pixels that are NaN or infinite, so it is not stored.")
            if index in self:
                raise FormatError(f"{self.path} has an image {index} already.")
        if max(entries) >= self._array.shape[0]:
            self._grow(max(entries) + 1)
        for index, entry in entries.items():
            self._array[index] = entry.pixels
            _flush(self.path / IMAGES / _chunk(index))
        self.table.insert(connection, {index: entry.row for index, entry in entries.items()})

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction of the table, in which no other program writes pixels, rows or card.

        Raises
        ------
        FormatError
            If the set is gone, is another one by now, or cannot be written.
        """
        if not (self.path / CARD).exists():
            # writing would make the folder again
            raise FormatError(f"The data set {self.path} is gone.")
        with self.table.writing() as connection:
            self._read_card_again()
            try:
                yield connection
            except FormatError:
                raise
            except OSError as error:
                raise FormatError(f"{self.path} cannot be written: {_reason(error)}.") from error

    def _read_card_again(self) -> None:
        """Take the card as another program may have changed it, and refuse that of another set."""
        card = _read_card(self.path)
        # sets of older versions have no id
        if card.get("id") != self.card.get("id"):
            raise FormatError(f"The data set {self.path} was replaced by another one; open it again.")
        self.card = card

    def grow(self, number: int) -> None:
        """Make room for `number` images in all, and expect as many; a set that has more keeps them.

        Raises
        ------
        FormatError
            If the set is gone, is another one by now, or cannot be written.
        """
        with self._writing():
            self._grow(number)

    def _grow(self, number: int) -> None:
        """Make room while no other writes."""
        # others may have made room since it was opened, which resizing from what was known then would take away
        self.__dict__.pop("_array", None)
        if number > self._array.shape[0]:
            self._array.resize((number, *self.shape))
        if number > self.card["number"]:
            self.card = {**self.card, "number": number}
            _write_card(self.path, self.card)

    def mend(self) -> list[int]:
        """Forget images whose pixels are gone, so that they can be made again; their numbers."""
        with self._writing() as connection:
            there = {entry.name for entry in os.scandir(self.path / IMAGES)}
            lost = [index for index in self.indices() if _chunk(index) not in there]
            self.table.delete(connection, lost)
        return lost

    def info(self) -> dict[str, Any]:
        """What the set holds: numbers, classes, parameters with their smallest and largest values, origin."""
        totals = self.table.totals()
        return {
            "name": self.name,
            "path": str(self.path),
            "synthetic": bool(self.card["synthetic"]),
            "statement": self.card["statement"],
            "images": len(self),
            "wanted": int(self.card["number"]),
            "shape": list(self.shape),
            "pixel_size_angstrom": self.pixel_size,
            "bytes": size_on_disk(self.path),
            "columns": totals.get("column", {}),
            "defects": totals.get("defect", {}),
            "generator": self.card["generator"],
            "created": self.card["created"],
            "versions": self.card["versions"],
            "parameters": {name: list(ends) for name, ends in self.table.ranges().items()},
        }

    def export(self, folder: str | Path, where: str = "") -> list[Path]:
        """Write images as ``00007.tif`` with ``00007_sites.csv``, and a table ``images.csv``.

        Parameters
        ----------
        folder
            Made where missing; must be empty.
        where
            Query for the images; empty takes all.

        Returns
        -------
        list
            The images' files.

        Raises
        ------
        QueryError, FormatError
            As of `napari_stemlearn.datasets.export.exporting`, which tells how far it is.
        """
        from napari_stemlearn.datasets.export import exporting

        *_, done = exporting(self, folder, where)
        assert isinstance(done, Done)
        return [Path(file) for file in done.result["files"]]

    def close(self) -> None:
        """Let go of the table's file."""
        self.table.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "card": self.card, "table": self.table}

    @cached_property
    def _array(self) -> zarr.Array:
        import zarr

        try:
            array = zarr.open_array(self.path / IMAGES, mode="r+")
        except (OSError, ValueError, KeyError) as error:
            raise FormatError(f"The images of {self.path} cannot be opened: {_reason(error)}.") from error
        if array.ndim != 3 or array.shape[1:] != self.shape:
            raise FormatError(f"The images of {self.path} do not have the shape that its {CARD} tells.")
        return array


def data_set_folder(name: str) -> str:
    """Name of the folder of a data set: what no file system refuses, and the ending."""
    kept = folder_name(name, "data set")
    return kept if kept.endswith(ENDING) else kept + ENDING


def create_data_set(
    path: str | Path,
    *,
    shape: tuple[int, int],
    pixel_size: float,
    name: str = "",
    number: int = 0,
    settings: Mapping[str, Any] | None = None,
    generator: Mapping[str, Any] | None = None,
    marks: Mapping[str, bool] | None = None,
    synthetic: bool = True,
) -> DataSet:
    """Make an empty data set.

    Parameters
    ----------
    path
        Folder to make, ending in ``.stemset``.
    shape
        Shape (y, x) of every image in pixels.
    pixel_size
        Of every image in angstrom.
    name
        For people; by default the folder's.
    number
        How many images it shall have; it can grow.
    settings
        Record of the settings that it is made with.
    generator
        Which generator translates the images (``name``), and what else is known about it; None for none.
    marks
        Which marks the pixels carry: ``watermark``, ``visible_mark``.
    synthetic
        False only for images that were measured.

    Returns
    -------
    DataSet
        Empty.

    Raises
    ------
    FormatError
        If the folder is there already or cannot be made.
    MicrographError
        If the pixel size cannot be one, or the shape is below 2 by 2 pixels.
    """
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec

    path = Path(path).expanduser()
    if path.suffix != ENDING:
        raise FormatError(f"{path.name} must end in {ENDING}.")
    if path.exists():
        raise FormatError(f"{path} is there already; choose another name.")
    height, width = (int(side) for side in shape)
    if min(height, width) < 2:
        raise MicrographError(
            f"The images of {path.name} would have {height} by {width} pixels; at least 2 by 2 are needed."
        )
    card: dict[str, Any] = {
        "format": FORMAT,
        "kind": "stemlearn data set",
        # tells a set from another one that is made later in its folder
        "id": uuid.uuid4().hex,
        "synthetic": synthetic,
        "statement": synthetic_statement((generator or {}).get("name", "")) if synthetic else "",
        "name": name or path.stem,
        "number": int(number),
        "shape": [height, width],
        "pixel_size_angstrom": check_pixel_size(pixel_size, path.stem),
        "settings": dict(settings or {}),
        "generator": dict(generator) if generator else None,
        "marks": {"watermark": False, "visible_mark": False, **(marks or {})},
        "versions": _versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    part = path.with_name(f".{path.stem[:40]}-{uuid.uuid4().hex[:12]}")
    try:
        part.mkdir(parents=True)
        zarr.create_array(
            store=part / IMAGES,
            shape=(int(number), height, width),
            chunks=(1, height, width),
            dtype="float32",
            # noise hardly shrinks, so the fastest will do; the sum finds damage
            compressors=[BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle"), Crc32cCodec()],
            fill_value=float("nan"),
            dimension_names=("image", "y", "x"),
            chunk_key_encoding={"name": "v2", "separator": "."},
            attributes={
                "synthetic": synthetic,
                "statement": card["statement"],
                "pixel_size_angstrom": card["pixel_size_angstrom"],
            },
            zarr_format=3,
        )
        create_image_table(part / TABLE)
        _write_card(part, card)
        os.replace(part, path)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, FormatError):
            raise FormatError(f"The data set {path} cannot be made: {_reason(error)}.") from error
        raise
    return DataSet(path, card)


def open_data_set(path: str | Path) -> DataSet:
    """Open a data set; images are read when they are asked for.

    Raises
    ------
    FormatError
        If the folder is no data set, or of a newer version, or damaged.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        raise FormatError(f"The data set {path} does not exist.")
    card = _read_card(path)
    needed = (
        "name",
        "number",
        "shape",
        "pixel_size_angstrom",
        "synthetic",
        "statement",
        "settings",
        "generator",
        "marks",
    )
    missing = [name for name in (*needed, "versions", "created") if name not in card]
    missing += [name for name in (IMAGES, TABLE) if not (path / name).exists()]
    if missing:
        raise FormatError(f"The data set {path} is damaged: {missing[0]} is missing.")
    return DataSet(path, card)


def _read_card(path: Path) -> dict[str, Any]:
    """Card of the set in a folder.

    Raises
    ------
    FormatError
        If there is none, or it is damaged or of a newer version.
    """
    try:
        card: dict[str, Any] = json.loads((path / CARD).read_text(encoding="utf-8"))
        version = int(card["format"])
    except FileNotFoundError:
        raise FormatError(f"{path} is no data set: it has no {CARD}.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path / CARD} is damaged: {_reason(error)}.") from error
    if version > FORMAT:
        raise FormatError(f"{path} is of version {version}; this program reads up to {FORMAT}.")
    return card


def size_on_disk(path: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _chunk(index: int) -> str:
    """File of an image inside the zarr array."""
    return f"{index}.0.0"


def _flush(path: Path) -> None:
    """Let the pixels reach the disk before the row that counts them."""
    with open(path, "rb+") as stream:
        os.fsync(stream.fileno())


def _write_card(path: Path, card: Mapping[str, Any]) -> None:
    write_bytes(path / CARD, (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    from napari_stemlearn import __version__

    return {"napari-stemlearn": __version__, **{name: version(name) for name in ("torch", "numpy", "zarr")}}


def _reason(error: Exception) -> str:
    from napari_stemlearn.formats.atomic import reason

    return reason(error)
