"""Every key of the labelling, in one place; keys are bound to our layer alone, never to the viewer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Layer


@dataclass(frozen=True)
class Key:
    """Keys for one action, in napari's spelling, and what the action does, for the list of keys."""

    action: str
    keys: tuple[str, ...]
    text: str
    shown: str = ""

    @property
    def name(self) -> str:
        """Keys as shown to people."""
        return self.shown or " / ".join(self.keys)


LABEL_KEYS: tuple[Key, ...] = (
    *(Key(f"class_{n}", (str(n),), "Choose the class") for n in range(1, 10)),
    Key("snap", ("S",), "Snap to the column, or not"),
    Key("remove", ("Delete", "Backspace"), "Remove the label under the cursor, or the selected ones of this frame"),
    Key("undo", ("Control-Z",), "Undo", "Ctrl+Z"),
    Key("redo", ("Control-Shift-Z",), "Redo", "Ctrl+Shift+Z"),
    Key("next", ("N",), "Next prediction to review"),
    Key("previous", ("P",), "Previous prediction"),
    Key("accept", ("A",), "Accept the prediction"),
    Key("reject", ("X",), "Reject the prediction"),
    Key("done", ("D",), "This frame is done, or not"),
)
"""All keys while a hand label layer is the selected layer."""


def bind(layer: Layer, actions: Mapping[str, Callable[[], Any]]) -> None:
    """Bind the keys of `LABEL_KEYS` to one layer.

    Parameters
    ----------
    layer
        Layer that listens while it is selected.
    actions
        Function of each action; every action of `LABEL_KEYS` must be there.
    """
    for key in LABEL_KEYS:
        function = actions[key.action]
        for spelling in key.keys:
            layer.bind_key(spelling, _without_layer(function), overwrite=True)


def unbind(layer: Layer) -> None:
    """Take our keys off a layer again."""
    for key in LABEL_KEYS:
        for spelling in key.keys:
            layer.bind_key(spelling, None, overwrite=True)


def _without_layer(function: Callable[[], Any]) -> Callable[[Any], None]:
    def press(_layer: Any) -> None:
        function()

    return press


def key_rows() -> list[tuple[str, str]]:
    """Keys and their meaning for a list; the nine class keys are one row."""
    rows = [("1 … 9", "Choose the class; labels of this frame that are selected get it")]
    rows += [(key.name, key.text) for key in LABEL_KEYS if not key.action.startswith("class_")]
    return [("Click", "Add a label"), ("Right-click", "Remove a label"), *rows]


def help_words(mode: str) -> str:
    """What the status bar says while a hand label layer is selected: the mouse and the keys in a mode of the layer."""
    click = "click adds a label, right-click removes it" if mode == "pan_zoom" else "tick “Click to label” to go on"
    return f"{click}, use <1> to <9> for the class, use <S> to snap or not"
