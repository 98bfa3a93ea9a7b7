"""Editors of settings models: their fields in rows, nested models in sections, lists of models entry by entry."""

from __future__ import annotations

import contextlib
from typing import Any

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.settings import Settings, bounds_of, is_advanced, range_text, unit_of
from napari_stemlearn.widgets.editors import (
    CalmComboBox,
    ChoiceEditor,
    Editor,
    NumberEditor,
    NumbersEditor,
    bare,
    editor_class,
    field_label,
    leaf_editor,
)
from napari_stemlearn.widgets.labels import DimLabel, ErrorLabel
from napari_stemlearn.widgets.nested_models import entry_model, is_nested, members_of, model_name, tag_of
from napari_stemlearn.widgets.preset_matching import matching_preset
from napari_stemlearn.widgets.rows import BUTTON_WIDTH, GAP, NARROWEST_LABEL, label_width, labelled_row
from napari_stemlearn.widgets.section import Section
from napari_stemlearn.widgets.setting_problems import Place, at_field, head_of
from napari_stemlearn.widgets.tab_order import tab_after, tab_before
from napari_stemlearn.widgets.words import red_of, unit_symbol

INDENT, DEEP_INDENT = 14, 6
"""Pixels by which the content of a section stands to the right of its title; less where that stands far right."""


def _indent(shift: int) -> int:
    return INDENT if shift < 2 * INDENT else DEEP_INDENT


class FieldRows(QWidget):
    """Label, editor and unit of some fields of a model, one row each."""

    def __init__(self, owner: ModelEditor, names: list[str], shift: int = 0, parent: QWidget | None = None):
        super().__init__(parent)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(GAP)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        grid.setColumnMinimumWidth(0, label_width(shift))
        self.errors: dict[str, ErrorLabel] = {}
        for row, name in enumerate(names):
            field = owner.model.model_fields[name]
            editor = leaf_editor(name, field, owner.model)
            unit = unit_symbol(unit_of(field))
            label = QLabel(field_label(name, field) + (f" ({unit})" if unit else ""))
            label.setWordWrap(True)
            label.setMinimumWidth(NARROWEST_LABEL)
            label.setMaximumWidth(170)
            tip = _tip(name, owner.model)
            for widget in (label, editor):
                widget.setToolTip(tip)
            if editor.tall:
                label.setContentsMargins(0, 5, 0, 0)
            grid.addWidget(label, 2 * row, 0, Qt.AlignmentFlag.AlignTop if editor.tall else Qt.AlignmentFlag(0))
            grid.addWidget(editor, 2 * row, 1)
            error = ErrorLabel()
            grid.addWidget(error, 2 * row + 1, 0, 1, 2)
            self.errors[name] = error
            editor.changed.connect(owner.changed)
            owner.editors[name] = editor


def _tip(name: str, model: type[Settings]) -> str:
    """Tool tip: what the field is, what is allowed, its name for scripts."""
    field = model.model_fields[name]
    minimum, maximum = bounds_of(field)
    unit = unit_of(field)
    lines = [field.description or ""]
    if minimum is not None or maximum is not None:
        lines.append(f"Allowed: {range_text(minimum, maximum, unit)}.")
    lines.append(f"Name in files: {name}")
    return "\n".join(line for line in lines if line)


