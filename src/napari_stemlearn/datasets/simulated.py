"""A set of simulated micrographs on disk, each with the truth about all its sites."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemlearn.atomic_writing import replacing, write_bytes
from napari_stemlearn.datasets.one_writer import only_writer
from napari_stemlearn.datasets.settings import SimulateSettings
from napari_stemlearn.errors import FormatError, SettingsError
from napari_stemlearn.events import Done, Event, Log, Progress, Started, preview
from napari_stemlearn.file_errors import reason
from napari_stemlearn.imaging.specimen_margin import needed_margin
from napari_stemlearn.nested_names import flattened
from napari_stemlearn.settings import read_yaml
from napari_stemlearn.structures.trial import check_buildable

if TYPE_CHECKING:
    import torch

    from napari_stemlearn.imaging.labelled import LabelledMicrograph

PREVIEW = 512
"""Largest side of a preview in pixels."""

SETTINGS, INDEX, TABLE = "settings.yaml", "images.jsonl", "images.csv"


def simulate_data_set(
    settings: SimulateSettings,
    folder: Path,
    *,
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Simulate a set into ``folder/result``: the work of a job; see `write_data_set`.

    A set that was begun is gone on with whether or not `resume` is given.
    """
    yield from write_data_set(settings, Path(folder) / "result", should_stop=should_stop)


