"""The table of a data set: one row an image with all its parameters, in one SQLite file.

``images`` has a column for each parameter, ``counts`` a row for each class in an image, ``sites`` the packed labels,
``parameters`` what each parameter holds. ``provenance``, once an image has any, holds what images said of themselves
before they were stored, as JSON. An image is there when its row is: all rows of an image come in one
transaction.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, get_args
from urllib.parse import quote_from_bytes

import numpy as np
import pandas as pd

from napari_stemlearn.datasets.queries import Kind, Vocabulary, compile_query, quoted_name
from napari_stemlearn.errors import FormatError
from napari_stemlearn.structures.settings import DefectKind

BUSY = 60.0
"""Seconds to wait while somebody else writes."""

_MOST_COLUMNS = 1900
"""SQLite takes 2000."""

_SCHEMA = """
CREATE TABLE images (image INTEGER PRIMARY KEY);
CREATE INDEX numbers ON images (image);
CREATE TABLE parameters (place INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL);
CREATE TABLE counts (image INTEGER NOT NULL, kind TEXT NOT NULL, class TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (image, class, kind)) WITHOUT ROWID;
CREATE INDEX counts_of_class ON counts (class, image, n);
CREATE TABLE sites (image INTEGER PRIMARY KEY, block BLOB NOT NULL);
"""

# made when it is first needed: sets of simulations and those of earlier versions have none
_PROVENANCE = "CREATE TABLE IF NOT EXISTS provenance (image INTEGER PRIMARY KEY, record TEXT NOT NULL)"
_HAS_PROVENANCE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'provenance'"

# leaps from one class to the next, where DISTINCT would read every row
_CLASSES = """
WITH RECURSIVE known(class) AS (
    SELECT MIN(class) FROM counts
    UNION ALL SELECT (SELECT MIN(class) FROM counts WHERE class > known.class) FROM known WHERE known.class IS NOT NULL)
