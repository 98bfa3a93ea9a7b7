"""Hand labels on disk: one folder an image, one site table a set, with what was refused and finished beside it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_stemlearn.atomic_writing import visible_files
from napari_stemlearn.errors import FormatError, SitesError
from napari_stemlearn.labelling.hand_labels import LabelState
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.scoring.labelled import FRAMES_DONE

REVIEW_VERSION = 1
SAMPLES = 65536
"""Pixels of a frame that enter its fingerprint."""


@dataclass(frozen=True)
class SavedSet:
    """A set of labels on disk."""

    name: str
    path: Path
    n_sites: int


@dataclass(frozen=True)
class LoadedSet:
    """What a set held when it was read."""

    state: LabelState
    classes: list[str]
    stamp: str | None = None
    """Of its files, as `stamp_of` gives it."""


def fingerprint(micrograph: Micrograph) -> str:
    """Ten letters that tell images apart, from shape, type and a sample of the values; the same in any file."""
    return _fingerprints(micrograph, "<")[0]


def _known_marks(micrograph: Micrograph) -> list[str]:
    """The marks under which labels of an image may lie: that of the order of bytes that it has goes first.

    Before bytes were put in order, an image that was mapped from a big-endian file had a mark of its own.
    """
    return _fingerprints(micrograph, "><" if np.dtype(micrograph.data.dtype).str.startswith(">") else "<>")


def _fingerprints(micrograph: Micrograph, orders: str) -> list[str]:
    """Fingerprint of the values in each of the orders of bytes, ``<`` and ``>``."""
    dtype = np.dtype(micrograph.data.dtype)
    dtypes = [dtype.newbyteorder("<" if order == "<" else ">") for order in orders]
    digests = [hashlib.sha256(f"{tuple(micrograph.data.shape)} {one.str}".encode()) for one in dtypes]
    for index in np.unique(np.linspace(0, micrograph.n_frames - 1, 6).astype(int)):
        frame = micrograph.frame(int(index))
        step = max(1, int(np.sqrt(frame.size / SAMPLES)))
        sample = np.ascontiguousarray(frame[::step, ::step])
        for digest, one in zip(digests, dtypes, strict=True):
            digest.update(sample.astype(one, copy=False).tobytes())
    return [digest.hexdigest()[:10] for digest in digests]


def folder_for(labels: Path, micrograph: Micrograph) -> Path:
    """Folder of an image's labels; one made under another name of the same image is found again."""
    for mark in _known_marks(micrograph) if labels.is_dir() else ():
        known = sorted(labels.glob(f"*-{mark}"))
        if known:
            return known[0]
    return labels / f"{slug(micrograph.name)}-{fingerprint(micrograph)}"


def belongs_to(path: Path, micrograph: Micrograph) -> bool:
    """Whether a set is of exactly this image."""
    return path.parent.name.endswith(tuple(f"-{mark}" for mark in _known_marks(micrograph)))


def rescue_root() -> Path:
    """Where labels go that cannot be written to the project folder."""
    import platformdirs

    return platformdirs.user_data_path("napari-stemlearn", appauthor=False) / "rescued_labels"


