"""Make a run folder and begin."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_stemlearn.errors import JobError
from napari_stemlearn.events import Event
from napari_stemlearn.file_errors import reason
from napari_stemlearn.jobs.failures import explain_failure
from napari_stemlearn.jobs.job_file import JobFile, versions
from napari_stemlearn.jobs.registry import JobKind, job_kind
from napari_stemlearn.jobs.run import Run
from napari_stemlearn.settings import Settings

LABEL = 80
"""Letters of a label that stand in the name of the run folder; ``job.yaml`` holds all."""


def create(
    kind: str,
    settings: Settings,
    *,
    runs_folder: str | Path,
    inputs: dict[str, Any] | None = None,
    label: str = "",
) -> Run:
    """Make a run folder without starting anything.

    Parameters
    ----------
    kind
        See `napari_stemlearn.jobs.registry.job_kind`.
    settings
        Of the kind's settings model.
    runs_folder
        Where run folders lie; made if missing.
    inputs
        Plain values: paths of images, name of a model. Relative paths hold from the current folder on.
    label
        Added to the folder's name.

    Raises
    ------
    JobError
        If the kind is unknown, the settings are of another kind, or the folder cannot be made.
    """
    known = _known(kind, settings)
    record = settings.record()
    seed = record.get("seed")
    job = JobFile(
        kind=kind,
        label=label,
        seed=seed if isinstance(seed, int) else None,
        working_directory=os.getcwd(),
        settings=record,
        inputs=inputs or {},
        versions=versions(),
    )
    runs_folder = Path(runs_folder).absolute()
    try:
        folder = _new_folder(runs_folder, known.name, label, job.created)
        for name in ("previews", "checkpoints", "result"):
            (folder / name).mkdir()
        job.save(folder / "job.yaml")
    except OSError as error:
        sentence = explain_failure(error, runs_folder)
        if "full" not in sentence:
            sentence = f"No run folder can be made in {runs_folder}: {reason(error)}."
        raise JobError(sentence) from error
    return Run(folder)


def start(
    kind: str,
    settings: Settings,
    *,
    runs_folder: str | Path,
    inputs: dict[str, Any] | None = None,
    label: str = "",
    check: bool = True,
) -> Run:
    """Make a run folder and start the job in a process of its own, which outlives this one.

    Other parameters and errors as for `create`.

    Parameters
    ----------
    check
        Look first, here, whether the job can begin. Without it no torch is loaded, and the run tells what is missing.

    Raises
    ------
    StemlearnError
        If it cannot begin: no run folder is made.
    """
    if check:
        _check(kind, settings)
    run = create(kind, settings, runs_folder=runs_folder, inputs=inputs, label=label)
    run.start()
    return run


def run_inline(
    kind: str,
    settings: Settings,
    *,
    runs_folder: str | Path,
    inputs: dict[str, Any] | None = None,
    label: str = "",
    on_event: Callable[[Event], object] | None = None,
) -> Run:
    """Make a run folder and do the job here, to its end; `on_event` sees each event. Look at `Run.state` afterwards.

    Other parameters and errors as for `create`.

    Raises
    ------
    StemlearnError
        If it cannot begin: no run folder is made.
    """
    _check(kind, settings)
    run = create(kind, settings, runs_folder=runs_folder, inputs=inputs, label=label)
    for event in run.execute():
        if on_event is not None:
            on_event(event)
    return run


def _check(kind: str, settings: Settings) -> None:
    """Refuse what could not begin."""
    _known(kind, settings).check_ready(settings)


def _known(kind: str, settings: Settings) -> JobKind:
    """The kind of a job, which takes settings of this sort."""
    known = job_kind(kind)
    model = known.settings_model()
    if not isinstance(settings, model):
        raise JobError(f"A '{known.name}' job takes {model.__name__}, not {type(settings).__name__}.")
    return known


def _new_folder(runs_folder: Path, kind: str, label: str, created: float) -> Path:
    """A folder that nobody has: ``20261120-141503-train-day_a``, with a number where two begin in one second."""
    # a name has at most 255 bytes, and a path in it is to fit as well
    slug = re.sub(r"[^A-Za-z0-9_.-]+", "_", label).strip("_.")[:LABEL].rstrip("_.")
    base = "-".join(part for part in (time.strftime("%Y%m%d-%H%M%S", time.localtime(created)), kind, slug) if part)
    runs_folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 1000):
        folder = runs_folder / (base if number == 1 else f"{base}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise JobError(f"There are too many runs named {base} in {runs_folder}.")
