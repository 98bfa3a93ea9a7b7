"""What a search found: how many, thresholds over them, notes, and ways to take them away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.finding.gathered_notes import gather
from napari_stemlearn.labelling.label_store import slug
from napari_stemlearn.widgets.background import Background
from napari_stemlearn.widgets.choosers import Sentences
from napari_stemlearn.widgets.copy_python import CopyButton
from napari_stemlearn.widgets.dock import heading, separator
from napari_stemlearn.widgets.labels import ErrorLabel
from napari_stemlearn.widgets.layers import micrograph_from_layer
from napari_stemlearn.widgets.project import ProjectRow, shared_project
from napari_stemlearn.widgets.search_lines import search_lines
from napari_stemlearn.widgets.search_results import SearchResults
from napari_stemlearn.widgets.threshold_table import ThresholdTable

if TYPE_CHECKING:
    import pandas as pd

    from napari_stemlearn.micrograph import Micrograph

FILTER_MS = 20
"""A slider that moves is followed this late, so that it stays smooth."""
LONGEST_NAME = 28
"""Letters of an image's name that fit into a narrow dock."""
OUTDATED = "The image has changed since: search again."
OF_ANOTHER = "Of another image than the one chosen above:"
BY_HAND = (
    "Edited by hand: thresholds no longer act, and Export writes what the layer shows. "
    "Search again for a new layer with thresholds."
)


class FoundPanel(QWidget):
    """Shows the results of one search at a time.

    Parameters
    ----------
    model_in_python
        Gives the name or the folder by which scripts find a model.
    """

    def __init__(self, model_in_python: Callable[[str], str], parent: QWidget | None = None):
        super().__init__(parent)
        self.found: SearchResults | None = None
        self.chosen: Any = None
        """The image that is chosen for the next search."""
        self._model_in_python = model_in_python
        self.of_another = Sentences()
        self.heading = heading("")
        self.heading.setWordWrap(True)
        self.old = ErrorLabel()
        self.resized = Sentences()
        self.by_hand = Sentences()
        self.table = ThresholdTable()
        self.notes = Sentences()
        self.export_button = QPushButton("Export CSV")
        self.copy_button = CopyButton(self.python_lines)
        self.left_out = Sentences()
        self.saved = Sentences()
        self.error = ErrorLabel()
        self._lay_out()
        self._writing = Background(self)
        self._writing.done.connect(lambda path: self.saved.say(f"Saved {path.name} in {path.parent}"))
        self._writing.failed.connect(lambda sentence, _detail: self.error.say(sentence))
        self._filtering = QTimer(self)
        self._filtering.setSingleShot(True)
        self._filtering.setInterval(FILTER_MS)
        self._filtering.timeout.connect(self.filter)
        self.table.changed.connect(self.soon)
        self.export_button.clicked.connect(self.export)
        self.hide()

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.export_button)
        buttons.addWidget(self.copy_button)
        inner = QVBoxLayout(self)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(6)
        for widget in (separator(), self.of_another, self.heading, self.old, self.resized, self.by_hand):
            inner.addWidget(widget)
        for widget in (self.table, self.notes, ProjectRow()):
            inner.addWidget(widget)
        inner.addLayout(buttons)
        for widget in (self.left_out, self.saved, self.error):
            inner.addWidget(widget)

    # -- showing

    def show_found(self, found: SearchResults | None) -> None:
        """Show these results, or none."""
        if found is not self.found:
            self.saved.say()
            self.error.say(None)
        self.found = found
        self.setVisible(found is not None)
        if found is not None:
            if self.table.candidates is not found.candidates:
                self.table.show_candidates(found.candidates)
            self.look()

    def look(self) -> None:
        """See whether image or layer have changed, and show what is so now."""
        if self.found is not None:
            self.found.look()
        self.filter()

    def soon(self) -> None:
        """Act on the thresholds shortly."""
        self._filtering.start()

    def filter(self) -> None:
        """Show the sites at or above the thresholds, and how many these are."""
        found = self.found
        if found is not None and found.is_shown:
            counts = found.filter()
            self.table.show_counts(counts, found.candidates.area())
            self.notes.say(*gather(found.notes), found.elsewhere)
            total, frames = sum(counts.values()), len(found.candidates.frames)
            where = f" in {frames} frames" if frames > 1 else ""
            number = f"{total:,}".replace(",", "\u202f")
            self.heading.setText(f"{number} site{'' if total == 1 else 's'}{where} of {shortened(found.image.name)}")
        self.refresh()

    def refresh(self) -> None:
        """Switch everything to what can be done."""
        found = self.found
        old, edited = found is not None and found.outdated, found is not None and found.edited
        self.export_button.setEnabled(found is not None and found.is_shown and not found.locked and not old)
        self.export_button.setToolTip(OUTDATED if old else "")
        self.of_another.say(OF_ANOTHER if found is not None and found.image != self.chosen else None)
        self.old.say(OUTDATED if old else None)
        self.resized.say(found.resized if found is not None and not old else None)
        self.by_hand.say(BY_HAND if edited and not old else None)
        self.table.lock(edited)
        self.left_out.say(left_out(len(found.candidates.hidden)) if found is not None else "")

    # -- taking away

    def sites(self) -> pd.DataFrame:
        """Site table of what is shown."""
        assert self.found is not None
        return self.found.sites()

    def export(self) -> None:
        """Write the shown sites as CSV into the project folder."""
        self.look()
        found = self.found
        if not self.export_button.isEnabled() or found is None:
            return
        self.error.say(None)
        try:
            sites, micrograph = found.sites(), micrograph_from_layer(found.image)
        except StemlearnError as error:
            self.error.say(str(error))
            return
        name = f"{slug(found.image.name)}-{found.model}-{datetime.now():%Y%m%d-%H%M%S}.csv"
        path = shared_project().folder / "sites" / name
        self._writing.start(_write, path, sites, micrograph, found.candidates.classes, found.record())

    def python_lines(self) -> str:
        """The lines that find the same with the public API."""
        # reading files needs more than an opening dock should wait for
        from napari_stemlearn.widgets.image_files import files_of

        found = self.found
        if found is None:
            raise StemlearnError("Nothing was searched yet, so there is nothing to copy.")
        frames = tuple(sorted(found.candidates.frames))
        whole = len(found.request.shape) == 2 or len(frames) == found.request.shape[0]
        request = replace(found.request, frames=None if whole else frames)
        files = files_of(found.image, micrograph_from_layer(found.image))
        return search_lines(request, found.candidates.thresholds, files, self._model_in_python(found.model))


def left_out(hidden: int) -> str:
    """Sentence on classes that are not shown, and so not exported either."""
    if not hidden:
        return ""
    return "1 hidden class is left out." if hidden == 1 else f"{hidden} hidden classes are left out."


def shortened(name: str) -> str:
    """A name that fits into a narrow dock."""
    half = (LONGEST_NAME - 1) // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[-half:]}"


def _write(path: Path, sites: Any, micrograph: Micrograph, classes: list[str], record: dict[str, Any]) -> Path:
    from napari_stemlearn.formats import write_sites
    from napari_stemlearn.formats.atomic import make_folder

    make_folder(path.parent)
    return write_sites(path, sites, micrograph=micrograph, classes=classes, provenance=record)