class ModelEditor(Editor):
    """All fields of one settings model; nested models in sections that are built when opened.

    Parameters
    ----------
    model
        The settings model.
    hidden
        Fields that are not shown; they keep the value they were given. Dots reach into nested models.
    with_presets
        Show a chooser of the model's presets where it has more than one.
    shift
        Pixels by which all this stands to the right.
    """

    def __init__(
        self,
        model: type[Settings],
        *,
        hidden: tuple[str, ...] = (),
        with_presets: bool = True,
        shift: int = 0,
        parent: QWidget | None = None,
    ):
        super().__init__(parent)
        self.model = model
        self.shift = shift
        self.editors: dict[str, Editor] = {}
        self.sections: dict[str, Section] = {}
        self._values: dict[str, Any] = {}
        self._hidden = hidden
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        self.error = ErrorLabel()
        self._layout.addWidget(self.error)
        self._rows: list[FieldRows] = []
        self.more: Section | None = None
        self._preset: CalmComboBox | None = None
        if with_presets and len(model.presets) > 1:
            self._add_presets()
        shown = [name for name in model.model_fields if name not in hidden]
        simple = [name for name in shown if not is_nested(model.model_fields[name].annotation)]
        plain = [name for name in simple if not is_advanced(model.model_fields[name])]
        folded = [name for name in simple if name not in plain]
        nested = [name for name in shown if name not in simple]
        late = [name for name in nested if is_advanced(model.model_fields[name])]
        if plain:
            self._add_rows(self, plain, shift)
        for name in nested:
            if name not in late:
                self._layout.addWidget(self._section(name))
        if folded or late:
            self.more = Section("More", lambda: self._make_more(folded, late), indent=_indent(shift))
            self._layout.addWidget(self.more)
        self._unbuilt = set(folded) | set(late)

    # -- making

    def _add_rows(self, where: QWidget, names: list[str], shift: int) -> FieldRows:
        rows = FieldRows(self, names, shift)
        layout = where.layout()
        assert layout is not None
        layout.addWidget(rows)
        self._rows.append(rows)
        return rows

    def _make_more(self, folded: list[str], late: list[str]) -> QWidget:
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        if folded:
            self._add_rows(content, folded, self.shift + _indent(self.shift))
            for name in folded:
                self.editors[name].set_raw(self._values.get(name))
        for name in late:
            layout.addWidget(self._section(name))
        self._unbuilt = set()
        return content

    def _section(self, name: str) -> Section:
        field = self.model.model_fields[name]
        section = Section(field_label(name, field), lambda: self._make_nested(name), indent=_indent(self.shift))
        section.header.setToolTip(field.description or "")
        self.sections[name] = section
        return section

    def _make_nested(self, name: str) -> QWidget:
        annotation, optional = bare(self.model.model_fields[name].annotation)
        hidden = tuple(entry.removeprefix(f"{name}.") for entry in self._hidden if entry.startswith(f"{name}."))
        shift = self.shift + _indent(self.shift)
        editor: Editor
        members = members_of(annotation)
        entry = entry_model(annotation)
        if members is not None:
            editor = UnionEditor(members, hidden=hidden, shift=shift)
        elif entry is not None:
            editor = ListEditor(entry, shift)
        else:
            editor = ModelEditor(annotation, hidden=hidden, shift=shift)
        if optional:
            editor = OptionalEditor(editor)
        editor.set_raw(self._values.get(name))
        editor.changed.connect(self.changed)
        self.editors[name] = editor
        return editor

    def _add_presets(self) -> None:
        self._preset = CalmComboBox()
        self._preset.addItems(list(self.model.presets))
        self._preset.setPlaceholderText("changed")
        self._layout.addWidget(labelled_row("Preset", self._preset, shift=self.shift))
        self._preset.textActivated.connect(self._use_preset)

    def _use_preset(self, name: str) -> None:
        self.set_raw(self.model.preset(name).record())
        self.changed.emit()

    # -- values

    def raw(self) -> dict[str, Any]:
        return {**self._values, **{name: editor.raw() for name, editor in self.editors.items()}}

    def set_raw(self, value: Any) -> None:
        self._values = dict(value or {})
        for name, editor in self.editors.items():
            editor.set_raw(self._values.get(name))
        self.refresh_preset()

    def refresh_preset(self) -> None:
        """Let the nested preset choosers tell which preset the values are."""
        if self._preset is not None:
            with contextlib.suppress(SettingsError):
                self._preset.setCurrentIndex(matching_preset(self.model, self.model.checked(self.raw())))
        for editor in self.editors.values():
            for below in (editor, getattr(editor, "editor", None), getattr(editor, "current", None)):
                if isinstance(below, ModelEditor):
                    below.refresh_preset()

    # -- problems

    def show_problems(self, problems: list[tuple[Place, str]]) -> None:
        """Write each sentence beneath its field; an empty list clears them all."""
        own: list[str] = []
        at: dict[str, list[tuple[Place, str]]] = {}
        for place, sentence in problems:
            head = head_of(place, sentence)
            if head in self.model.model_fields and head not in self._hidden:
                at.setdefault(head, []).append((place[1:], sentence))
            else:
                own.append(f"{head}: {sentence}" if place else sentence)
        if self._unbuilt & set(at) and self.more is not None:
            self.more.built()
        for name in at:
            if name in self.sections:
                self.sections[name].built()
        self.error.say(" ".join(own))
        shown = {name: error for rows in self._rows for name, error in rows.errors.items()}
        for name, label in shown.items():
            label.say(at_field(name, self.model.model_fields[name], at.get(name, [])))
            editor = self.editors[name]
            editor.mark(name in at, red_of(self))
            places = {place[0] for place, _sentence in at.get(name, ()) if place}
            if isinstance(editor, NumbersEditor) and places:
                editor.mark_lines(places, red_of(self))
        for name, section in self.sections.items():
            section.mark(name in at)
            editor = self.editors.get(name)
            if editor is not None:
                show_in(editor, at.get(name, []))
        if self.more is not None:
            inside = set(self.model.model_fields) - self._plain_names()
            self.more.mark(bool(inside & set(at)))

    def _plain_names(self) -> set[str]:
        return {name for name, field in self.model.model_fields.items() if not is_advanced(field)}


