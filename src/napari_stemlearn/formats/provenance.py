"""All that tells whether an image is synthetic: tags, descriptions, files beside it, its data set, its pixels."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.errors import FormatError, MicrographError
from napari_stemlearn.file_errors import reason
from napari_stemlearn.formats.data_set_names import CARD, KIND
from napari_stemlearn.formats.reading import EXTENSIONS, TIFF_EXTENSIONS, read_micrographs
from napari_stemlearn.marking.statement import is_synthetic, says_synthetic
from napari_stemlearn.marking.watermark import LOOKED_AT, SMALLEST, WatermarkFinding, find_watermark

PICTURE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""Endings of pictures: no micrographs, but people send them."""

MarkKind = Literal["TIFF tag", "description", "metadata", "file beside it", "data set", "watermark"]

_LARGEST_JSON = 16 * 2**20
_MOST_BESIDE = 200
_FOLDERS_UP = 2


@dataclass(frozen=True)
class Mark:
    """One thing that speaks of an image's origin.

    Parameters
    ----------
    kind
        What it is.
    place
        Name of the tag, the file or the image that says it.
    synthetic
        Whether it says that the image is synthetic; False where it says that it is not.
    words
        What it says.
    """

    kind: MarkKind
    place: str
    synthetic: bool
    words: str


@dataclass(frozen=True)
class ProvenanceReport:
    """What the marks of a file say together.

    Parameters
    ----------
    path
        The file, or the folder of a data set.
    marks
        All that were found; a watermark that is not there is no mark.
    watermarks
        What the pixels say, for each image by its name.
    trouble
        Why the pixels could not be looked at; empty where they could.
    """

    path: Path
    marks: tuple[Mark, ...]
    watermarks: dict[str, WatermarkFinding]
    trouble: str = ""

    @property
    def synthetic(self) -> bool:
        """Whether any mark says that it is synthetic; False does not prove that it was measured."""
        return any(mark.synthetic for mark in self.marks)

    @property
    def verdict(self) -> str:
        """The verdict in one sentence."""
        if self.synthetic:
            kinds = dict.fromkeys(mark.kind for mark in self.marks if mark.synthetic)
            return f"SYNTHETIC, says the {', the '.join(kinds)}."
        return "No mark found, which does not prove that it was measured."

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "file": str(self.path),
            "synthetic": self.synthetic,
            "verdict": self.verdict,
            "marks": [asdict(mark) for mark in self.marks],
            "watermark": {name: asdict(finding) for name, finding in self.watermarks.items()},
            "trouble": self.trouble or None,
        }


def read_provenance(path: str | Path) -> ProvenanceReport:
    """Read every mark of a file: what its tags and metadata say, the files beside it, its data set, its pixels.

    Parameters
    ----------
    path
        A micrograph (`EXTENSIONS`), a picture (`PICTURE_EXTENSIONS`), or the folder of a data set.

    Raises
    ------
    FormatError
        If it is missing, damaged or of a kind that cannot be read.
    """
    path = Path(path).expanduser()
    if not os.path.exists(path):
        raise FormatError(f"The file {path} does not exist.")
    card = _read_json(path / CARD)
    foreign = card is not None and card.get("kind") != KIND
    if (path / CARD).is_file() and not foreign:
        return _of_data_set(path)
    ending = path.suffix.lower()
    if path.is_dir() and ending not in EXTENSIONS:
        why = f"its {CARD} is of another program" if foreign else f"it has no {CARD}"
        raise FormatError(f"{path.name} is no data set: {why}; give the files in it.")
    marks: list[Mark] = []
    trouble = ""
    images: dict[str, NDArray[Any]] = {}
    if ending in PICTURE_EXTENSIONS:
        images = {path.stem: _picture(path)}
    elif ending in EXTENSIONS:
        if ending in TIFF_EXTENSIONS:
            marks += _tiff_marks(path)
        try:
            # the watermark is in the pixels, however large these are
            found = read_micrographs(path, pixel_size=1.0)
            images = {micrograph.name: micrograph.data for micrograph in found}
            if ending not in TIFF_EXTENSIONS:
                marks += [
                    mark for micrograph in found for mark in _said("metadata", micrograph.name, micrograph.provenance)
                ]
        except MicrographError as error:
            if ending in TIFF_EXTENSIONS:
                images = _refused_tiff(path)
            trouble = "" if images else str(error)
    else:
        kinds = ", ".join(entry[1:] for entry in (*EXTENSIONS, *PICTURE_EXTENSIONS))
        raise FormatError(
            f"{path.name} has the ending '{ending or 'none'}'; marks can be read from {kinds} and from data sets."
        )
    marks += _marks_beside(path)
    marks += _marks_above(path)
    watermarks = {name: find_watermark(data) for name, data in images.items()}
    return ProvenanceReport(path, (*marks, *_watermark_marks(watermarks)), watermarks, trouble)


