"""Choose the model whose weights a training starts from."""

from __future__ import annotations

import warnings
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent

from napari_stemlearn.widgets.editors import CalmComboBox, Editor
from napari_stemlearn.widgets.project import shared_project

FRESH = "none: fresh weights"
OF_PROJECT = ("given", "project")


class StartFromEditor(Editor):
    """The known models by name; those of the project by folder, since the project may change."""

    def __init__(self) -> None:
        super().__init__()
        self.box = CalmComboBox()
        self.values: list[str] = [""]
        self.box.addItem(FRESH)
        self._row(self.box)
        self.box.activated.connect(lambda _index: self.changed.emit())

    def showEvent(self, event: QShowEvent) -> None:
        # a model trained meanwhile is there when the form is looked at again
        self.refresh()
        super().showEvent(event)

    def refresh(self) -> None:
        """List the models again; the chosen one stays chosen."""
        from napari_stemlearn.models.store import list_models

        chosen = self.raw()
        with warnings.catch_warnings():
            # the Find dock tells of models that cannot be read
            warnings.simplefilter("ignore")
            entries = list_models([shared_project().models])
        self.values = [""]
        self.box.clear()
        self.box.addItem(FRESH)
        for entry in entries:
            self.values.append(str(entry.folder) if entry.origin in OF_PROJECT else entry.name)
            self.box.addItem(f"{entry.name} (of this project)" if entry.origin in OF_PROJECT else entry.name)
            tip = f"{entry.card.description}\nIt marks {', '.join(entry.card.classes)}."
            self.box.setItemData(self.box.count() - 1, tip.strip(), Qt.ItemDataRole.ToolTipRole)
        self.set_raw(chosen)

    def raw(self) -> Any:
        index = self.box.currentIndex()
        return self.values[index] if 0 <= index < len(self.values) else ""

    def set_raw(self, value: Any) -> None:
        name = str(value or "")
        if name not in self.values:
            self.values.append(name)
            self.box.addItem(name)
        self.box.setCurrentIndex(self.values.index(name))
