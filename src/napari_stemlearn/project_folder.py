"""Where the project folder is: the docks choose it, and the command and Python find what was kept in it."""

from __future__ import annotations

import os
from pathlib import Path

from napari_stemlearn.atomic_writing import write_bytes

VARIABLE = "STEMLEARN_PROJECT"
"""Environment variable that names the project folder and goes before what was remembered."""


def project_folder() -> Path:
    """The project folder: by the environment, as remembered, or the default; it need not exist."""
    chosen = os.environ.get(VARIABLE) or _remembered()
    return Path(chosen) if chosen else default_folder()


def variable_rules() -> bool:
    """Whether the environment names the project folder, whatever is chosen or remembered."""
    return bool(os.environ.get(VARIABLE))


def default_folder() -> Path:
    """``stemlearn`` in the user's documents, or in the home folder where there are none."""
    import platformdirs

    documents = platformdirs.user_documents_path()
    return (documents if documents.is_dir() else Path.home()) / "stemlearn"


def remember_project_folder(folder: Path) -> None:
    """Take this folder from now on, in every program.

    Raises
    ------
    OSError
        If the user's configuration cannot be written.
    """
    place = memory()
    place.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(place, str(folder).encode("utf-8"))


def memory() -> Path:
    """The file that holds the chosen folder."""
    import platformdirs

    return platformdirs.user_config_path("napari-stemlearn", appauthor=False) / "project_folder.txt"


def _remembered() -> str:
    try:
        return memory().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
