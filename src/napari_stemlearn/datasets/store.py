"""Labelled micrographs by the thousand: pixels in a zarr array, parameters and labels in an SQLite table.

A data set is a folder ``NAME.stemset`` with ``dataset.json`` (what it is, whether it is synthetic, settings, versions),
``images.zarr`` (one chunk an image) and ``table.sqlite``. An image is part of the set once its row is in the table,
which is written after its pixels; what a crash leaves half written is made again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemlearn.datasets.data_set_card import read_card, write_card
from napari_stemlearn.datasets.entry import Entry
from napari_stemlearn.datasets.image_table import ImageTable
from napari_stemlearn.datasets.queries import Vocabulary
from napari_stemlearn.datasets.site_packing import unpack_positions, unpack_sites
from napari_stemlearn.errors import FormatError, MicrographError
from napari_stemlearn.events import Done
from napari_stemlearn.file_errors import reason
from napari_stemlearn.formats.data_set_names import CARD
from napari_stemlearn.marking import is_synthetic, synthetic_provenance
from napari_stemlearn.micrograph import Micrograph, same_pixel_size

if TYPE_CHECKING:
    import sqlite3

    import zarr

IMAGES, TABLE = "images.zarr", "table.sqlite"


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
            raise FormatError(f"Image {index} of {self.path} cannot be read: {reason(error)}.") from error
        # what was never written comes as NaN
        if np.isnan(pixels[0, 0]):
            raise FormatError(f"The pixels of image {index} of {self.path} are missing.")
        return pixels

    def image(self, index: int) -> Micrograph:
        """One image, with all that is known about it in its provenance.

        What it said of itself before it was stored (source, acquisition, generator) is there too; ``synthetic``,
        ``data_set`` and ``image`` are those of the set, and ``drawn`` is what it had with the parameters of the set.

        Raises
        ------
        FormatError
            If there is no such image, or its file is missing or damaged.
        """
        return Micrograph(self.pixels(index), self.pixel_size, f"{self.name} {index:05d}", self._provenance(index))

    def _provenance(self, index: int) -> dict[str, Any]:
        """What the set says of all its images, and what this one said before it was stored."""
        own = self.table.provenance(index)
        before = own.get("drawn")
        drawn = {**(before if isinstance(before, dict) else {}), **self.table.parameters(index)}
        here: dict[str, Any] = {"data_set": self.name, "image": int(index), "drawn": drawn}
        said = {**here, "versions": self.card["versions"]}
        if self.card["synthetic"]:
            generator = (self.card["generator"] or {}).get("name", "")
            said = synthetic_provenance(generator, **self.card["marks"], **said)
        # the image itself knows better by what it was made, the set where it is now
        return {**said, **own, **here, "synthetic": bool(self.card["synthetic"])}

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
            Shape (y, x) as the set has it. The provenance of a `Micrograph` is stored with it; an array says nothing of
            itself, and counts as what the set holds.
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
            If it cannot be written, is there already, is a stack, or has another shape or pixel size; if it
            is synthetic and the set is not, or has a provenance that does not say so while the set is synthetic.
        SitesError
            If a site is of another frame than 0, or lacks its class or kind.
        """
        own: Mapping[str, Any] = {}
        if isinstance(image, Micrograph):
            self._check_belongs(image)
            own = image.provenance
        pixels = image.frame(0) if isinstance(image, Micrograph) else np.asarray(image)
        entry = Entry.of(pixels, sites, parameters or {}, pixel_size=self.pixel_size, provenance=own)
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
                f"'{image.name}' is a stack of {image.n_frames} frames; add its frames to {self.path} one by one, "
                "each as a Micrograph with its provenance."
            )
        size = image.pixel_size
        if size is not None and not same_pixel_size(size, self.pixel_size):
            raise MicrographError(
                f"The pixel size of '{image.name}' is {size:g} angstrom; images of {self.path} have "
                f"{self.pixel_size:g} angstrom, so resample it first."
            )
        made = is_synthetic(image.provenance)
        if made and not self.card["synthetic"]:
            raise MicrographError(
                f"'{image.name}' is synthetic, and {self.path} holds measured images alone; "
                "add it to a set that is made with synthetic=True."
            )
        if image.provenance and not made and self.card["synthetic"]:
            raise MicrographError(
                f"'{image.name}' does not say that it is synthetic, and {self.path} holds synthetic images alone; "
                "add a measured image to a set that is made with synthetic=False, and put 'synthetic': True into the "
                "provenance of a computed one."
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
                raise FormatError(f"{self.path} cannot be written: {reason(error)}.") from error

    def _read_card_again(self) -> None:
        """Take the card as another program may have changed it, and refuse that of another set."""
        card = read_card(self.path)
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
            write_card(self.path, self.card)

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
            raise FormatError(f"The images of {self.path} cannot be opened: {reason(error)}.") from error
        if array.ndim != 3 or array.shape[1:] != self.shape:
            raise FormatError(f"The images of {self.path} do not have the shape that its {CARD} tells.")
        return array


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
    card = read_card(path)
    missing = [name for name in (IMAGES, TABLE) if not (path / name).exists()]
    if missing:
        raise FormatError(f"The data set {path} is damaged: {missing[0]} is missing.")
    return DataSet(path, card)


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