# --- what is written --------------------------------------------------------------------------------------------------


def _tiff_marks(path: Path) -> list[Mark]:
    import tifffile

    from napari_stemlearn.formats.tiff_tags import text_tags

    try:
        with tifffile.TiffFile(path) as tiff:
            tags = text_tags(tiff)
    except PermissionError as error:
        raise FormatError(f"{path.name} cannot be read: {reason(error)}.") from error
    except Exception as error:
        raise FormatError(
            f"{path.name} cannot be read as TIFF: the file is truncated, damaged or of another kind ({reason(error)})."
        ) from error
    marks: list[Mark] = []
    for name, words in tags.items():
        described = _parsed(words)
        if described is not None:
            marks += _said("description", name, described)
        elif says_synthetic(words):
            marks.append(Mark("TIFF tag", name, True, _short(words)))
    return marks


def _marks_beside(path: Path) -> list[Mark]:
    """JSON files of the image: those with its name, and site tables' sidecars that name it."""
    marks: list[Mark] = []
    for index, file in enumerate(_json_files(path)):
        if index == _MOST_BESIDE:
            break
        record = _read_json(file)
        if record is None:
            continue
        # a sidecar may belong to an image of another name, and a file that begins alike to none
        named = _images_named(record)
        if named & {path.stem, path.name} or (not named and _has_name_of(file, path)):
            marks += _said("file beside it", file.name, record)
    return marks


def _images_named(record: Mapping[str, Any]) -> set[str]:
    """Names of the images that a record says it belongs to."""
    provenance = record.get("provenance")
    named: set[str] = set()
    for entries in (record, provenance if isinstance(provenance, Mapping) else {}):
        listed = entries.get("images")
        for image in (entries.get("image"), *(listed if isinstance(listed, list) else ())):
            name = image.get("name") if isinstance(image, Mapping) else image
            named |= {name} if isinstance(name, str) and name else set()
    return named


def _has_name_of(file: Path, image: Path) -> bool:
    """Whether a JSON file has the name of an image: ``scan.json``, ``scan.tif.json``, ``scan.sites.json``."""
    end = file.name.removeprefix(image.name if file.name.startswith(f"{image.name}.") else image.stem)
    # after a point in a name comes a number as a rule: wse2_v1.5_sim.json is not of wse2_v1.tif
    return end != file.name and re.fullmatch(r"(\.[a-z]\w*)?\.json", end, re.IGNORECASE) is not None


def _json_files(path: Path) -> Iterator[Path]:
    try:
        for file in sorted(path.parent.glob("*.json")):
            if _has_name_of(file, path) or file.name.startswith((f"{path.stem}_", f"{path.stem}.")):
                yield file
    except OSError:
        return


def _marks_above(path: Path) -> list[Mark]:
    """The card of the data set that holds the file, in one of the folders above."""
    for folder in list(path.absolute().parents)[:_FOLDERS_UP]:
        card = folder / CARD
        record = _read_json(card) if card.is_file() else None
        # other programs call their files so as well
        if record is not None and record.get("kind") == KIND:
            return _said("data set", f"{folder.name}/{card.name}", record)
    return []


def _of_data_set(folder: Path) -> ProvenanceReport:
    """The card of a data set, and some of its images."""
    card = folder / CARD
    record = _read_json(card)
    if record is None:
        raise FormatError(f"{folder.name}/{card.name} is damaged, so the data set cannot be read.")
    trouble = ""
    watermarks: dict[str, WatermarkFinding] = {}
    try:
        watermarks = {name: find_watermark(image) for name, image in _images_of_data_set(folder)}
    except Exception as error:
        trouble = f"The images of {folder.name} cannot be read: {reason(error)}."
    marks = (*_said("data set", card.name, record), *_watermark_marks(watermarks))
    return ProvenanceReport(folder, marks, watermarks, trouble)


