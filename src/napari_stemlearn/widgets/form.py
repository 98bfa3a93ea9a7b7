"""Turn any settings model into a form: the same fields, bounds, units and sentences as on the command line."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.settings import Settings, bounds_of, is_advanced, range_text, unit_of
from napari_stemlearn.widgets.editors import (
    CalmComboBox,
    ChoiceEditor,
    Editor,
    NumberEditor,
    bare,
    editor_class,
    field_label,
    leaf_editor,
)
from napari_stemlearn.widgets.labels import DimLabel, ErrorLabel
from napari_stemlearn.widgets.rows import BUTTON_WIDTH, GAP, NARROWEST_LABEL, label_width, labelled_row
from napari_stemlearn.widgets.section import Section
from napari_stemlearn.widgets.typed_numbers import two_readings
from napari_stemlearn.widgets.words import red_of, unit_symbol

Place = tuple[str | int, ...]

INDENT, DEEP_INDENT = 14, 6
"""Pixels by which the content of a section stands to the right of its title; less where that stands far right."""


def _indent(shift: int) -> int:
    return INDENT if shift < 2 * INDENT else DEEP_INDENT


def _is_settings(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Settings)


def _members(annotation: Any) -> list[type[Settings]] | None:
    """The models of a union of settings models, or None."""
    members = get_args(annotation) if get_origin(annotation) is Union else ()
    return list(members) if members and all(_is_settings(member) for member in members) else None


def _entry_model(annotation: Any) -> type[Settings] | None:
    """The settings model that a list or tuple holds, or None."""
    if get_origin(annotation) in (list, tuple):
        entry = bare(get_args(annotation)[0])[0]
        return entry if _is_settings(entry) else None
    return None


def is_nested(annotation: Any) -> bool:
    """Whether a field holds settings models of its own."""
    annotation = bare(annotation)[0]
    return _is_settings(annotation) or _members(annotation) is not None or _entry_model(annotation) is not None


def _head(place: Place, sentence: str) -> str:
    """The field that a problem is about: by its place, or by the first word of the sentence."""
    return str(place[0]) if place else sentence.split(" ", 1)[0].split(".")[0].strip(":'")


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
        members = _members(annotation)
        entry = _entry_model(annotation)
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
            head = _head(place, sentence)
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
            title = field_label(name, self.model.model_fields[name])
            sentences = [re.sub(rf"^{name}\b", title, sentence) for _place, sentence in at.get(name, [])]
            # y and x can have the same fault
            label.say(" ".join(dict.fromkeys(sentences)))
            self.editors[name].mark(name in at, red_of(self))
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
            self.box.addItem(_model_name(member))
        self._layout.addWidget(self.box)
        self.current: ModelEditor | None = None
        self.box.activated.connect(self._choose)

    def _show(self, member: type[Settings]) -> ModelEditor:
        if self.current is None or self.current.model is not member:
            if self.current is not None:
                self._layout.removeWidget(self.current)
                self.current.deleteLater()
            tags = tuple(name for name in member.model_fields if _tag_of(member, name) is not None)
            self.current = ModelEditor(member, hidden=self._hidden + tags, shift=self._shift)
            self.current.changed.connect(self.changed)
            self._layout.addWidget(self.current)
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
            tags = {name: _tag_of(member, name) for name in member.model_fields if _tag_of(member, name) is not None}
            if tags and all(value.get(name) == tag for name, tag in tags.items()):
                return index
        for index, member in enumerate(self.members):
            with contextlib.suppress(SettingsError):
                member.checked(value)
                return index
        return 0


def _tag_of(model: type[Settings], name: str) -> Any:
    """The single value of a Literal field that tells the members of a union apart, or None."""
    annotation = bare(model.model_fields[name].annotation)[0]
    values = get_args(annotation)
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None


def _model_name(model: type[Settings]) -> str:
    """Name of a model in a chooser: its class name in words, without "Settings"."""
    name = model.__name__.removesuffix("Settings")
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
    return words[:1].upper() + words[1:]


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
        remove = QToolButton()
        remove.setText("✕")
        remove.setToolTip("Remove this entry")
        remove.clicked.connect(self.removed)
        for button in (self.toggle, remove):
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
            head = _head(place, sentence)
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
        self.titles.show()

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
            tags = {_tag_of(member, name) for member in editor.members for name in member.model_fields}
            skip = names | {str(tag) for tag in tags if tag}
            editor.current.show_problems([(p[1:] if p and str(p[0]) in skip else p, s) for p, s in problems])
    elif isinstance(editor, ListEditor):
        for index, entry in enumerate(editor.entries):
            entry.show_problems([(p[1:], s) for p, s in problems if not p or p[0] == index])
    elif isinstance(editor, ModelEditor):
        editor.show_problems(problems)


def problems_of(error: ValidationError) -> list[tuple[Place, str]]:
    """Where and what of each fault in a pydantic report, one sentence a field."""
    found: dict[Place, tuple[bool, str]] = {}
    for entry in error.errors():
        place: Place = tuple(part for part in entry["loc"] if part not in ("float", "int", "str", "Distribution"))
        if "Distribution" in entry["loc"]:
            place = tuple(entry["loc"][: entry["loc"].index("Distribution")])
        ours = entry["type"] == "value_error"
        if place not in found or (ours and not found[place][0]):
            found[place] = (ours, sentence_of(entry))
    return [(place, sentence) for place, (_ours, sentence) in found.items()]


def sentence_of(entry: ErrorDetails) -> str:
    """One fault of a pydantic report in plain words."""
    kind, given = entry["type"], entry.get("input")
    if isinstance(given, str) and (sentence := two_readings(given)):
        return sentence
    if kind in ("float_parsing", "float_type", "int_parsing", "int_type"):
        if given in ("", None):
            return "A number is needed here."
        return f"'{given}' is not a {'whole ' if kind.startswith('int') else ''}number."
    if kind == "int_from_float":
        return f"{given} is not a whole number."
    if kind in ("missing", "model_type", "string_type", "string_too_short"):
        return "A value is needed here."
    if kind == "extra_forbidden":
        return "There is no such setting."
    if kind in ("list_type", "tuple_type"):
        return f"'{given}' is not a list, such as a, b."
    if kind == "dict_type":
        return f"'{given}' is not of the form name: value."
    message = entry["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")
    message = message.replace("Input should be", "Allowed:")
    return f"{message[:1].upper() + message[1:] if kind != 'value_error' else message}."


def in_short(model: type[Settings], place: Place, sentence: str) -> str:
    """A problem for beneath a button: which field, by its titles, and what is wrong; the rest stands at the field."""
    models, titles = [model], []
    first = _head((), sentence)
    for name in (*place, first):
        field = next((one.model_fields[str(name)] for one in models if name in one.model_fields), None)
        if field is not None:
            titles.append(field_label(str(name), field))
            models = _settings_in(field.annotation)
            rest = sentence.removeprefix(f"{first} ") if name == first else sentence
    if not titles:
        return sentence
    title = " › ".join(titles)
    if rest != sentence:
        return f"{title} {rest}"
    quoted = re.fullmatch(r"'.*?' ((?:is|can) .*)", sentence)
    if quoted is None:
        return f"{title}: {sentence[:1].lower()}{sentence[1:]}"
    # the field says which distributions there are
    distributions = quoted[1].startswith(("is neither", "is none of"))
    return f"{title} {'is neither a number nor a distribution.' if distributions else quoted[1]}"


def _settings_in(annotation: Any) -> list[type[Settings]]:
    """All settings models that an annotation names."""
    if _is_settings(annotation):
        return [annotation]
    return [found for part in get_args(annotation) for found in _settings_in(part)]


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


class SettingsForm(QWidget):
    """A form for a settings model.

    Parameters
    ----------
    model
        The settings model.
    preset
        Preset to start from.
    hidden
        Fields that the dock shows in its own way, or not at all; dots reach into nested models.
    with_presets
        Show the row with the preset chooser and its menu (load, save, reset).
    recipes
        Further entries of the preset chooser: YAML files by name.
    kept
        Fields that another preset leaves as they are; dots reach into nested models.
    folded
        Title under which the fields are folded away; empty shows them.
    """

    changed = Signal()

    def __init__(
        self,
        model: type[Settings],
        *,
        preset: str = "default",
        hidden: tuple[str, ...] = (),
        with_presets: bool = True,
        recipes: dict[str, Path] | None = None,
        kept: tuple[str, ...] = (),
        folded: str = "",
        parent: QWidget | None = None,
    ):
        super().__init__(parent)
        self.model = model
        self._start = preset
        self._recipes = recipes or {}
        self._kept = kept
        self._problem: str | None = None
        self._value: Settings = model.preset(preset)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        self.preset_box = CalmComboBox()
        self.preset_box.addItems([*model.presets, *self._recipes])
        self.preset_box.setPlaceholderText("changed")
        self.preset_box.setToolTip("Named settings to start from")
        self.menu_button = QToolButton()
        self.menu_button.setText("⋯")
        self.menu_button.setToolTip("Load, save or reset these settings")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        menu = QMenu(self.menu_button)
        menu.addAction("Load settings…", self._ask_load)
        menu.addAction("Save settings…", self._ask_save)
        menu.addAction("Reset", self.reset)
        self.menu_button.setMenu(menu)
        if with_presets:
            layout.addWidget(labelled_row("Preset", self.preset_box, self.menu_button))
        self.body = ModelEditor(model, hidden=hidden, with_presets=False, shift=INDENT if folded else 0, parent=self)
        self.section = Section(folded, lambda: self.body, indent=INDENT) if folded else None
        self.body.setVisible(self.section is None)
        layout.addWidget(self.section or self.body)
        self.message = DimLabel()
        self.message.hide()
        self.error = ErrorLabel()
        layout.addWidget(self.message)
        layout.addWidget(self.error)
        self.set_value(self._value)
        self.body.changed.connect(self._edited)
        self.preset_box.textActivated.connect(self._choose)

    def keep(self, names: tuple[str, ...]) -> None:
        """Let other presets leave these fields as they are from now on."""
        if names != self._kept:
            self._kept = names
            self._check()

    @property
    def problem(self) -> str | None:
        """The sentence that says why the values cannot be used; None when they can."""
        return self._problem

    def value(self) -> Any:
        """The settings.

        Raises
        ------
        SettingsError
            If a value is not allowed; the sentence is that of `problem`.
        """
        if self._problem is not None:
            raise SettingsError(self._problem)
        return self._value

    def set_value(self, settings: Settings | dict[str, Any]) -> None:
        """Show other settings, given as a model or as plain values (those may be wrong: then the form says so)."""
        values = settings.record() if isinstance(settings, Settings) else settings
        self.body.set_raw(values)
        self._check()
        self.changed.emit()

    def set_preset(self, name: str) -> None:
        """Show a named preset; fields that are kept stay."""
        record, values = self.model.preset(name).record(), self.body.raw()
        for key in self._kept:
            first, _dot, rest = key.partition(".")
            record[first] = {**record[first], rest: values[first][rest]} if rest else values[first]
        self.set_value(record)

    def _choose(self, name: str) -> None:
        if name in self._recipes:
            self.load(self._recipes[name])
        else:
            self.say("")
            self.set_preset(name)

    def reset(self) -> None:
        """Go back to the preset that the form started from."""
        self.set_value(self.model.preset(self._start))

    def load(self, path: str | Path) -> None:
        """Show the settings of a YAML file; a file that cannot be used leaves the form and says why."""
        try:
            self.set_value(self.model.load(path))
        except SettingsError as error:
            self.say(str(error), bad=True)
        else:
            self.say(f"Loaded {Path(path).name}.")

    def save(self, path: str | Path) -> None:
        """Write the settings to a YAML file; says why where that fails."""
        path = Path(path)
        path = path if path.suffix else path.with_suffix(".yaml")
        try:
            self.value().save(path)
        except (SettingsError, OSError) as error:
            self.say(f"Not saved: {error}", bad=True)
        else:
            self.say(f"Saved {path.name}.")

    def say(self, sentence: str, bad: bool = False) -> None:
        """Show a sentence beneath the form."""
        self.error.say(sentence if bad else None)
        self.message.setText("" if bad else sentence)
        self.message.setVisible(bool(sentence) and not bad)

    def _edited(self) -> None:
        self.say("")
        self._check()
        self.changed.emit()

    def _check(self) -> None:
        try:
            self._value = self.model.model_validate(self.body.raw())
        except ValidationError as error:
            problems = problems_of(error)
            self._problem = in_short(self.model, *problems[0])
            self.body.show_problems(problems)
        else:
            self._problem = None
            self.body.show_problems([])
            self.body.refresh_preset()
            self.preset_box.setCurrentIndex(matching_preset(self.model, self._value, self._kept))
        if self.section is not None:
            self.section.mark(self._problem is not None)

    def _ask_load(self) -> None:
        self._ask(QFileDialog.AcceptMode.AcceptOpen, self.load)

    def _ask_save(self) -> None:
        self._ask(QFileDialog.AcceptMode.AcceptSave, self.save)

    def _ask(self, mode: QFileDialog.AcceptMode, then: Any) -> None:
        dialog = QFileDialog(self, "Settings", "", "Settings (*.yaml *.yml)")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(mode)
        dialog.setDefaultSuffix("yaml")
        dialog.fileSelected.connect(then)
        dialog.open()
