"""Where a search in files writes what it finds: one table for all images or one for each, and score maps."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemlearn.errors import FormatError, JobError, LabelsInTheWayError, SitesError, StemlearnError
from napari_stemlearn.formats.folders import SCORE_MAP, is_score_map
from napari_stemlearn.micrograph import printable

if TYPE_CHECKING:
    import pandas as pd

    from napari_stemlearn.finding.found import Found
    from napari_stemlearn.micrograph import Micrograph

NAMED = 3
"""Up to so many images are named in a sentence; more are counted."""


class SearchOutputs:
    """Tables and maps of the images of one search.

    Parameters
    ----------
    out
        A name that ends in ``.csv`` for one table, else a folder.
    images
        Files that are searched.

    Raises
    ------
    SitesError
        If there is no file, or one is given twice.
    """

    def __init__(self, out: Path, images: Sequence[str]) -> None:
        self.names = short_names(images)
        self.out = out
        self.one_table = out.suffix.lower() == ".csv"
        self.folder = out.parent if self.one_table else out
        self.written: list[str] = []
        self._tables: list[pd.DataFrame] = []
        self._images: list[dict[str, Any]] = []
        self._record: dict[str, Any] = {}
        self._first_frame = 0
        self._added: list[tuple[str, int, int]] = []
        self._kept: list[tuple[str, int, int]] = []

    def prepare(self, map_classes: Iterable[str] = (), *, overwrite: bool = False) -> None:
        """Make the folder and see that everything can be written, so that no search is in vain.

        Parameters
        ----------
        map_classes
            Classes whose score maps will be written.
        overwrite
            Whether tables that no search wrote, or that were changed since, may be replaced, and images that are no
            score maps.

        Raises
        ------
        FormatError
            Names the file asked for, or the table that an image would get.
        LabelsInTheWayError
            If a table is there that is not as a search wrote it, or an image in the place of a score map.
        """
        from napari_stemlearn.file_errors import reason
        from napari_stemlearn.formats import sidecar_path
        from napari_stemlearn.formats.atomic import make_folder

        tables = dict.fromkeys(map(self._table, self.names))
        targets = {path: table for table in tables for path in (table, sidecar_path(table))}
        maps = [self._map(name, entry) for name in self.names for entry in map_classes]
        targets |= {path: path for path in maps}
        for table in tables:
            if not overwrite and table.is_file() and not _is_as_searched(table):
                raise LabelsInTheWayError(
                    f"{table} is there already and is not as a search wrote it: it may hold labels or corrections; "
                    "write elsewhere, or overwrite it."
                )
        for path in maps:
            if not overwrite and path.is_file() and not is_score_map(path):
                raise LabelsInTheWayError(
                    f"{path} is there already and is no score map: it may be a micrograph; "
                    "write elsewhere, or overwrite it."
                )
        place = self.out
        make_folder(self.folder)
        try:
            for path, place in targets.items():
                # also refuses a name that is too long
                if path.exists() and path.is_dir():
                    what = "it" if path == place else f"{path.name} beside it"
                    raise FormatError(f"{place} cannot be written: {what} is a folder.")
            place = self.out
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except FormatError:
            raise
        except OSError as error:
            raise FormatError(f"{place} cannot be written: {reason(error)}.") from error

    def add(self, name: str, micrograph: Micrograph, found: Found) -> None:
        """Take the sites of an image, and write what need not wait for the others.

        Raises
        ------
        FormatError
            If something cannot be written.
        """
        self._record = found.record
        if not found.frames:
            # stopped before its first frame was done: an empty table would say that nothing is there
            self._first_frame += micrograph.n_frames
            return
        shape = list(micrograph.data.shape)
        image: dict[str, Any] = {"name": name, "shape": shape, "pixel_size": micrograph.pixel_size}
        if len(found.frames) < micrograph.n_frames:
            image["frames"] = list(found.frames)
        self._images.append(image)
        self._added.append((name, len(found.frames), micrograph.n_frames))
        if self.one_table and len(self.names) > 1:
            numbered = found.sites.assign(image=name, image_frame=found.sites["frame"])
            self._tables.append(numbered.assign(frame=numbered["frame"] + self._first_frame))
        else:
            self._write(self._table(name), found.sites, [image], micrograph)
            self._kept.append(self._added[-1])
        self._first_frame += micrograph.n_frames
        for site_class, values in (found.maps or {}).items():
            self._write_map(name, site_class, values, found)

    def finish(self) -> None:
        """Write the table of all images.

        Raises
        ------
        FormatError
            If it cannot be written.
        """
        if not self._tables:
            return
        from napari_stemlearn.sites import concat_sites

        self._write(self.out, concat_sites(self._tables), self._images, None)
        self._kept = list(self._added)

    def told(self, fault: Exception) -> Exception:
        """The fault that ended a search, as a sentence that also says what was written.

        A fault in the code, which no sentence explains, comes back as it is.
        """
        from napari_stemlearn.jobs.failures import explain_failure
        from napari_stemlearn.memory_errors import is_out_of_memory

        if not self._kept:
            return fault
        if isinstance(fault, StemlearnError):
            return type(fault)(f"{str(fault).removesuffix('.')} ({self.kept_words()}).")
        if isinstance(fault, OSError) or is_out_of_memory(fault):
            return JobError(f"{explain_failure(fault, self.folder).removesuffix('.')} ({self.kept_words()}).")
        return fault

    def kept_words(self) -> str:
        """What was written, in words; empty where nothing was."""
        whole = [name for name, done, count in self._kept if done == count]
        parts = [", ".join(whole) if len(whole) <= NAMED else f"{len(whole)} images"] if whole else []
        parts += [f"{done} of {count} frames of {name}" for name, done, count in self._kept if done < count]
        return f"written: the sites of {' and of '.join(parts)}" if parts else ""

    def _table(self, name: str) -> Path:
        return self.out if self.one_table else self.folder / f"{self._stem(name)}_sites.csv"

    def _map(self, name: str, site_class: str) -> Path:
        return self.folder / f"{self._stem(name)}_map_{site_class}.tif"

    def _stem(self, name: str) -> str:
        """Name of an image's table and maps, without ending."""
        stems = [Path(other).stem for other in self.names]
        stem = Path(name).stem
        return stem if stems.count(stem) == 1 else name.replace("/", "_").replace("\\", "_").replace(":", "_")

    def _write(
        self, path: Path, sites: pd.DataFrame, images: list[dict[str, Any]], micrograph: Micrograph | None
    ) -> None:
        from napari_stemlearn.formats import write_sites

        write_sites(
            path,
            sites,
            pixel_size=images[0]["pixel_size"],
            micrograph=micrograph,
            classes=list(self._record["thresholds"]),
            # each image has a shape of its own
            provenance={**{key: value for key, value in self._record.items() if key != "shape"}, "images": images},
            replaceable=True,
        )
        self.written.append(str(path))

    def _write_map(self, name: str, site_class: str, values: Any, found: Found) -> None:
        from napari_stemlearn.formats import write_tiff
        from napari_stemlearn.micrograph import Micrograph

        path = self._map(name, site_class)
        provenance = {**found.record, "kind": SCORE_MAP, "class": site_class}
        write_tiff(path, Micrograph(values, found.map_pixel_size, path.stem, provenance))


def _is_as_searched(table: Path) -> bool:
    """Whether a table is as a search wrote it."""
    from napari_stemlearn.file_errors import reason
    from napari_stemlearn.formats.site_files import is_untouched

    try:
        return is_untouched(table)
    except OSError as error:
        raise FormatError(f"{table} cannot be read: {reason(error)}.") from error


def short_names(images: Sequence[str]) -> list[str]:
    """Short names of files, longer where two would be the same.

    Raises
    ------
    SitesError
        If there is no file, or one is given twice.
    """
    if not images:
        raise SitesError("There is no image to search.")
    for path in images:
        if list(images).count(path) > 1:
            raise SitesError(f"{path} is given twice.")
    short = [Path(path).name for path in images]
    names = [name if short.count(name) == 1 else str(path) for name, path in zip(short, images, strict=True)]
    shown = [printable(name) for name in names]
    # names that differ in what cannot be shown are written out byte by byte
    return [
        one if shown.count(one) == 1 else name.encode("utf-8", "backslashreplace").decode()
        for one, name in zip(shown, names, strict=True)
    ]
