"""Which preset the values of a form are."""

from __future__ import annotations

from typing import Any

from napari_stemlearn.settings import Settings


def matching_preset(model: type[Settings], settings: Settings, besides: tuple[str, ...] = ()) -> int:
    """Index of the preset that the settings are, not looking at some fields; -1 for none."""
    for index, name in enumerate(model.presets):
        if with_fields_of(model.preset(name), settings, besides) == settings:
            return index
    return -1


def with_fields_of(settings: Settings, other: Settings, names: tuple[str, ...]) -> Settings:
    """Settings with some fields of others of the same model; dots reach into nested models."""
    update: dict[str, Any] = {}
    for name in names:
        first, _dot, rest = name.partition(".")
        there = getattr(other, first)
        update[first] = with_fields_of(update.get(first, getattr(settings, first)), there, (rest,)) if rest else there
    return settings.model_copy(update=update)