def slug(name: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._")[:60] or "image"


def review_path(path: Path) -> Path:
    """Where refused predictions, finished frames and classes of a set lie."""
    return path.with_name(f"{path.stem}.review.json")


def stamp_of(path: Path) -> str | None:
    """What tells whether the files of a set are still the same; None where there is no set.

    Raises
    ------
    OSError
        If the files cannot be read.
    """
    digest, found = hashlib.sha256(), False
    for one in (path, review_path(path)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            digest.update(one.name.encode() + one.read_bytes())
            found = True
    return digest.hexdigest() if found else None


def saved_sets(folder: Path) -> list[SavedSet]:
    """Sets in an image's folder, by name; what is wrong with a table is said when it is opened."""
    found = []
    for path in visible_files(folder, "*.csv"):
        # another program may have removed it since
        with contextlib.suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as stream:
            lines = sum(1 for line in stream if line.strip())
            found.append(SavedSet(path.stem, path, max(lines - 1, 0)))
    return found


def free_name(folder: Path, wanted: str, taken: set[str]) -> str:
    """A set name that is neither on disk nor taken: ``labels``, ``labels 2``, …"""
    taken = taken | {entry.name for entry in saved_sets(folder)}
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted} {number}"
    return name


def save_set(
    path: str | Path, state: LabelState, *, pixel_size: float | None, classes: list[str], image_name: str = ""
) -> Path:
    """Write a set, all of its files or none.

    Parameters
    ----------
    path
        Of its table, which ends in ``.csv``; the folder is made where it is missing.
    state
        What is labelled, refused and finished.
    pixel_size
        In angstrom; None where it is not known.
    classes
        That were chosen from, in their order.
    image_name
        Of the micrograph.

    Raises
    ------
    FormatError
        If the folder cannot be made or written.
    """
    from napari_stemlearn.formats import write_sites
    from napari_stemlearn.formats.atomic import make_folder, replacing, taken_back

    path = Path(path)
    make_folder(path.parent)
    columns = ["frame", "y", "x", "class", "score"]
    rejected = state.rejected[columns].astype({"frame": int}).to_dict("records")
    for row in rejected:
        row["score"] = None if np.isnan(row["score"]) else float(row["score"])
    review = {"version": REVIEW_VERSION, "classes": classes, "done": sorted(state.done), "rejected": rejected}
    with taken_back(review_path(path)):
        with replacing(review_path(path)) as temporary:
            temporary.write_text(json.dumps(review, indent=1) + "\n", encoding="utf-8")
        return write_sites(
            path,
            state.sites,
            pixel_size=pixel_size,
            classes=classes,
            provenance={"kind": "hand labels", "image": image_name, FRAMES_DONE: sorted(state.done)},
        )


def remove_set(path: Path) -> None:
    """Remove the files of a set, and its folder where nothing else is in it.

    Raises
    ------
    FormatError
        If the disk refuses.
    """
    from napari_stemlearn.file_errors import reason
    from napari_stemlearn.formats import sidecar_path

    try:
        for one in (path, sidecar_path(path), review_path(path)):
            one.unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as error:
        raise FormatError(f"{path} cannot be removed: {reason(error)}.") from error


def load_set(path: str | Path, *, pixel_size: float | None) -> LoadedSet:
    """Read a set that was saved.

    Parameters
    ----------
    path
        Of its table.
    pixel_size
        In angstrom; None for that of the table.

    Raises
    ------
    FormatError, SitesError
        If one of its files is missing or damaged.
    """
    import pandas as pd

    from napari_stemlearn.file_errors import reason
    from napari_stemlearn.formats import read_sites
    from napari_stemlearn.sites import empty_sites, make_sites

    path = Path(path)
    try:
        # before they are read: what changes meanwhile is noticed when they are written
        stamp = stamp_of(path)
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {reason(error)}.") from error
    sites = read_sites(path, pixel_size=pixel_size)
    beside = review_path(path)
    if not beside.is_file():
        return LoadedSet(LabelState(sites, empty_sites()), list(dict.fromkeys(sites["class"])), stamp)
    try:
        review = json.loads(beside.read_text(encoding="utf-8"))
        rows = pd.DataFrame(review["rejected"], columns=["frame", "y", "x", "class", "score"])
        rejected = make_sites(
            rows["y"].to_numpy(dtype=float),
            rows["x"].to_numpy(dtype=float),
            rows["class"].to_numpy(dtype=object),
            pixel_size=pixel_size,
            frame=rows["frame"].to_numpy(dtype=np.int64),
            score=rows["score"].to_numpy(dtype=float),
            origin="predicted",
        )
        state = LabelState(sites, rejected, frozenset(int(frame) for frame in review["done"]))
        return LoadedSet(state, [str(name) for name in review["classes"]], stamp)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SitesError(f"{beside.name} beside {path.name} is damaged; mend or delete it ({error}).") from error
