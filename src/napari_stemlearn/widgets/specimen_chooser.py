"""Choose the specimen of the simulations by its crystal, and see the defects that come with it."""

from __future__ import annotations

import contextlib
from typing import Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.structures.presets import catalogue
from napari_stemlearn.structures.settings import StructureSettings, is_cif
from napari_stemlearn.widgets.background import Background
from napari_stemlearn.widgets.choosers import Sentences
from napari_stemlearn.widgets.crystal_editor import CrystalEditor, words_on
from napari_stemlearn.widgets.labels import ErrorLabel
from napari_stemlearn.widgets.rows import lay_out_chooser

PAUSE = 400
"""Milliseconds after a change before a specimen is built to see whether that can be done."""

TRIAL = (20.0, 20.0)
"""Field of view of that specimen in angstrom."""


class SpecimenChooser(QWidget):
    """One crystal with its usual defects; a mixture of several is only described.

    The value is that of a field of `napari_stemlearn.learning.settings.MixtureSettings`.

    Parameters
    ----------
    mixture_place
        Where in the dock a mixture can be set.
    """

    changed = Signal()
    checked = Signal()

    def __init__(self, mixture_place: str = "“All settings”, Structures", parent: QWidget | None = None):
        super().__init__(parent)
        self._mixture_place = mixture_place
        self._value: list[dict[str, Any]] = []
        self._problem: str | None = None
        self.crystal = CrystalEditor(with_sentence=False)
        self.crystal.setToolTip("The crystal that is simulated, with the defects that are usual in it")
        self.facts = Sentences()
        self.error = ErrorLabel()
        lay_out_chooser(self, "Crystal", [self.crystal], beneath=[self.facts, self.error])
        self._background = Background(self)
        self._background.done.connect(lambda _specimens: self._heard(None))
        self._background.failed.connect(lambda sentence, _detail: self._heard(sentence))
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(PAUSE)
        self._timer.timeout.connect(self._try)
        self.crystal.changed.connect(self._chosen)

    def raw(self) -> list[dict[str, Any]]:
        """Plain values, unchecked."""
        return self._value

    def show_value(self, value: list[dict[str, Any]]) -> None:
        """Show plain values; a specimen is then built in a thread to see whether it can be."""
        if value == self._value:
            return
        first = not self._value
        self._value = list(value)
        names = self._crystals()
        single = len(names) == 1 and len(value) == 1
        self.crystal.setEnabled(single)
        if not single:
            self.crystal.set_raw("")
        elif self.crystal.raw() != names[0]:
            self.crystal.set_raw(names[0])
        self._describe(try_it=not first)

    def _describe(self, try_it: bool) -> None:
        """Tell what there is; a specimen is then built in a thread to see whether it can be."""
        names = self._crystals()
        unknown = [name for name in names if name not in catalogue() and not is_cif(name)]
        self._problem = None
        if unknown:
            self._problem = f"There is no crystal '{unknown[0]}'; choose one of the list, or a CIF file."
        self.facts.say(None if unknown else self._words(names))
        self.error.say(self._problem)
        self._background.forget()
        self._timer.stop()
        if try_it and not unknown:
            self._timer.start()

    def problem(self) -> str | None:
        """Why the specimens cannot be built, or None."""
        return self._problem

    def _crystals(self) -> list[str]:
        found: list[str] = []
        for part in self._value:
            listed = part.get("crystals") or ()
            single = str((part.get("structure") or {}).get("crystal") or "")
            found += [str(name) for name in listed] if listed and not isinstance(listed, str) else [single]
        return found

    def _words(self, names: list[str]) -> str:
        if len(names) > 1 or len(self._value) > 1:
            return f"A mixture: {', '.join(names)}. It is set under {self._mixture_place}."
        defects = (self._value[0].get("structure") or {}).get("defects") or ()
        listed = [f"{entry.get('kind')} {_percent(entry.get('probability'))}".replace("_", " ") for entry in defects]
        words = words_on(names[0])
        return f"{words} Defects: {', '.join(listed) or 'none'}."

    def _chosen(self) -> None:
        """Another crystal brings the defects that are usual in it."""
        part = self._value[0] if self._value else {}
        structure = specimen_of(self.crystal.raw(), part.get("structure") or {})
        self._value = [{**part, "crystals": (), "structure": structure}]
        self._describe(try_it=True)
        self.changed.emit()

    def _try(self) -> None:
        self._background.start(_build_all, self._value)

    def _heard(self, sentence: str | None) -> None:
        self._problem = sentence
        self.error.say(sentence)
        self.checked.emit()


def specimen_of(crystal: str, before: dict[str, Any]) -> dict[str, Any]:
    """Plain settings of a specimen of a crystal.

    Parameters
    ----------
    crystal
        Name or CIF file.
    before
        Settings of the specimen so far; they stay, with its defects, for a crystal of the same family.
    """
    for name, values in StructureSettings.presets.items():
        if name != "default" and values.get("crystal") == crystal:
            return StructureSettings.preset(name).record()
    known = catalogue()
    families = {known[name].family for name in (crystal, str(before.get("crystal"))) if name in known}
    if crystal in known and len(families) == 1 and before.get("crystal") in known:
        return {**before, "crystal": crystal}
    with contextlib.suppress(SettingsError):
        return StructureSettings.preset("clean", crystal=crystal).record()
    return {**before, "crystal": crystal}


def _build_all(mixture: list[dict[str, Any]]) -> None:
    """Build a small specimen of every crystal of a mixture."""
    from napari_stemlearn.learning.settings import MixtureSettings
    from napari_stemlearn.structures.build import build

    for values in mixture:
        part = MixtureSettings.checked(values)
        for crystal in part.crystals or (part.structure.crystal,):
            build(part.structure.changed(crystal=crystal, field_of_view=TRIAL), 0)


def _percent(value: Any) -> str:
    return f"{100 * value:.3g} %" if isinstance(value, int | float) else str(value)
