"""What was typed into a dock comes back when the dock is closed and opened again, as long as its viewer is open."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

from napari_stemlearn.widgets.dock import unwrapped

if TYPE_CHECKING:
    from napari.components import ViewerModel


class Typed(Protocol):
    """A part of a dock that somebody types into, such as `napari_stemlearn.widgets.editors.Editor`."""

    changed: Any

    def raw(self) -> Any:
        """What stands there, right or wrong."""

    def set_raw(self, value: Any) -> None:
        """Show what stood there before."""


@dataclass
class _Kept:
    values: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Typed] = field(default_factory=dict)


_kept: WeakKeyDictionary[Any, dict[str, _Kept]] = WeakKeyDictionary()


def keep_typed(viewer: ViewerModel, dock: str, **parts: Typed) -> None:
    """Show what stood in the parts of a dock when it was last open for a viewer, and keep what changes from now on.

    Parameters
    ----------
    viewer
        Of the dock.
    dock
        Name of the dock.
    **parts
        What is typed into, by names that stay the same.
    """
    kept = _kept.setdefault(unwrapped(viewer), {}).setdefault(dock, _Kept())
    kept.parts = parts

    def keep(name: str, part: Typed) -> None:
        # a dock that was closed may hear something still
        if kept.parts.get(name) is part:
            kept.values[name] = part.raw()

    for name, part in parts.items():
        if name in kept.values:
            part.set_raw(kept.values[name])
        part.changed.connect(lambda name=name, part=part: keep(name, part))
