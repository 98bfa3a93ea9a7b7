"""The kinds of jobs: what settings they take and which generator does the work, imported when it starts."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from napari_stemlearn.errors import JobError
from napari_stemlearn.events import Event
from napari_stemlearn.settings import Settings


@dataclass(frozen=True)
class JobKind:
    """A kind of job.

    Parameters
    ----------
    name
        Short name, part of the run folder's name.
    title
        One line for people.
    settings
        Import path ``package.module:Class`` of the settings model.
    generator
        Import path ``package.module:function`` of ``function(settings, folder, *, resume, should_stop)``, an iterator
        of events that puts its product into ``folder/result``. With `takes_inputs` it gets ``inputs``, a mapping.
    takes_inputs
        Whether the job works on given files or models.
    check
        Import path of ``function(settings)`` that raises a `StemlearnError` where the job could not begin; empty where
        nothing is looked up before.
    """

    name: str
    title: str
    settings: str
    generator: str
    takes_inputs: bool = False
    check: str = ""

    def settings_model(self) -> type[Settings]:
        """Import the settings model."""
        return cast(type[Settings], _imported(self.settings))

    def check_ready(self, settings: Settings) -> None:
        """Refuse at once what could not begin.

        Raises
        ------
        StemlearnError
            Says what is missing or does not fit.
        """
        if self.check:
            _imported(self.check)(settings)

    def generate(
        self,
        settings: Settings,
        folder: Path,
        *,
        inputs: dict[str, Any],
        resume: bool,
        should_stop: Callable[[], bool],
    ) -> Iterator[Event]:
        """Import the generator and begin."""
        function = _imported(self.generator)
        if self.takes_inputs:
            return function(settings, folder, inputs=inputs, resume=resume, should_stop=should_stop)
        return function(settings, folder, resume=resume, should_stop=should_stop)


_KINDS = {
    kind.name: kind
    for kind in (
        JobKind(
            "train",
            "Train a network that finds atoms or defects",
            "napari_stemlearn.learning.settings:SegmentationSettings",
            "napari_stemlearn.learning.segmentation:train_segmentation",
            check="napari_stemlearn.learning.readiness:check_training",
        ),
        JobKind(
            "simulate",
            "Simulate a set of labelled micrographs",
            "napari_stemlearn.datasets.settings:SimulateSettings",
            "napari_stemlearn.datasets.simulated:simulate_data_set",
        ),
        JobKind(
            "find",
            "Find sites in images and stacks",
            "napari_stemlearn.finding.settings:FindSettings",
            "napari_stemlearn.jobs.search:find_in_files",
            takes_inputs=True,
        ),
        JobKind(
            "cyclegan",
            "Learn the look of an experimental stack",
            "napari_stemlearn.learning.cyclegan_settings:CycleGANSettings",
            "napari_stemlearn.learning.cyclegan:train_cyclegan",
            check="napari_stemlearn.learning.readiness:check_cyclegan",
        ),
        JobKind(
            "generate",
            "Generate a data set of labelled micrographs",
            "napari_stemlearn.generation.settings:GenerateSettings",
            "napari_stemlearn.generation.generate:generate_data_set",
        ),
    )
}


def job_kinds() -> list[JobKind]:
    """The kinds of jobs of this package."""
    return list(_KINDS.values())


def job_kind(name: str) -> JobKind:
    """Look up a kind by its name, or by the import path ``package.module:OBJECT`` of a `JobKind` of one's own.

    Raises
    ------
    JobError
        If there is no such kind.
    """
    if name in _KINDS:
        return _KINDS[name]
    if ":" in name:
        try:
            kind = _imported(name)
        except (ImportError, AttributeError) as error:
            raise JobError(f"The job kind '{name}' cannot be imported: {error}.") from error
        if isinstance(kind, JobKind):
            return kind
    raise JobError(f"There is no job kind '{name}'; choose one of {', '.join(_KINDS)}.")


def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
