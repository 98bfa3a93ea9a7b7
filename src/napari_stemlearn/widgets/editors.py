"""Editors of single values: numbers and distributions, choices, paths, texts."""

from __future__ import annotations

import importlib
import math
import types
from collections.abc import Collection, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent, QPaintEvent, QPalette, QWheelEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QToolButton,
    QWidget,
)

from napari_stemlearn.distributions import Distribution
from napari_stemlearn.settings import axes_of, bounds_of, example_of, meaning_of_empty, unit_of
from napari_stemlearn.widgets.typed_numbers import plain_number
from napari_stemlearn.widgets.words import label_of, number_text


def bare(annotation: Any) -> tuple[Any, bool]:
    """Take ``Annotated`` and ``None`` off an annotation.

    Returns
    -------
    annotation
        What is left.
    optional
        Whether ``None`` was allowed.
    """
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        members = [bare(member)[0] for member in get_args(annotation)]
        optional = type(None) in members
        flat: list[Any] = []
        for member in members:
            below = get_args(member) if get_origin(member) in (Union, types.UnionType) else (member,)
            flat += [entry for entry in below if entry is not type(None) and entry not in flat]
        if len(flat) == 1:
            return flat[0], optional
        return Union[tuple(flat)], optional  # noqa: UP007
    return annotation, False


def is_drawn(annotation: Any) -> bool:
    """Whether a bare annotation is a number or a distribution."""
    return get_origin(annotation) is Union and Distribution in get_args(annotation)


class Editor(QWidget):
    """Base of all editors: a plain value goes in and out, `changed` tells that the user changed it.

    A class of Qt cannot be an abstract one; what an editor must define raises until it does.
    """

    changed = Signal()
    tall = False
    """Whether words stand beneath what is edited, so that a label belongs to its top."""

    def raw(self) -> Any:
        """The value as it stands, unchecked."""
        raise NotImplementedError

    def set_raw(self, value: Any) -> None:
        """Show a plain value without emitting `changed`."""
        raise NotImplementedError

    def mark(self, bad: bool, colour: str) -> None:
        """Frame the editor when its value is refused."""
        for child in self.findChildren(QLineEdit):
            child.setStyleSheet(f"border: 1px solid {colour};" if bad else "")

    def _row(self, *children: QWidget) -> QHBoxLayout:
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for child in children:
            layout.addWidget(child, 1 if isinstance(child, QLineEdit | QComboBox) else 0)
        return layout


class NumberLine(QLineEdit):
    """A line for a number or a distribution; the arrow keys step a number inside its bounds."""

    def __init__(
        self,
        *,
        whole: bool,
        bounds: tuple[float | None, float | None],
        unit: str = "",
        parent: QWidget | None = None,
    ):
        super().__init__(parent)
        self._whole = whole
        self._unit = unit
        self._bounds = bounds
        self.setMinimumWidth(44)

    def number(self) -> str:
        """The text as settings read a number, where it is one."""
        return plain_number(self.text(), self._unit)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1, Qt.Key.Key_PageUp: 10, Qt.Key.Key_PageDown: -10}
        count = steps.get(Qt.Key(event.key()) if event.key() in {int(key) for key in steps} else Qt.Key.Key_unknown)
        if count is None or not self.step(count):
            super().keyPressEvent(event)

    def step(self, count: int) -> bool:
        """Add `count` steps (1, or a unit in the second digit); False where the text is no number."""
        try:
            value = float(self.number())
        except ValueError:
            return False
        size = 1.0 if self._whole else 10.0 ** (math.floor(math.log10(abs(value))) - 1) if value else 0.1
        value = round((value + count * size) / size) * size
        low, high = self._bounds
        value = value if low is None else max(value, low)
        value = value if high is None else min(value, high)
        self.setText(str(round(value)) if self._whole else f"{value:.6g}")
        self.textEdited.emit(self.text())
        return True


