"""Choose a trained network or the classical finder, and see what it is good for."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_stemlearn.finding.classical_names import CLASSICAL, CLASSICAL_CLASS
from napari_stemlearn.widgets.choosers import Sentences
from napari_stemlearn.widgets.editors import CalmComboBox

if TYPE_CHECKING:
    from napari_stemlearn.models.store import ModelEntry
    from napari_stemlearn.widgets.project import Project

CLASSICAL_TEXT = "classical (LoG and Gaussian fits)"
CLASSICAL_WORDS = "Finds every bright column, without training. It knows no defects."
FIRST = "tmd-defects"
"""What is chosen before anything was ever chosen."""
HELD_OUT = re.compile(r"of the held-out style '[^']*'")
"""How cards call simulated images that differ from all training images, with the setting that makes them differ."""
ORIGINS = {"shipped": "", "user": "yours", "project": "of this project", "given": "of this project"}


class ModelChooser(QWidget):
    """A list of models, and beneath it what the chosen one finds, where it was trained and what it scored.

    Parameters
    ----------
    folders
        Gives further folders of models.
    project
        Remembers the chosen model; None remembers nothing.
    """

    changed = Signal()

    def __init__(
        self,
        folders: Callable[[], Sequence[Path]] = lambda: (),
        project: Project | None = None,
        parent: QWidget | None = None,
    ):
        super().__init__(parent)
        self._folders = folders
        self._project = project
        self.entries: list[ModelEntry] = []
        self.box = CalmComboBox()
        self.box.setToolTip("What marks the sites: a trained network, or a finder of bright spots that learnt nothing")
        self.words = Sentences()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.box)
        layout.addWidget(self.words)
        self.box.activated.connect(lambda _index: self._remember())
        if project is not None:
            project.changed.connect(self._project_changed)
        self.refresh()

    def refresh(self) -> None:
        """List the models again; the chosen one stays chosen."""
        from napari_stemlearn.models.store import list_models

        present = self.name if self.box.count() else self._last()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.entries = list_models([folder for folder in self._folders() if folder.is_dir()])
        self._broken = [str(warning.message) for warning in caught]
        self.box.blockSignals(True)
        self.box.clear()
        for entry in self.entries:
            origin = ORIGINS.get(entry.origin, entry.origin)
            self.box.addItem(f"{entry.name} ({origin})" if origin else entry.name)
            self.box.setItemData(self.box.count() - 1, entry.card.description, Qt.ItemDataRole.ToolTipRole)
        self.box.addItem(CLASSICAL_TEXT)
        names = [*(entry.name for entry in self.entries), CLASSICAL]
        wanted = [name for name in (present, self._last(), FIRST) if name in names]
        self.box.setCurrentIndex(names.index(wanted[0]) if wanted else 0)
        self.box.blockSignals(False)
        self._chosen()

    @property
    def entry(self) -> ModelEntry | None:
        """The chosen model, None for the classical finder."""
        index = self.box.currentIndex()
        return self.entries[index] if 0 <= index < len(self.entries) else None

    @property
    def name(self) -> str:
        """Name for layers and scripts."""
        entry = self.entry
        return entry.name if entry is not None else CLASSICAL

    @property
    def path(self) -> str:
        """What a search is asked for."""
        entry = self.entry
        return str(entry.folder) if entry is not None else CLASSICAL

    def thresholds(self) -> dict[str, float]:
        """Threshold of each class of the chosen finder, in its order."""
        entry = self.entry
        if entry is None:
            return {CLASSICAL_CLASS: 0.5}
        return {name: entry.card.threshold(name) for name in entry.card.classes}

    def exclusive(self) -> tuple[tuple[str, ...], ...]:
        """Groups of classes of which a place holds only one."""
        return () if self.entry is None else self.entry.card.exclusive

    def choose(self, name: str) -> bool:
        """Choose by name; False where there is no such model."""
        names = [*(entry.name for entry in self.entries), CLASSICAL]
        if name not in names:
            return False
        self.box.setCurrentIndex(names.index(name))
        self._remember()
        return True

    def showEvent(self, event: QShowEvent) -> None:
        # a model trained meanwhile is there when the dock is looked at again
        self.refresh()
        super().showEvent(event)

    def _last(self) -> str:
        return (self._project.last_model if self._project is not None else "") or FIRST

    def _project_changed(self) -> None:
        # the other project's model, not the one that stays chosen when the list is made again
        self.box.clear()
        self.refresh()

    def _remember(self) -> None:
        if self._project is not None:
            self._project.remember_model(self.name)
        self._chosen()

    def _chosen(self) -> None:
        entry = self.entry
        if entry is None:
            none_yet = None if self.entries else "There is no trained network yet: train one in the Train dock."
            self.words.say(CLASSICAL_WORDS, none_yet, *self._broken)
        else:
            self.words.say(*card_words(entry), *self._broken)
            self.words.setToolTip(entry.card.note)
        self.changed.emit()


def in_plain_words(measured_on: str) -> str:
    """Which images scores of a card come from, without the name of a setting."""
    return HELD_OUT.sub("of a style that it never saw", measured_on)


def card_words(entry: ModelEntry) -> list[str]:
    """A model card in a few lines."""
    card = entry.card
    trained = f"Trained at {card.pixel_size:.3g}\u00a0Å/\u2060px"
    if card.pixel_size_range:
        low, high = card.pixel_size_range
        sizes = " to ".join(dict.fromkeys((f"{low:.2g}", f"{high:.2g}")))
        trained += f" on images of {sizes}\u00a0Å/\u2060px"
    lines = [f"Finds {', '.join(card.classes)}.", f"{trained}."]
    by_images: dict[str, list[str]] = {}
    for score in card.scores:
        if score.f1 is not None:
            by_images.setdefault(score.measured_on, []).append(f"{score.f1:.2f} for {score.site_class}")
    for images, scores in list(by_images.items())[:1]:
        lines.append(f"F1 {', '.join(scores)} on {in_plain_words(images)}.")
    if not by_images:
        lines.append("Not scored yet.")
    return lines