def _images_of_data_set(folder: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Images of the zarr arrays in a folder, spread evenly; those that are not written yet are left out."""
    import zarr

    for place in sorted(folder.glob("*.zarr")):
        opened = zarr.open(str(place), mode="r")
        arrays = [opened] if isinstance(opened, zarr.Array) else [array for _, array in opened.arrays()]
        for array in arrays:
            if array.ndim != 3 or not array.shape[0]:
                continue
            count = min(int(array.shape[0]), LOOKED_AT)
            for index in np.unique(np.linspace(0, array.shape[0] - 1, count).round().astype(int)):
                image = np.asarray(array[int(index)])
                if image.min() < image.max():
                    yield f"image {index}", image


def _said(kind: MarkKind, place: str, record: Mapping[str, Any]) -> list[Mark]:
    """What a record says, or its entry ``provenance``; nothing where it does not speak of the matter."""
    inner = record.get("provenance")
    for entries in (record, inner if isinstance(inner, Mapping) else {}):
        flag = is_synthetic(entries)
        if flag is not None:
            both = {**(inner if isinstance(inner, Mapping) else {}), **record}
            told = [f"synthetic: {'true' if flag else 'false'}"]
            told += [
                f"{name}: {_short(str(both[name]))}" for name in ("statement", "generator", "seed") if both.get(name)
            ]
            return [Mark(kind, place, flag, "; ".join(told))]
    return []


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > _LARGEST_JSON:
            return None
        return _parsed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def _parsed(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _short(words: str) -> str:
    line = " ".join(words.split())
    return line if len(line) <= 200 else f"{line[:199]}…"


# --- pixels -----------------------------------------------------------------------------------------------------------


def _watermark_marks(watermarks: Mapping[str, WatermarkFinding]) -> list[Mark]:
    return [
        Mark("watermark", name, True, describe_watermark(finding))
        for name, finding in watermarks.items()
        if finding.present
    ]


def describe_watermark(finding: WatermarkFinding) -> str:
    """What the pixels say, in words."""
    score = f"score {finding.score:.1f}, present from {finding.threshold:g} on"
    if not finding.present:
        small = "" if finding.large_enough else f"; below {SMALLEST} by {SMALLEST} pixels it may not show"
        return f"not in the pixels ({score}{small})"
    changes = ["mirrored"] if finding.mirrored else []
    changes += [f"turned by {90 * finding.quarter_turns} degrees"] if finding.quarter_turns else []
    changes += ["contrast inverted"] if finding.inverted else []
    return f"in the pixels ({score}{'; ' + ', '.join(changes) if changes else ''})"


def _picture(path: Path) -> NDArray[Any]:
    """The grey levels of a picture; colours are averaged."""
    import imagecodecs

    try:
        return _grey(np.asarray(imagecodecs.imread(str(path))))
    except Exception as error:
        raise FormatError(
            f"{path.name} cannot be read as a picture: the file is truncated, damaged or of another kind."
        ) from error


def _refused_tiff(path: Path) -> dict[str, NDArray[Any]]:
    """Grey levels of a TIFF that is no micrograph: colours, as programs export what they show, and frames of frames."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        first = tiff.series[0]
        axes = str(first.axes)
        if axes not in ("YXS", "SYX") and not axes.endswith("YX"):
            return {}
        values = np.asarray(first.asarray())
    if np.iscomplexobj(values) or min(values.shape) < 2:
        return {}
    if axes in ("YXS", "SYX"):
        return {path.stem: _grey(values if axes == "YXS" else np.moveaxis(values, 0, -1))}
    return {path.stem: values.reshape(-1, *values.shape[-2:])}


def _grey(values: NDArray[Any]) -> NDArray[Any]:
    """Two axes; of colours the mean, without transparency."""
    if values.ndim == 2:
        return values
    if values.ndim != 3:
        raise ValueError("no picture")
    colours = 3 if values.shape[-1] >= 3 else 1
    return np.asarray(values[..., :colours].mean(axis=-1))