class CalmComboBox(QComboBox):
    """A combo box that the wheel changes only once it was clicked, so that scrolling a form changes nothing."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)

    def paintEvent(self, event: QPaintEvent) -> None:
        # Qt cuts words off in the middle of a letter
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        if self.currentIndex() < 0 and self.placeholderText():
            option.currentText = self.placeholderText()
            option.palette.setBrush(QPalette.ColorRole.ButtonText, option.palette.placeholderText())
        control, part = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(control, option, part, self).width()
        option.currentText = self.fontMetrics().elidedText(option.currentText, Qt.TextElideMode.ElideRight, room - 2)
        painter = QStylePainter(self)
        painter.drawComplexControl(control, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class NumberEditor(Editor):
    """A number, or a distribution where `drawn`; `empty` stands in an empty line."""

    def __init__(
        self,
        *,
        whole: bool = False,
        drawn: bool = False,
        optional: bool = False,
        bounds: tuple[float | None, float | None] = (None, None),
        unit: str = "",
        empty: str = "none",
        parent: QWidget | None = None,
    ):
        super().__init__(parent)
        self._optional = optional
        self.line = NumberLine(whole=whole, bounds=bounds, unit=unit)
        if optional:
            self.line.setPlaceholderText(empty)
        elif drawn:
            self.line.setPlaceholderText("0.3 or uniform(0.2, 0.4)")
        self._row(self.line)
        self.line.textEdited.connect(lambda _text: self.changed.emit())

    def raw(self) -> Any:
        text = self.line.number()
        return None if self._optional and text.lower() in ("", "none") else text

    def set_raw(self, value: Any) -> None:
        self.line.setText(number_text(value))
        self.line.setCursorPosition(0)


class NumbersEditor(Editor):
    """Some numbers side by side, such as y and x; names of more than two stand in lines that are empty."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        whole: bool,
        optional: bool,
        bounds: tuple[float | None, float | None],
        unit: str = "",
    ):
        super().__init__()
        self._optional = optional
        self.lines = [NumberLine(whole=whole, bounds=bounds, unit=unit) for _ in names]
        children: list[QWidget] = []
        for name, line in zip(names, self.lines, strict=True):
            if len(names) > 2:
                # a narrow dock has no room for words between three numbers
                line.setPlaceholderText(name)
            elif name:
                children.append(QLabel(name))
            children.append(line)
            line.textEdited.connect(lambda _text: self.changed.emit())
        self._row(*children)

    def mark_lines(self, places: Collection[Any], colour: str) -> None:
        """Frame the numbers at these places alone."""
        for place, line in enumerate(self.lines):
            line.setStyleSheet(f"border: 1px solid {colour};" if place in places else "")

    def raw(self) -> Any:
        texts = [line.number() for line in self.lines]
        return None if self._optional and not any(texts) else texts

    def set_raw(self, value: Any) -> None:
        for line, entry in zip(self.lines, value if value is not None else [None] * len(self.lines), strict=True):
            line.setText(number_text(entry))
            line.setCursorPosition(0)


class TextEditor(Editor):
    """A line of text."""

    def __init__(self, *, optional: bool = False):
        super().__init__()
        self._optional = optional
        self.line = QLineEdit()
        self.line.setPlaceholderText("none" if optional else "")
        self._row(self.line)
        self.line.textEdited.connect(lambda _text: self.changed.emit())

    def raw(self) -> Any:
        text = self.line.text()
        return None if self._optional and not text.strip() else text

    def set_raw(self, value: Any) -> None:
        self.line.setText("" if value is None else str(value))
        self.line.setCursorPosition(0)


class YamlEditor(TextEditor):
    """Lists and mappings in one line: ``1, 2, 3`` or ``{Se: 0.01}``."""

    def __init__(self, *, sequence: bool, optional: bool = False, example: str = ""):
        super().__init__(optional=optional)
        self._sequence = sequence
        self.line.setPlaceholderText("none" if optional else example or ("a, b, …" if sequence else "name: value, …"))

    def raw(self) -> Any:
        text = self.line.text().strip()
        if not text:
            return None if self._optional else [] if self._sequence else {}
        opening, closing = "[]" if self._sequence else "{}"
        try:
            return yaml.safe_load(text if text.startswith(opening) else f"{opening}{text}{closing}")
        except yaml.YAMLError:
            return text

    def set_raw(self, value: Any) -> None:
        text = "" if value is None else yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
        text = text.strip().removesuffix("...").strip()
        self.line.setText(text[1:-1] if text[:1] in ("[", "{") else text)
        self.line.setCursorPosition(0)


class BoolEditor(Editor):
    """A tick box."""

    def __init__(self) -> None:
        super().__init__()
        self.box = QCheckBox()
        self._row(self.box).addStretch(1)
        self.box.clicked.connect(lambda _on: self.changed.emit())

    def raw(self) -> Any:
        return self.box.isChecked()

    def set_raw(self, value: Any) -> None:
        self.box.setChecked(bool(value))


class ChoiceEditor(Editor):
    """One of a few values."""

    def __init__(self, values: list[Any], *, optional: bool = False):
        super().__init__()
        self.values: list[Any] = ([None] if optional else []) + values
        self.box = CalmComboBox()
        for value in self.values:
            self.box.addItem("none" if value is None else str(value).replace("_", " "))
        self._row(self.box)
        self.box.activated.connect(lambda _index: self.changed.emit())

    def raw(self) -> Any:
        index = self.box.currentIndex()
        return self.values[index] if index >= 0 else None

    def set_raw(self, value: Any) -> None:
        self.box.setCurrentIndex(self.values.index(value) if value in self.values else -1)


