"""CSV files as tables of texts: encodings, separators, rows with too many fields, decimal commas."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from napari_stemlearn.errors import FormatError, SitesError
from napari_stemlearn.file_errors import reason

_HEAD_BYTES = 2**16
_COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
_WHOLE_NUMBER = re.compile(r"[+-]?\d+")
_SEPARATOR_LINE = re.compile(r"\s*\"?sep=([^\n])\"?[,;\t ]*(?:\n|$)", re.IGNORECASE)
_COMMENTS = re.compile(r"(?:[^\S\n]*(?:#[^\n]*)?\n)*[^\S\n]*#[^\n]*(?:\n|$)")
_NUMBER_FIRST = re.compile(r"\s*\"?[+-]?\.?\d")
_NAME_COMMENTED = re.compile(r"#\s*\"?[A-Za-z]")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


def read_table(path: Path) -> tuple[pd.DataFrame, str]:
    """Every field of a CSV file as text, under the names of its first line, and the separator.

    Raises
    ------
    FormatError
        If the file is missing, empty or no text.
    SitesError
        If its rows do not fit its first line; names the row.
    """
    text, told = _without_separator_line(_without_comments(_read_text(path)))
    if not text.strip():
        raise FormatError(f"{path.name} is empty.")
    separator = told or _separator(text.lstrip().splitlines()[0])
    try:
        rows = _rows(text, separator)
    except csv.Error as error:
        raise SitesError(f"{path.name} cannot be read as a table: {reason(error)}.") from error
    names = _distinct(rows[0])
    _check_lengths(rows, separator, path.name)
    # shorter rows lack their last fields; no field is a missing value, since a class may be called NA or None
    fields = [row[: len(names)] + [""] * (len(names) - len(row)) for row in rows[1:]]
    return pd.DataFrame(fields, columns=names, dtype=str), separator


def read_names(path: Path) -> list[str]:
    """The fields of the first line of a CSV file.

    Raises
    ------
    FormatError
        If it is no text.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as stream:
        head, told = _without_separator_line(
            _without_comments(_decoded(stream.read(_HEAD_BYTES), path.name, whole=False))
        )
    line = next((line.strip() for line in head.splitlines() if line.strip()), "")
    return next(csv.reader([line], delimiter=told or _separator(line)), [])


def with_decimal_points(
    table: pd.DataFrame, columns: Sequence[str], separator: str, name: str, texts_in: Collection[str] = ()
) -> pd.DataFrame:
    """The table with decimal points where numbers were written with commas, as German programs do.

    A file with commas between its fields has none inside of numbers, and one with both kinds of numbers is left
    alone, so that these are complained about.

    Parameters
    ----------
    table
        Of texts.
    columns
        Those that hold numbers; others do where each of their entries is one, unless they are among `texts_in`.
    separator
        Between the fields of the file.
    name
        For messages.
    texts_in
        Columns that are known to hold no numbers.

    Raises
    ------
    SitesError
        If commas may as well separate thousands.
    """
    if separator == ",":
        return table
    further = [column for column in table.columns if column not in columns and column not in texts_in]
    all_numbers = [column for column in further if _is_with_commas(table[column])]
    texts = {column: table[column].astype(str).str.strip() for column in (*columns, *all_numbers)}
    numbers = [text for column in texts.values() for text in column]
    commas = [text for text in numbers if _COMMA_NUMBER.fullmatch(text)]
    if not commas or any("." in text for text in numbers):
        return table
    # programs that write a semicolon do so because the comma is their decimal sign
    if separator == "\t" and all(_THOUSANDS.fullmatch(text) for text in commas):
        if not any("," in text for column in columns for text in texts[column]):
            return table
        raise SitesError(
            f"{name} has numbers such as {commas[0]}, where the comma may stand before decimals or between thousands; "
            "write them with a decimal point."
        )
    return table.assign(**{column: text.str.replace(",", ".", regex=False) for column, text in texts.items()})


