"""Choose a crystal by name, with a sentence about it, or a CIF file."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCompleter, QFileDialog, QHBoxLayout, QToolButton, QVBoxLayout

from napari_stemlearn.structures.presets import catalogue
from napari_stemlearn.structures.settings import is_cif
from napari_stemlearn.widgets.editors import CalmComboBox, Editor
from napari_stemlearn.widgets.labels import DimLabel

FAMILIES = {
    "graphene": "Layers",
    "hbn": "Layers",
    "mx2": "2H layers MX2",
    "janus": "Janus layers",
    "perovskite": "Perovskites",
    "diamond": "Diamond structure",
    "zincblende": "Zinc blende",
    "fcc": "fcc metals",
    "bcc": "bcc metals",
    "rocksalt": "Rock salt",
}

NARROWEST = 90
"""Pixels that the list of crystals needs."""


class CrystalEditor(Editor):
    """A list of the known crystals that finds what is typed, and a button for a CIF file.

    Parameters
    ----------
    with_sentence
        Whether a sentence on the crystal stands beneath it.
    """

    def __init__(self, with_sentence: bool = True) -> None:
        super().__init__()
        self._with_sentence = self.tall = with_sentence
        self.box = CalmComboBox()
        self.box.setEditable(True)
        self.box.setInsertPolicy(CalmComboBox.InsertPolicy.NoInsert)
        self.box.setMaxVisibleItems(20)
        # the longest name is short, and a dock may be narrow
        self.box.setMinimumWidth(NARROWEST)
        self._fill()
        completer = self.box.completer()
        if completer is not None:
            completer.setFilterMode(Qt.MatchFlag.MatchContains)
            completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
            completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.button = QToolButton()
        self.button.setText("CIF…")
        self.button.setToolTip("Take a crystal from a CIF file")
        self.sentence = DimLabel()
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.box, 1)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.sentence)
        self.box.currentTextChanged.connect(self._describe)
        self.box.activated.connect(lambda _index: self.changed.emit())
        line = self.box.lineEdit()
        assert line is not None
        line.textEdited.connect(lambda _text: self.changed.emit())
        self.button.clicked.connect(self._choose)

    def _fill(self) -> None:
        heading = None
        model: Any = self.box.model()
        for crystal in catalogue().values():
            if FAMILIES[crystal.family] != heading:
                heading = FAMILIES[crystal.family]
                self.box.addItem(heading)
                item = model.item(self.box.count() - 1)
                item.setFlags(Qt.ItemFlag.NoItemFlags)
                font = item.font()
                font.setBold(True)
                item.setFont(font)
            self.box.addItem(crystal.name)
            self.box.setItemData(self.box.count() - 1, crystal.sentence, Qt.ItemDataRole.ToolTipRole)

    def _describe(self, text: str) -> None:
        words = words_on(text)
        self.sentence.setText(words)
        self.sentence.setVisible(bool(words) and self._with_sentence)

    def _choose(self) -> None:
        dialog = QFileDialog(self, "Crystal", "", "Crystals (*.cif *.mcif)")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._chosen)
        dialog.open()

    def _chosen(self, path: str) -> None:
        self.set_raw(path)
        self.changed.emit()

    def raw(self) -> Any:
        return self.box.currentText().strip()

    def set_raw(self, value: Any) -> None:
        text = str(value or "")
        self.box.blockSignals(True)
        self.box.setCurrentIndex(self.box.findText(text, Qt.MatchFlag.MatchExactly))
        self.box.setEditText(text)
        self.box.blockSignals(False)
        self._describe(text)


def words_on(name: str) -> str:
    """A sentence on a crystal; empty where none has that name."""
    crystal = catalogue().get(name.strip())
    return crystal.sentence if crystal is not None else "A crystal from a CIF file." if is_cif(name) else ""
