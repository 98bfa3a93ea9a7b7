"""Found sites against hand labels or truth: precision, recall and F1 that follow every label."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.labelling.label_store import slug
from napari_stemlearn.widgets.background import Background
from napari_stemlearn.widgets.choosers import LayerChooser, ReasonedButton, Sentences
from napari_stemlearn.widgets.class_chooser import in_order
from napari_stemlearn.widgets.class_colours import KNOWN
from napari_stemlearn.widgets.copy_python import CopyButton
from napari_stemlearn.widgets.image_watch import ImageWatch
from napari_stemlearn.widgets.labels import ErrorLabel
from napari_stemlearn.widgets.layers import (
    about,
    add_sites,
    image_layers,
    other_points,
    our_layers,
    pixel_size_of,
    sites_from_layer,
    source_of,
    update_sites,
)
from napari_stemlearn.widgets.number_boxes import NumberBox, WholeNumberBox
from napari_stemlearn.widgets.project import shared_project
from napari_stemlearn.widgets.score_choice import labels_to_score, meant_labels, nothing_in_common
from napari_stemlearn.widgets.score_table import ScoreTable
from napari_stemlearn.widgets.typed_values import keep_typed
from napari_stemlearn.widgets.words import soft

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

    from napari_stemlearn.scoring import Question, Scores

LATE_MS = 300
AS_SEARCHED = -1
"""The value of the border that stands for what the search left out."""


def record_of(layer: Any) -> dict[str, Any]:
    """What is known of the search or the labels of a layer, or of the table that it was opened from."""
    record = about(layer)
    provenance = record.get("provenance")
    return {**(provenance if isinstance(provenance, dict) else {}), **record}


def ask(question: Question) -> tuple[Scores, Question]:
    """Score; runs in a thread."""
    return question.answer(), question


class ScorePanel(QWidget):
    """Choose found sites and labels; the table follows both.

    Parameters
    ----------
    viewer
        Whose layers.
    watch
        Knows which sites belong to an image that was replaced.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        watch: ImageWatch,
        parent: QWidget | None = None,
    ):
        super().__init__(parent)
        self.viewer = viewer
        self.watch = watch
        self.scores: Scores | None = None
        self.question: Question | None = None
        self._watched: list[Any] = []
        self._image_scored: Any = None
        self._matches: dict[str, Any] = {}
        self.found = LayerChooser(
            viewer,
            lambda v: our_layers(v, "predicted") + other_points(v),
            empty_text="nothing found yet",
            tip="The sites that are scored",
        )
        self.truth = LayerChooser(
            viewer,
            labels_to_score,
            empty_text="no labels yet",
            prefers=lambda labels: meant_labels(viewer, self.found.layer(), labels),
            tip="The labels or true sites that they are compared with",
        )
        self.tolerance = NumberBox("Å", "angstrom")
        self.tolerance.setRange(0.05, 10.0)
        self.tolerance.setSingleStep(0.1)
        self.tolerance.setValue(0.6)
        self.tolerance.setToolTip("A found site and a label farther apart than this are two different sites")
        self.border = WholeNumberBox("px")
        self.border.setRange(AS_SEARCHED, 1000)
        self.border.setSpecialValueText("as searched")
        self.border.setValue(AS_SEARCHED)
        for box in (self.tolerance, self.border):
            box.setStyleSheet("min-width: 56px;")
        self.border.setToolTip(
            "Sites nearer than this to the edge of the frame are not counted; as searched: what the search left out, "
            "and the tolerance"
        )
        self.table = ScoreTable()
        self.table.hide()
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.notes = Sentences()
        self.error = ErrorLabel()
        self.show_button = ReasonedButton("Show TP / FP / FN")
        self.export_button = QPushButton("Export")
        self.export_button.setToolTip(
            "Writes the table with confidence intervals (CSV), everything (JSON) and a figure (PNG) to the project "
            "folder"
        )
        self.copy_button = CopyButton(self._lines)
        self.words = Sentences()
        self._lay_out()
        self._late = QTimer(self)
        self._late.setSingleShot(True)
        self._late.setInterval(LATE_MS)
        self._late.timeout.connect(self.score_now)
        self._scoring = Background(self)
        self._scoring.done.connect(self._arrived)
        self._scoring.failed.connect(self._failed)
        self._writing = Background(self)
        self._writing.done.connect(
            lambda paths: self.words.say(f"Saved {', '.join(p.name for p in paths)} in {paths[0].parent}")
        )
        self._writing.failed.connect(lambda sentence, _detail: self.error.say(sentence))
        self.watch.replaced.connect(lambda _image: self.soon())
        self.found.chosen.connect(lambda _layer: self._found_chosen())
        self.truth.chosen.connect(lambda _layer: self._watch())
        self.tolerance.valueChanged.connect(lambda _value: self.soon())
        self.border.valueChanged.connect(lambda _value: self.soon())
        self.show_button.clicked.connect(self.show_matches)
        self.export_button.clicked.connect(self.export)
        keep_typed(viewer, "Score", tolerance=self.tolerance, border=self.border)
        self._watch()

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        grid.addWidget(QLabel("Found"), 0, 0)
        grid.addWidget(self.found, 0, 1)
        grid.addWidget(QLabel("Labels"), 1, 0)
        grid.addWidget(self.truth, 1, 1)
        # side by side they would hide their units in a narrow dock
        grid.addWidget(QLabel("Tolerance"), 2, 0)
        grid.addWidget(self.tolerance, 2, 1)
        grid.addWidget(QLabel("Border"), 3, 0)
        grid.addWidget(self.border, 3, 1)
        buttons = QHBoxLayout()
        buttons.addWidget(self.export_button)
        buttons.addWidget(self.copy_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(grid)
        layout.addWidget(self.hint)
        layout.addWidget(self.table)
        layout.addWidget(self.error)
        layout.addWidget(self.notes)
        layout.addWidget(self.show_button)
        layout.addLayout(buttons)
        layout.addWidget(self.words)

    # -- following the layers

    def _watch(self) -> None:
        for layer in self._watched:
            layer.events.set_data.disconnect(self._layer_changed)
        self._watched = [layer for layer in (self.found.layer(), self.truth.layer()) if layer is not None]
        for layer in self._watched:
            layer.events.set_data.connect(self._layer_changed)
        self.soon()

    def _found_chosen(self) -> None:
        layers = self.found.layer(), self.truth.layer()
        sources = [source_of(self.viewer, layer) for layer in layers if layer is not None]
        if len(sources) == 2 and None not in sources and sources[0] != sources[1]:
            # labels of another image that were chosen before say nothing of these sites
            self.truth.let_go()
        else:
            self.truth.prefer()
        self._watch()

    def _layer_changed(self, _event: Any = None) -> None:
        if isalive(self):
            self.soon()

    def soon(self) -> None:
        """Score again shortly; many changes in a row are scored once."""
        self._late.start()

    def _image(self) -> Any:
        for layer in (self.truth.layer(), self.found.layer()):
            image = source_of(self.viewer, layer) if layer is not None else None
            if image is not None:
                return image
        images = image_layers(self.viewer)
        return images[0] if len(images) == 1 else None

    def why_not(self) -> str | None:
        """Why nothing can be scored, or None."""
        if self.found.layer() is None:
            return "Run Find first: there are no found sites to score."
        if self.truth.layer() is None:
            return "Label some sites, or open a table of true sites, to score against."
        if self.found.layer() == self.truth.layer():
            return "Choose two different layers."
        sources = [source_of(self.viewer, layer) for layer in (self.found.layer(), self.truth.layer())]
        if None not in sources and sources[0] != sources[1]:
            return f"These sites belong to two images: '{sources[0].name}' and '{sources[1].name}'."
        if self.watch.is_outdated(self.found.layer()):
            return "The image has changed since these sites were found: search again."
        if self.watch.is_outdated(self.truth.layer()):
            return "The image has changed since these labels were made: label it anew."
        image = self._image()
        if image is None:
            return "The image that these sites belong to is not open."
        try:
            if pixel_size_of(image) is None:
                return "The image has no pixel size, so the tolerance in Å means nothing yet; give it above."
        except StemlearnError as error:
            return str(error)
        if len(self.truth.layer().data) == 0:
            return "There are no labels yet."
        return None

    def score_now(self) -> None:
        """Score what is chosen, in a thread."""
        self._late.stop()
        # a search notes its classes when it has filled its layer
        self.truth.prefer()
        reason = self.why_not()
        if reason:
            self._clear(reason)
            return
        try:
            question = self._question()
        except StemlearnError as error:
            self._clear(None)
            self.error.say(str(error))
            return
        self._image_scored = self._image()
        self._scoring.start(ask, question)

    def _question(self) -> Question:
        from napari_stemlearn.scoring import make_question

        image = self._image()
        found = sites_from_layer(self.found.layer(), image, origin="predicted")
        truth = sites_from_layer(self.truth.layer(), image)
        data = image.data[0] if image.multiscale else image.data
        pixel_size = pixel_size_of(image)
        assert pixel_size is not None
        return make_question(
            found,
            truth,
            pixel_size=pixel_size,
            shape=tuple(int(n) for n in data.shape[-2:]),  # type: ignore[arg-type]
            n_frames=data.shape[-3] if data.ndim > 2 else 1,
            tolerance_angstrom=self.tolerance.value(),
            border=None if self.border.value() == AS_SEARCHED else self.border.value(),
            found_record=record_of(self.found.layer()),
            truth_record=record_of(self.truth.layer()),
        )

    # -- showing

    def _clear(self, reason: str | None) -> None:
        self._scoring.forget()
        self.scores = self.question = None
        for layer in self._matches.values():
            if self.watch.is_outdated(layer):
                layer.visible = False
        self.table.hide()
        self.hint.setText(reason or "")
        self.hint.setVisible(bool(reason))
        self.notes.say()
        self.error.say(None)
        self._switch(reason or "There is no score yet.")

    def _switch(self, reason: str | None) -> None:
        self.show_button.button.setEnabled(reason is None)
        self.show_button.button.setToolTip(reason or "")
        for button in (self.export_button, self.copy_button):
            button.setEnabled(reason is None)

    def _failed(self, sentence: str, _detail: str) -> None:
        self._clear(None)
        self.error.say(sentence)

    def _arrived(self, answer: tuple[Any, Question]) -> None:
        self.scores, self.question = answer
        self.error.say(None)
        self.hint.hide()
        *rows, total = self.scores.table.to_dict("records")
        order = in_order(row["class"] for row in rows)
        rows.sort(key=lambda row: order.index(row["class"]))
        self.table.show_rows(rows if len(rows) == 1 else [*rows, total])
        self.table.show()
        frames = self.scores.matches.frames
        counted = f"Counted: {len(frames)} frame{'' if len(frames) == 1 else 's'}." if self._is_stack() else None
        stranger = nothing_in_common(self.found.layer(), self.truth.layer())
        self.notes.say(stranger, counted, *map(soft, (*self.question.notes, *self.scores.matches.notes)))
        self._switch(None)
        layer = self._matches_layer()
        if layer is not None:
            outdated = self.watch.is_outdated(layer)
            self._fill(layer)
            layer.visible |= outdated

    def _is_stack(self) -> bool:
        return self._image_scored is not None and self._image_scored.ndim > 2

    def _matches_layer(self) -> Any:
        """The layer that shows the matches of the scored image, or None."""
        layer = self._matches.get(str(self._image_scored.unique_id))
        there = layer is not None and layer in self.viewer.layers and layer.ndim == self._image_scored.ndim
        return layer if there else None

    def _fill(self, layer: Any) -> None:
        from napari_stemlearn.scoring import match_table

        table = match_table(self.scores)
        update_sites(layer, table)
        self._explain(table)

    def show_matches(self) -> None:
        """Show true positives, false positives and false negatives as one layer that follows the score."""
        if self.scores is None:
            return
        layer = self._matches_layer()
        if layer is not None:
            self._fill(layer)
            layer.visible = True
            return
        from napari_stemlearn.scoring import match_table

        table = match_table(self.scores)
        active = self.viewer.layers.selection.active
        self._matches[str(self._image_scored.unique_id)] = add_sites(
            self.viewer,
            table,
            kind="matches",
            source_layer=self._image_scored,
            name=f"{self.found.layer().name}: TP FP FN",
        )
        self.viewer.layers.selection.active = active
        self._explain(table)

    def _explain(self, table: pd.DataFrame) -> None:
        """Write what the symbols mean and how many there are."""
        marks = [("tp", "○", "true positive"), ("fp", "✕", "false positive"), ("fn", "□", "false negative")]
        counts = table["match"].value_counts() if len(table) else {}
        legend = ", ".join(
            f'<span style="color:{KNOWN[mark]}">{sign}</span> {counts.get(mark, 0)} {name}'
            for mark, sign, name in marks
        )
        self.words.say(legend)

    # -- taking away

    def export(self) -> None:
        """Write CSV, JSON and a figure into the project folder."""
        if self.scores is None or self.question is None:
            return
        folder = shared_project().folder / "scores"
        name = f"{slug(self.found.layer().name)}-{datetime.now():%Y%m%d-%H%M%S}"
        self._writing.start(_write, folder, name, self.scores, self.question, self.found.layer().name)

    def _lines(self) -> str:
        if self.scores is None:
            raise StemlearnError("There is no score yet, so there is nothing to copy.")
        return python_lines(self.scores)


def _write(folder: Path, name: str, scores: Scores, question: Question, title: str) -> list[Path]:
    """Write a score into a folder that need not be there; runs in a thread."""
    from napari_stemlearn.formats.atomic import make_folder
    from napari_stemlearn.scoring import write_products

    make_folder(folder)
    return write_products(folder, name, scores, question, title)


def python_lines(scores: Scores) -> str:
    """The lines that score the same with the public API."""
    rule = scores.matches.rule
    shape = tuple(rule["shape"]) if rule["shape"] else None
    names = ("tolerance_angstrom", "pixel_size", "border", "truth_class_map", "classes", "frames")
    arguments = {**{name: rule[name] for name in names}, "shape": shape}
    lines = [f"    {name}={_literal(value)}," for name, value in arguments.items() if value not in (None, {})]
    return "\n".join(
        [
            "from napari_stemlearn.formats import read_sites",
            "from napari_stemlearn.scoring import score",
            "",
            'found = read_sites("found.csv", origin="predicted")',
            'truth = read_sites("labels.csv")',
            "scores = score(",
            "    found,",
            "    truth,",
            *lines,
            ")",
            "print(scores)",
            "",
        ]
    )


def _literal(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)