def _is_with_commas(column: pd.Series) -> bool:
    """Whether a column holds nothing but numbers, of which some have a comma."""
    entries = [entry for entry in column.astype(str).str.strip() if entry]
    return any("," in entry for entry in entries) and all(
        _COMMA_NUMBER.fullmatch(entry) or _WHOLE_NUMBER.fullmatch(entry) for entry in entries
    )


def _without_comments(text: str) -> str:
    """The text without lines at its beginning that start with ``#``.

    Where numbers follow at once, the last of them names the columns, as numpy writes it (``# y,x``).
    """
    comments = _COMMENTS.match(text)
    if comments is None:
        return text
    rest = text[comments.end() :]
    if not _NUMBER_FIRST.match(rest):
        return rest
    head = comments[0].strip().splitlines()[-1].lstrip()
    return f"{head[1:].lstrip()}\n{rest}" if _NAME_COMMENTED.match(head) else text


def _without_separator_line(text: str) -> tuple[str, str | None]:
    """The text without a first line ``sep=;``, as programs write it to tell the separator, and the latter."""
    found = _SEPARATOR_LINE.match(text)
    return (text[found.end() :], found[1]) if found else (text, None)


def _read_text(path: Path) -> str:
    if not os.path.exists(path):
        raise FormatError(f"The file {path} does not exist.")
    if path.is_dir():
        raise FormatError(f"{path.name} is a folder, not a file.")
    try:
        text = _decoded(path.read_bytes(), path.name, whole=True)
    except FormatError:
        raise
    except OSError as error:
        raise FormatError(f"{path.name} cannot be read as a table: {reason(error)}.") from error
    if not text.strip():
        raise FormatError(f"{path.name} is empty.")
    return text


def _decoded(raw: bytes, name: str, *, whole: bool) -> str:
    """Text in UTF-8, in UTF-16 with its mark, or in the encoding of western Windows programs."""
    marked = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252"):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(raw, whole)
        except UnicodeDecodeError:
            continue
        # nearly every byte is a letter in the encoding of Windows, so there control characters tell what is no text
        found = {letter for letter in set(text) if ord(letter) < 32 and letter not in "\t\n\v\f\r"}
        if "\0" not in found and not (encoding == "cp1252" and found):
            return text.replace("\r\n", "\n").replace("\r", "\n")
    raise FormatError(f"{name} cannot be read as a table: it is no text that is known here; save it as UTF-8.")


def _separator(head: str) -> str:
    return max(",;\t", key=head.count)


def _rows(text: str, separator: str) -> list[list[str]]:
    """Fields of all lines that are not blank."""
    rows = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True, strict=True)
    return [row for row in rows if len(row) > 1 or "".join(row).strip()]


def _distinct(names: list[str]) -> list[str]:
    """Names of columns, of which the second of a kind gets a number."""
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        distinct.append(f"{name}.{seen[name]}" if name.strip() and name in seen else name)
        seen[name] = seen.get(name, 0) + 1
    return distinct


def _check_lengths(rows: list[list[str]], separator: str, name: str) -> None:
    """Refuse rows with more fields than the first line has names, unless the surplus is empty."""
    length = len(rows[0])
    for number, row in enumerate(rows[1:], 1):
        if any(field.strip() for field in row[length:]):
            whole = sum(bool(_WHOLE_NUMBER.fullmatch(field.strip())) for field in row)
            # a decimal comma makes two whole numbers of one
            halves = separator == "," and whole >= 2 * (len(row) - length)
            hint = "; numbers must have a decimal point" if halves else ""
            head = separator.join(rows[0]).strip()
            names = head if len(head) <= 60 else f"{head[:59]}…"
            columns = "is 1 column" if length == 1 else f"are {length} columns"
            raise SitesError(
                f"{name}: row {number} has {len(row)} fields, but there {columns} in the first line, '{names}'{hint}."
            )