SELECT class FROM known WHERE class IS NOT NULL
"""


@dataclass(frozen=True)
class Row:
    """What the table keeps of one image.

    Parameters
    ----------
    parameters
        By full name: numbers, words, truth values or None.
    counts
        Number of sites by kind (``column``, ``defect``) and class.
    sites
        The packed site table.
    provenance
        What the image said of itself before it was stored, as JSON; empty for nothing.
    """

    parameters: Mapping[str, Any]
    counts: Mapping[str, Mapping[str, int]]
    sites: bytes
    provenance: str = ""


class ImageTable:
    """Rows of images in an SQLite file; may be used from several threads and processes, by one writer at a time.

    Parameters
    ----------
    path
        File that `create_image_table` made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._here = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def close(self) -> None:
        """Let go of this thread's connection; the next use opens another."""
        connection = getattr(self._here, "connection", None)
        if connection is not None:
            connection.close()
            self._here.connection = None

    def __len__(self) -> int:
        return int(self._one("SELECT COUNT(*) FROM images")[0])

    def __contains__(self, image: int) -> bool:
        return bool(self._rows("SELECT 1 FROM images WHERE image = ?", (int(image),)))

    def vocabulary(self) -> Vocabulary:
        """Parameters, and classes: those that occur and those of all defects."""
        parameters: dict[str, Kind] = {"image": "number"}
        parameters |= dict(self._rows("SELECT name, kind FROM parameters ORDER BY place"))
        return Vocabulary(parameters, list(dict.fromkeys([*self.classes(), *get_args(DefectKind)])))

    def classes(self) -> list[str]:
        """Classes that occur, in alphabetical order."""
        return [name for (name,) in self._rows(_CLASSES)]

    def indices(self, where: str = "") -> list[int]:
        """Numbers of the images that fulfil a query, ascending."""
        condition = compile_query(where, self.vocabulary())
        sql = f"SELECT image FROM images WHERE {condition.sql} ORDER BY image"
        return [image for (image,) in self._rows(sql, condition.values)]

    def frame(self, where: str = "") -> pd.DataFrame:
        """Parameters and counts (``n_vacancy1``) of the images that fulfil a query, one row an image."""
        vocabulary = self.vocabulary()
        condition = compile_query(where, vocabulary)
        columns = ", ".join(f"images.{quoted_name(name)}" for name in vocabulary.parameters)
        rows = self._rows(f"SELECT {columns} FROM images WHERE {condition.sql} ORDER BY image", condition.values)
        table = pd.DataFrame(rows, columns=list(vocabulary.parameters)).set_index("image")
        for name, kind in vocabulary.parameters.items():
            if name in table and kind == "flag" and not table[name].isna().any():
                table[name] = table[name].astype(bool)
        inner = f"SELECT image FROM images WHERE {condition.sql}"
        counts = pd.DataFrame(
            self._rows(f"SELECT image, kind, class, n FROM counts WHERE image IN ({inner})", condition.values),
            columns=["image", "kind", "class", "n"],
        )
        return pd.concat([_counts_table(counts, self.classes(), table.index), table], axis=1)

    def parameters(self, image: int) -> dict[str, Any]:
        """Parameters of one image by full name, those that it has."""
        names = [name for (name,) in self._rows("SELECT name FROM parameters ORDER BY place")]
        columns = ", ".join(["image", *map(quoted_name, names)])
        values = self._one(f"SELECT {columns} FROM images WHERE image = ?", (int(image),))[1:]
        return {name: value for name, value in zip(names, values, strict=True) if value is not None}

    def block(self, image: int) -> bytes:
        """The packed labels of one image."""
        return bytes(self._one("SELECT block FROM sites WHERE image = ?", (int(image),))[0])

    def provenance(self, image: int) -> dict[str, Any]:
        """What one image said of itself before it was stored; empty for nothing.

        Raises
        ------
        FormatError
            If it cannot be read.
        """
        if not self._rows(_HAS_PROVENANCE):
            return {}
        rows = self._rows("SELECT record FROM provenance WHERE image = ?", (int(image),))
        try:
            record = json.loads(rows[0][0]) if rows else {}
        except (ValueError, TypeError):
            record = None
        if not isinstance(record, dict):
            raise FormatError(f"The provenance of image {image} of {self.path.parent} is damaged.")
        return record

    def totals(self) -> dict[str, dict[str, int]]:
        """Number of sites in the whole set by kind and class."""
        totals: dict[str, dict[str, int]] = {}
        for kind, name, n in self._rows("SELECT kind, class, SUM(n) FROM counts GROUP BY kind, class ORDER BY class"):
            totals.setdefault(kind, {})[name] = int(n)
        return totals

    def ranges(self) -> dict[str, tuple[Any, Any]]:
        """Smallest and largest value of each parameter that has any."""
        names = [name for (name,) in self._rows("SELECT name FROM parameters ORDER BY place")]
        if not names:
            return {}
        ends = ", ".join(f"MIN({quoted_name(name)}), MAX({quoted_name(name)})" for name in names)
        values = self._one(f"SELECT {ends} FROM images")
        pairs = zip(names, values[::2], values[1::2], strict=True)
        return {name: (low, high) for name, low, high in pairs if low is not None}

    def add(self, rows: Mapping[int, Row]) -> None:
        """Add images, all of them or none.

        Raises
        ------
        FormatError
            If one is there already, or the file cannot be written.
        """
        with self.writing() as connection:
            self.insert(connection, rows)

    def insert(self, connection: sqlite3.Connection, rows: Mapping[int, Row]) -> None:
        """Add images within `writing`.

        Raises
        ------
        FormatError
            If one is there already, or has parameters that cannot be stored.
        """
        rows = {image: replace(row, parameters=_storable(row.parameters)) for image, row in rows.items()}
        self._make_columns(connection, rows.values())
        for image, row in rows.items():
            # what has no value is left out: there may be no column for it yet
            values = {name: value for name, value in row.parameters.items() if value is not None}
            names = ["image", *values]
            marks = ", ".join("?" * len(names))
            connection.execute(
                f"INSERT INTO images ({', '.join(map(quoted_name, names))}) VALUES ({marks})",
                (int(image), *values.values()),
            )
            connection.executemany(
                "INSERT INTO counts (image, kind, class, n) VALUES (?, ?, ?, ?)",
                [
                    (int(image), kind, name, int(n))
                    for kind, classes in row.counts.items()
                    for name, n in sorted(classes.items())
                ],
            )
            connection.execute("INSERT INTO sites (image, block) VALUES (?, ?)", (int(image), row.sites))
        said = [(int(image), row.provenance) for image, row in rows.items() if row.provenance]
        if said:
            connection.execute(_PROVENANCE)
            connection.executemany("INSERT INTO provenance (image, record) VALUES (?, ?)", said)

    def delete(self, connection: sqlite3.Connection, images: Iterable[int]) -> None:
        """Forget images within `writing`, so that they can be made again."""
        rows = [(int(image),) for image in images]
        held = [
            "images",
            "counts",
            "sites",
            *(["provenance"] if connection.execute(_HAS_PROVENANCE).fetchone() else []),
        ]
        for name in held:
            connection.executemany(f"DELETE FROM {name} WHERE image = ?", rows)

    def _make_columns(self, connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
        """Columns for parameters that no image had before."""
        known: dict[str, str] = dict(connection.execute("SELECT name, kind FROM parameters ORDER BY place"))
        for row in rows:
            for name, value in row.parameters.items():
                if value is None:
                    continue
                kind, before = _kind(value), known.get(name)
                if before is None:
                    if len(known) >= _MOST_COLUMNS:
                        raise FormatError(f"{self.path} cannot hold more than {_MOST_COLUMNS} parameters.")
                    connection.execute(f"ALTER TABLE images ADD COLUMN {quoted_name(name)}")
                    connection.execute("INSERT INTO parameters (name, kind) VALUES (?, ?)", (name, kind))
                elif before != kind:
                    # what is now a number and now a word is compared as words
                    kind = "text"
                    connection.execute("UPDATE parameters SET kind = 'text' WHERE name = ?", (name,))
                known[name] = str(kind)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction; others wait with their own until the block ends, and nothing of a block that fails stays.

        Raises
        ------
        FormatError
            If the file cannot be written.
        """
        connection = self._connection()
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
        except sqlite3.IntegrityError as error:
            raise FormatError(f"{self.path.parent} holds the image already; does another job write to it?") from error
        except sqlite3.Error as error:
            raise FormatError(_words(self.path, "written", error)) from error

    def _rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise FormatError(_words(self.path, "read", error)) from error

    def _one(self, sql: str, values: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        rows = self._rows(sql, values)
        if not rows:
            raise FormatError(f"{self.path.parent} has no image {values[0]}.")
        return rows[0]

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._here, "connection", None)
        if connection is None:
            try:
                # not made when it is missing; read only where it cannot be written
                connection = sqlite3.connect(
                    read_write_uri(self.path.absolute()), uri=True, timeout=BUSY, isolation_level=None
                )
            except sqlite3.Error as error:
                raise FormatError(_words(self.path, "opened", error)) from error
            self._here.connection = connection
        return connection


def read_write_uri(path: PurePath) -> str:
    r"""Address of an existing file for SQLite, which takes no host: that of ``\\\\server\share`` goes into the path."""
    text = path.as_posix()
    return f"file://{'' if text.startswith('/') else '/'}{quote_from_bytes(os.fsencode(text), safe='/:')}?mode=rw"


def create_image_table(path: Path) -> ImageTable:
    """Make an empty table.

    Raises
    ------
    FormatError
        If the file cannot be written.
    """
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise FormatError(_words(path, "written", error)) from error
    return ImageTable(path)


def _words(path: Path, what: str, error: sqlite3.Error) -> str:
    reason = str(error)
    if "disk is full" in reason:
        # the words by which a full disk is known
        reason = "No space left on device"
    return f"The table {path} cannot be {what}: {reason}."


def _storable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Values as SQLite takes them; anything but numbers, words and truth values becomes JSON."""
    done: dict[str, Any] = {}
    folded: set[str] = set()
    for name, value in parameters.items():
        if isinstance(value, np.generic):
            value = value.item()
        if name.lower() in folded or name.lower() == "image":
            raise FormatError(f"The parameter '{name}' cannot be stored: another has the same name.")
        folded.add(name.lower())
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise FormatError(f"The parameter '{name}' is {value}; whole numbers from -2^63 to 2^63 - 1 can be stored.")
        if value is not None and not isinstance(value, (bool, int, float, str)):
            value = json.dumps(value, default=str)
        done[name] = None if isinstance(value, float) and math.isnan(value) else value
    return done


def _kind(value: Any) -> Kind:
    if isinstance(value, bool):
        return "flag"
    return "number" if isinstance(value, (int, float)) else "text"


def _counts_table(counts: pd.DataFrame, classes: list[str], images: pd.Index) -> pd.DataFrame:
    """``n_columns``, ``n_defects`` and ``n_CLASS`` of each image."""
    table = pd.DataFrame(index=images)
    for kind in ("column", "defect"):
        part = counts[counts["kind"] == kind]
        table[f"n_{kind}s"] = part.groupby("image")["n"].sum().reindex(images, fill_value=0).astype(int)
    for name in classes:
        part = counts[counts["class"] == name]
        table[f"n_{name}"] = part.groupby("image")["n"].sum().reindex(images, fill_value=0).astype(int)
    return table
