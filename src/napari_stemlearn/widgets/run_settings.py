"""Show in a form what a run was asked to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.jobs import Run
from napari_stemlearn.widgets.form import SettingsForm

FILES = ("crystal", "crystals", "experiment", "folder", "generator", "simulated", "start_from")
"""Settings that can be paths."""


def take_settings(form: SettingsForm, run: Run) -> None:
    """Show the settings of a run in a form, and say so beneath it; settings that cannot be read leave the form."""
    try:
        record, folder = run.settings.record(), run.job.working_directory
    except StemlearnError as error:
        form.say(f"The settings of the run {run.name} cannot be taken: {error}", bad=True)
        return
    form.set_value(seen_from_here(record, Path(folder)) if folder else record)
    form.say("")


def seen_from_here(value: Any, folder: Path, name: str = "") -> Any:
    """Plain settings whose paths hold from anywhere: those of files that lie in the folder where the run was made.

    Parameters
    ----------
    value
        Plain settings, or a value in them.
    folder
        From where relative paths in them hold.
    name
        Of the value; empty for the settings as a whole.
    """
    if isinstance(value, dict):
        return {key: seen_from_here(entry, folder, str(key)) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [seen_from_here(entry, folder, name) for entry in value]
    if name not in FILES or not isinstance(value, str) or not value:
        return value
    # what has neither an ending nor a folder may be the name of a preset or of a model
    is_path = name in ("experiment", "folder", "generator", "simulated") or len(Path(value).parts) > 1
    is_path = is_path or bool(Path(value).suffix)
    return str(folder / value) if is_path and (folder / value).exists() else value