def write_data_set(
    settings: SimulateSettings, folder: Path, *, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """Simulate labelled micrographs and write them; images that are there already stay.

    The folder gets for each image ``00007.tif`` and ``00007_sites.csv`` (all columns and all defects; ``kind`` tells
    which) with its sidecar, ``images.csv`` with one row an image (file, seeds, counts, every drawn parameter), and
    ``settings.yaml``. Image 7 is the same whatever the number of images and the order in which they are made.

    Parameters
    ----------
    settings
        What to simulate.
    folder
        Made where missing.
    should_stop
        Asked before each image.

    Yields
    ------
    Event
        The last is a `Done` with ``folder``, ``images``, ``columns`` and ``defects``.

    Raises
    ------
    SettingsError
        If the folder holds a set made with other settings, or the settings contradict each other.
    FormatError
        If a CIF file cannot be read, another program is writing a set into the folder, it cannot be written or the
        disk is full.
    """
    from napari_stemlearn.devices import choose_device

    device = choose_device(settings.device)
    check_buildable(settings.structure)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with only_writer(folder):
        yield from _filled(settings, folder, device, should_stop)


def _filled(
    settings: SimulateSettings, folder: Path, device: torch.device, should_stop: Callable[[], bool]
) -> Iterator[Event]:
    """Make the images that are missing, while no other program writes here."""
    from napari_stemlearn.devices import device_name, memory_free_gb

    _begin(settings, folder)
    rows = _read_index(folder)
    yield Started(
        device=str(device),
        device_name=device_name(device),
        memory_free_gb=memory_free_gb(device),
        total=settings.number,
        resumed_at=len(rows),
    )
    if rows:
        yield Log(message=f"{len(rows)} images are there already and stay.")
    stopped = False
    told: set[str] = set()
    for index in range(settings.number):
        if index not in rows:
            if should_stop():
                stopped = True
                break
            labelled, seeds = simulate_one(settings, index, device=str(device))
            rows[index] = _write_one(folder, index, labelled, seeds)
            yield from told_once(index, labelled.notes, told)
            yield preview("image", small_part(labelled.micrograph.frame(0)), index, settings.imaging.pixel_size)
        yield Progress(done=index + 1, total=settings.number, stage="images")
    kept = [rows[index] for index in sorted(rows)]
    _write_table(folder, kept)
    counts = {name: sum(row[f"n_{name}"] for row in kept) for name in ("columns", "defects")}
    yield Done(result={"folder": str(folder), "images": len(kept), **counts}, stopped=stopped)


def told_once(index: int, notes: Mapping[str, str], told: set[str]) -> Iterator[Log]:
    """Warn of what an image of a set leaves out, once for the set: with one image of it, others are alike.

    Parameters
    ----------
    index
        Of the image.
    notes
        Full sentences by name, as of `LabelledMicrograph`.
    told
        Names of what was said already; grows.
    """
    for name in sorted(notes.keys() - told):
        told.add(name)
        yield Log(message=f"Image {index}: {notes[name]}", level="warning")


def simulate_one(
    settings: SimulateSettings, index: int, *, device: str = "cpu"
) -> tuple[LabelledMicrograph, dict[str, int]]:
    """Simulate image number `index` of a set, without writing it.

    Returns
    -------
    labelled : LabelledMicrograph
        The image with its truth.
    seeds : dict
        Seeds of the specimen and of the image, both drawn from the set's seed and `index`.
    """
    from napari_stemlearn.imaging.simulate import simulate
    from napari_stemlearn.structures.build import build

    state = np.random.SeedSequence((settings.seed, index)).generate_state(2)
    seeds = {"structure_seed": int(state[0]), "imaging_seed": int(state[1])}
    imaging = settings.imaging
    field_of_view = tuple(side * imaging.pixel_size for side in imaging.shape)
    margin = max(settings.structure.margin, needed_margin(imaging))
    structure = settings.structure.changed(field_of_view=field_of_view, margin=margin)
    specimen = build(structure, seeds["structure_seed"])
    labelled = simulate(specimen, imaging, seeds["imaging_seed"], device)
    drawn = {"structure": dict(specimen.drawn), **labelled.drawn}
    provenance = {**labelled.micrograph.provenance, **seeds, "drawn": drawn}
    return replace(labelled, micrograph=replace(labelled.micrograph, provenance=provenance), drawn=drawn), seeds


def all_sites(labelled: LabelledMicrograph) -> pd.DataFrame:
    """Columns and defects of a simulated micrograph in one table; ``kind`` is ``column`` or ``defect``.

    Defects have the height of their atoms along the beam in ``z_angstrom``; columns have none.
    """
    from napari_stemlearn.sites import COLUMNS

    extra = ("sublattice", "n_atoms", "removed", "added", "z_angstrom")
    parts = []
    for kind, table in (("column", labelled.columns), ("defect", labelled.defects)):
        have = [name for name in (*COLUMNS, *extra) if name in table]
        parts.append(table[have].assign(kind=kind))
    joined = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    for name in ("removed", "added"):
        if name in joined:
            joined[name] = joined[name].fillna("")
    return joined


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say in a sentence that the set cannot be written."""
    try:
        yield
    except OSError as error:
        raise FormatError(f"The set cannot be written to {folder}: {reason(error)}.") from error


def _begin(settings: SimulateSettings, folder: Path) -> None:
    """Begin in an empty folder, or check that the set in it was made with the same settings (its number may grow)."""
    from napari_stemlearn.formats.folders import holds_files

    path = folder / SETTINGS
    record = settings.record()
    # a set without images keeps nobody from beginning another one
    if path.exists() and _complete_rows(folder):
        before = read_yaml(path)
        for name in sorted({*before, *record} - {"number", "device"}):
            if before.get(name) != record.get(name):
                raise SettingsError(
                    f"{folder} holds a set that was made with other settings ('{name}' differs); choose another folder."
                )
    with _writing(folder):
        if not path.exists() and holds_files(folder):
            raise SettingsError(f"{folder} holds other files; choose a new or empty folder.")
        settings.save(path)


def _write_one(folder: Path, index: int, labelled: LabelledMicrograph, seeds: dict[str, int]) -> dict[str, Any]:
    """Write truth, image and index row, in this order: an image in the index is complete."""
    from napari_stemlearn.formats import write_sites, write_tiff

    name = f"{index:05d}"
    micrograph = replace(labelled.micrograph, name=name)
    sites = all_sites(labelled)
    write_sites(
        folder / f"{name}_sites.csv",
        sites,
        micrograph=micrograph,
        provenance={"synthetic": True, "image": f"{name}.tif"},
    )
    write_tiff(folder / f"{name}.tif", micrograph)
    classes = {f"n_{key}": int(count) for key, count in labelled.defects["class"].value_counts().sort_index().items()}
    row: dict[str, Any] = {
        "index": index,
        "image": f"{name}.tif",
        "sites": f"{name}_sites.csv",
        **seeds,
        "pixel_size_angstrom": micrograph.pixel_size,
        "n_columns": len(labelled.columns),
        "n_defects": len(labelled.defects),
        **classes,
        **flattened(labelled.drawn),
    }
    with _writing(folder), open(folder / INDEX, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")
    return row


def _complete_rows(folder: Path) -> dict[int, dict[str, Any]]:
    """Rows of the images that are complete."""
    path = folder / INDEX
    if not path.exists():
        return {}
    rows: dict[int, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if all((folder / row[name]).exists() for name in ("image", "sites")):
            rows[int(row["index"])] = row
    return rows


def _read_index(folder: Path) -> dict[int, dict[str, Any]]:
    """Rows of the images that are complete; a half-written last line is dropped for good, its image is made again."""
    path = folder / INDEX
    if not path.exists():
        return {}
    rows = _complete_rows(folder)
    with _writing(folder):
        write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows.values()).encode("utf-8"))
    return rows


def _write_table(folder: Path, rows: list[dict[str, Any]]) -> None:
    table = pd.DataFrame(rows)
    for name in table.columns:
        if str(name).startswith("n_"):
            table[name] = table[name].fillna(0).astype(int)
    with _writing(folder), replacing(folder / TABLE) as part:
        table.to_csv(part, index=False)


def small_part(frame: NDArray[Any]) -> NDArray[Any]:
    """The middle of an image, small enough for a preview."""
    height, width = (min(side, PREVIEW) for side in frame.shape)
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    return frame[top : top + height, left : left + width]