class OptionalEditor(Editor):
    """A nested model that may be left out: a tick box switches it on."""

    def __init__(self, editor: Editor):
        super().__init__()
        self.editor = editor
        self._filled = False
        self.box = QCheckBox("set it here")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box)
        layout.addWidget(editor)
        self.box.toggled.connect(editor.setVisible)
        self.box.clicked.connect(self._switched)
        editor.changed.connect(self.changed)

    def _switched(self, on: bool) -> None:
        if on and isinstance(self.editor, ModelEditor) and not self._filled:
            self.editor.set_raw(self.editor.model.preset().record())
            self._filled = True
        self.changed.emit()

    def raw(self) -> Any:
        return self.editor.raw() if self.box.isChecked() else None

    def set_raw(self, value: Any) -> None:
        self.box.setChecked(value is not None)
        self.editor.setVisible(value is not None)
        if value is not None:
            self.editor.set_raw(value)
            self._filled = True


class UnionEditor(Editor):
    """One of several models; a combo box chooses which."""

    def __init__(self, members: list[type[Settings]], *, hidden: tuple[str, ...] = (), shift: int = 0):
        super().__init__()
        self._shift = shift
        self.members = members
        self._hidden = hidden
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self.box = CalmComboBox()
        for member in members:
            self.box.addItem(model_name(member))
        self._layout.addWidget(self.box)
        self.current: ModelEditor | None = None
        self.box.activated.connect(self._choose)

    def _show(self, member: type[Settings]) -> ModelEditor:
        if self.current is None or self.current.model is not member:
            if self.current is not None:
                self._layout.removeWidget(self.current)
                self.current.deleteLater()
            tags = tuple(name for name in member.model_fields if tag_of(member, name) is not None)
            self.current = ModelEditor(member, hidden=self._hidden + tags, shift=self._shift)
            self.current.changed.connect(self.changed)
            self._layout.addWidget(self.current)
            tab_after(self.box, self.current)
        return self.current

    def _choose(self, index: int) -> None:
        member = self.members[index]
        self._show(member).set_raw(member.preset().record())
        self.changed.emit()

    def raw(self) -> Any:
        return self.current.raw() if self.current is not None else None

    def set_raw(self, value: Any) -> None:
        index = self._index_of(value or {})
        self.box.setCurrentIndex(index)
        member = self.members[index]
        self._show(member).set_raw(value if value else member.preset().record())

    def _index_of(self, value: dict[str, Any]) -> int:
        for index, member in enumerate(self.members):
            tags = {name: tag_of(member, name) for name in member.model_fields if tag_of(member, name) is not None}
            if tags and all(value.get(name) == tag for name, tag in tags.items()):
                return index
        for index, member in enumerate(self.members):
            with contextlib.suppress(SettingsError):
                member.checked(value)
                return index
        return 0


class EntryEditor(Editor):
    """One entry of a list: its kind and its first number in one line, the rest folded away.

    Parameters
    ----------
    model
        The settings model of the entry.
    shift
        Pixels by which all this stands to the right.
    """

    removed = Signal()

    def __init__(self, model: type[Settings], shift: int = 0):
        super().__init__()
        self.model = model
        self._shift = shift
        self.leads: dict[str, Editor] = {}
        self._value: dict[str, Any] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        row = QHBoxLayout()
        row.setSpacing(4)
        layout.addLayout(row)
        for name in _leads(model):
            field = model.model_fields[name]
            editor = leaf_editor(name, field, model)
            editor.setToolTip(_tip(name, model))
            row.addWidget(editor, 1)
            editor.changed.connect(self.changed)
            self.leads[name] = editor
        self.toggle = QToolButton()
        self.toggle.setArrowType(Qt.ArrowType.RightArrow)
        self.toggle.setCheckable(True)
        self.toggle.setToolTip("Show the other settings of this entry")
        self.toggle.toggled.connect(self._toggled)
        self._remove = QToolButton()
        self._remove.setText("✕")
        self._remove.setToolTip("Remove this entry")
        self._remove.clicked.connect(self.removed)
        for button in (self.toggle, self._remove):
            button.setFixedWidth(BUTTON_WIDTH)
            row.addWidget(button)
        self.error = ErrorLabel()
        layout.addWidget(self.error)
        self.rest: ModelEditor | None = None

    def details(self) -> ModelEditor:
        """The editor of the other fields, made if it was not yet."""
        if self.rest is None:
            indent = _indent(self._shift)
            self.rest = ModelEditor(self.model, hidden=tuple(self.leads), shift=self._shift + indent)
            self.rest.setContentsMargins(indent, 0, 0, 6)
            self.rest.set_raw(self._value)
            self.rest.changed.connect(self.changed)
            self.rest.setVisible(self.toggle.isChecked())
            layout = self.layout()
            assert layout is not None
            layout.addWidget(self.rest)
            tab_after(self._remove, self.rest)
        return self.rest

    def _toggled(self, opened: bool) -> None:
        self.toggle.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self.details().setVisible(opened)

    def raw(self) -> Any:
        rest = self.rest.raw() if self.rest is not None else self._value
        return {**rest, **{name: editor.raw() for name, editor in self.leads.items()}}

    def set_raw(self, value: Any) -> None:
        self._value = dict(value)
        for name, editor in self.leads.items():
            editor.set_raw(self._value.get(name))
        if self.rest is not None:
            self.rest.set_raw(self._value)

    def show_problems(self, problems: list[tuple[Place, str]]) -> None:
        """Write sentences about the first line beneath it, the others beneath their fields."""
        own: list[str] = []
        below: list[tuple[Place, str]] = []
        bad: set[str] = set()
        for place, sentence in problems:
            head = head_of(place, sentence)
            if head in self.leads or (not place and head not in self.model.model_fields):
                own.append(sentence)
                bad.add(head)
            else:
                below.append((place, sentence))
        self.error.say(" ".join(own))
        for name, editor in self.leads.items():
            editor.mark(name in bad, red_of(self))
        if below:
            self.toggle.setChecked(True)
        if self.rest is not None:
            self.rest.show_problems(below)


