"""Turn any settings model into a form: the same fields, bounds, units and sentences as on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.settings import Settings
from napari_stemlearn.widgets.editors import CalmComboBox
from napari_stemlearn.widgets.labels import DimLabel, ErrorLabel
from napari_stemlearn.widgets.menu_button import MenuButton
from napari_stemlearn.widgets.model_editor import INDENT, ModelEditor
from napari_stemlearn.widgets.preset_matching import matching_preset
from napari_stemlearn.widgets.rows import labelled_row
from napari_stemlearn.widgets.section import Section
from napari_stemlearn.widgets.setting_problems import in_short, problems_of


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
        self.menu_button = MenuButton("Load, save or reset these settings")
        self.menu_button.entries.addAction("Load settings…", self._ask_load)
        self.menu_button.entries.addAction("Save settings…", self._ask_save)
        self.menu_button.entries.addAction("Reset", self.reset)
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

    def raw(self) -> dict[str, Any]:
        """The values as they stand, unchecked."""
        return self.body.raw()

    def set_raw(self, value: dict[str, Any]) -> None:
        """Show values that `raw` gave."""
        self.set_value(value)

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
            problems = problems_of(error, self.model)
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
