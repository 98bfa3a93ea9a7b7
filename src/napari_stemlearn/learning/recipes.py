"""The recipes of the shipped models, and recipes of one's own."""

from __future__ import annotations

from pathlib import Path

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.models import store


def recipe_folder() -> Path:
    """Where the recipes of the shipped models lie."""
    return store.shipped_folder() / "recipes"


def list_recipes() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(path.stem for path in recipe_folder().glob("*.yaml"))


def load_recipe(name: str | Path) -> SegmentationSettings:
    """Read a recipe by its name or the path of its file.

    Raises
    ------
    SettingsError
        If there is none, or it holds a value that is not allowed.
    """
    if Path(name).is_file():
        return SegmentationSettings.load(name)
    path = recipe_folder() / f"{name}.yaml"
    if not path.is_file():
        raise SettingsError(
            f"There is no recipe '{name}'; give a YAML file or one of these names: {', '.join(list_recipes())}."
        )
    return SegmentationSettings.load(path)
