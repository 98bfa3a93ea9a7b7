"""Settings models that stand inside others: what the annotation of a field says of them."""

from __future__ import annotations

from typing import Any, Union, get_args, get_origin

from napari_stemlearn.settings import Settings
from napari_stemlearn.widgets.editors import bare


def is_settings(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Settings)


def members_of(annotation: Any) -> list[type[Settings]] | None:
    """The models of a union of settings models, or None."""
    members = get_args(annotation) if get_origin(annotation) is Union else ()
    return list(members) if members and all(is_settings(member) for member in members) else None


def entry_model(annotation: Any) -> type[Settings] | None:
    """The settings model that a list or tuple holds, or None."""
    if get_origin(annotation) in (list, tuple):
        entry = bare(get_args(annotation)[0])[0]
        return entry if is_settings(entry) else None
    return None


def is_nested(annotation: Any) -> bool:
    """Whether a field holds settings models of its own."""
    annotation = bare(annotation)[0]
    return is_settings(annotation) or members_of(annotation) is not None or entry_model(annotation) is not None


def tag_of(model: type[Settings], name: str) -> Any:
    """The single value of a Literal field that tells the members of a union apart, or None."""
    annotation = bare(model.model_fields[name].annotation)[0]
    values = get_args(annotation)
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None


def model_name(model: type[Settings]) -> str:
    """Name of a model in a chooser: its class name in words, without "Settings"."""
    name = model.__name__.removesuffix("Settings")
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
    return words[:1].upper() + words[1:]