def _leads(model: type[Settings]) -> list[str]:
    """The fields of an entry's first line: its first choice and its first number."""
    leads = []
    for kind in (ChoiceEditor, NumberEditor):
        for name, field in model.model_fields.items():
            if not is_advanced(field) and not is_nested(field.annotation) and editor_class(name, field, model) is kind:
                leads.append(name)
                break
    return leads


class ListEditor(Editor):
    """Any number of entries of one model."""

    def __init__(self, model: type[Settings], shift: int = 0):
        super().__init__()
        self.model = model
        self._shift = shift
        self.entries: list[EntryEditor] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        self.titles = QWidget()
        row = QHBoxLayout(self.titles)
        row.setContentsMargins(0, 0, 2 * (BUTTON_WIDTH + 4), 0)
        row.setSpacing(4)
        for name in _leads(model):
            row.addWidget(DimLabel(field_label(name, model.model_fields[name])), 1)
        self._layout.addWidget(self.titles)
        self.titles.hide()
        self.add_button = QPushButton("Add")
        self._layout.addWidget(self.add_button, 0, Qt.AlignmentFlag.AlignLeft)
        self.add_button.clicked.connect(self._add)

    def _add(self) -> None:
        self._append(self.model.preset().record())
        self.changed.emit()

    def _append(self, value: Any) -> None:
        entry = EntryEditor(self.model, self._shift)
        entry.set_raw(value)
        entry.changed.connect(self.changed)
        entry.removed.connect(lambda: self.remove(entry))
        self.entries.append(entry)
        self._layout.insertWidget(self._layout.count() - 1, entry)
        tab_before(self.add_button, entry)
        self.titles.show()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange:
            # alone in a window there is no first and last: what the tab key reaches goes round
            tab_before(self.add_button, *self.entries)

    def remove(self, entry: EntryEditor) -> None:
        """Remove an entry, as its button does."""
        self._drop(entry)
        self.changed.emit()

    def _drop(self, entry: EntryEditor) -> None:
        self.entries.remove(entry)
        self._layout.removeWidget(entry)
        entry.hide()
        entry.deleteLater()
        self.titles.setVisible(bool(self.entries))

    def raw(self) -> Any:
        return [entry.raw() for entry in self.entries]

    def set_raw(self, value: Any) -> None:
        values = list(value or [])
        while len(self.entries) > len(values):
            self._drop(self.entries[-1])
        for entry, below in zip(self.entries, values, strict=False):
            entry.set_raw(below)
        for below in values[len(self.entries) :]:
            self._append(below)


def show_in(editor: Editor, problems: list[tuple[Place, str]]) -> None:
    """Pass problems on to a nested editor."""
    if isinstance(editor, OptionalEditor):
        editor = editor.editor
    if isinstance(editor, UnionEditor):
        if editor.current is not None:
            names = {member.__name__ for member in editor.members}
            tags = {tag_of(member, name) for member in editor.members for name in member.model_fields}
            skip = names | {str(tag) for tag in tags if tag}
            editor.current.show_problems([(p[1:] if p and str(p[0]) in skip else p, s) for p, s in problems])
    elif isinstance(editor, ListEditor):
        for index, entry in enumerate(editor.entries):
            entry.show_problems([(p[1:], s) for p, s in problems if not p or p[0] == index])
    elif isinstance(editor, ModelEditor):
        editor.show_problems(problems)