class PathEditor(Editor):
    """A file or folder, typed or chosen."""

    def __init__(self, *, optional: bool = False):
        super().__init__()
        self._optional = optional
        self.line = QLineEdit()
        self.line.setPlaceholderText("none" if optional else "")
        self.button = QToolButton()
        self.button.setText("…")
        self.button.setToolTip("Choose a file")
        self._row(self.line, self.button)
        self.line.textEdited.connect(lambda _text: self.changed.emit())
        self.button.clicked.connect(self._choose)

    def _choose(self) -> None:
        dialog = QFileDialog(self, "Choose a file", self.line.text())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._chosen)
        dialog.open()

    def _chosen(self, path: str) -> None:
        self.line.setText(path)
        self.changed.emit()

    def raw(self) -> Any:
        text = self.line.text().strip()
        return None if self._optional and not text else text

    def set_raw(self, value: Any) -> None:
        self.line.setText("" if value is None else str(value))


def choices_of(annotation: Any, field: FieldInfo) -> list[Any] | None:
    """Allowed values of a Literal, an Enum, or a field that lists its ``choices``; None for the rest."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [member.value for member in annotation]
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    choices = extra.get("choices")
    return list(choices) if isinstance(choices, list | tuple) else None


SPECIAL: dict[tuple[str, str], str] = {
    ("StructureSettings", "crystal"): "napari_stemlearn.widgets.crystal_editor:CrystalEditor",
    ("SimulateSettings", "device"): "napari_stemlearn.widgets.device_editor:DeviceEditor",
    ("SegmentationSettings", "device"): "napari_stemlearn.widgets.device_editor:DeviceEditor",
    ("SegmentationSettings", "start_from"): "napari_stemlearn.widgets.start_from_editor:StartFromEditor",
    ("GenerateSettings", "device"): "napari_stemlearn.widgets.device_editor:DeviceEditor",
    ("CycleGANSettings", "device"): "napari_stemlearn.widgets.device_editor:DeviceEditor",
    ("FindSettings", "device"): "napari_stemlearn.widgets.device_editor:DeviceEditor",
}
"""Editors made for one field, by the model's and the field's name; imported when they are needed."""


def _numbers(annotation: Any) -> tuple[Any, ...]:
    """The members of a fixed tuple of numbers; empty for all else."""
    members = get_args(annotation) if get_origin(annotation) is tuple else ()
    return members if members and all(member in (int, float) for member in members) else ()


def editor_class(name: str, field: FieldInfo, model: type) -> type[Editor]:
    """Which editor a field gets that is no settings model itself."""
    annotation, optional = bare(field.annotation)
    special = SPECIAL.get((model.__name__, name))
    if special is not None:
        module, _, attribute = special.partition(":")
        return getattr(importlib.import_module(module), attribute)
    if choices_of(annotation, field) is not None:
        return ChoiceEditor
    if annotation is bool:
        return ChoiceEditor if optional else BoolEditor
    if annotation in (int, float) or is_drawn(annotation):
        return NumberEditor
    if annotation is Path:
        return PathEditor
    if annotation is str:
        return TextEditor
    return NumbersEditor if _numbers(annotation) else YamlEditor


def leaf_editor(name: str, field: FieldInfo, model: type) -> Editor:
    """Make the editor of a field that is no settings model itself."""
    annotation, optional = bare(field.annotation)
    cls = editor_class(name, field, model)
    bounds, unit = bounds_of(field), unit_of(field)
    if cls is ChoiceEditor:
        return ChoiceEditor(choices_of(annotation, field) or [True, False], optional=optional)
    if cls is NumberEditor:
        whole, drawn = annotation is int, is_drawn(annotation)
        empty = meaning_of_empty(field)
        return NumberEditor(whole=whole, drawn=drawn, optional=optional, bounds=bounds, unit=unit, empty=empty)
    if cls is NumbersEditor:
        members = _numbers(annotation)
        whole = all(member is int for member in members)
        names = axes_of(field) or [""] * len(members)
        return NumbersEditor(names, whole=whole, optional=optional, bounds=bounds, unit=unit)
    if cls is YamlEditor:
        sequence = get_origin(annotation) in (list, tuple, set, frozenset)
        return YamlEditor(sequence=sequence, optional=optional, example=example_of(field))
    if cls in (TextEditor, PathEditor):
        return cls(optional=optional)  # type: ignore[call-arg]
    return cls()


def field_label(name: str, field: FieldInfo) -> str:
    """The field's title, or its name in words."""
    return field.title or label_of(name)
