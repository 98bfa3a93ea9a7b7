"""Go through predictions one by one: accept, reject, or promote them all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.labelling.hand_labels import ORDERS
from napari_stemlearn.widgets.choosers import LayerChooser, ReasonedButton, Sentences
from napari_stemlearn.widgets.class_colours import colour_of
from napari_stemlearn.widgets.editors import CalmComboBox
from napari_stemlearn.widgets.image_watch import ImageWatch
from napari_stemlearn.widgets.label_session import LabelSession
from napari_stemlearn.widgets.layers import (
    about,
    add_sites,
    go_to_frame,
    image_of_sites,
    our_layers,
    pixel_in_view,
    place_in_view,
    sites_from_layer,
    update_sites,
)
from napari_stemlearn.widgets.words import soft

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

SCREEN_PIXELS_PER_ANGSTROM = 14.0
"""Closest zoom out at which a single column can be judged."""
SCREEN_PIXELS_PER_PIXEL = 4.0
"""The same where the pixel size is not known."""
LATE_MS = 250
"""After a change of the labels the list is made anew once, so that quick clicking stays quick."""


class ReviewPanel(QWidget):
    """Predictions that nobody judged yet, and what to do with them.

    Parameters
    ----------
    viewer
        Whose layers and camera.
    new_set
        Makes a new set of labels for the same image and returns its session; predictions are promoted into it.
    watch
        Knows which predictions belong to an image that was replaced.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        new_set: Callable[[], LabelSession | None],
        watch: ImageWatch,
        parent: QWidget | None = None,
    ):
        super().__init__(parent)
        self.viewer = viewer
        self._new_set = new_set
        self.watch = watch
        self._watched: Any = None
        self._seen: Any = None
        self.session: LabelSession | None = None
        self.queue: pd.DataFrame | None = None
        self.place = -1
        self._marker: Any = None
        self.source = LayerChooser(
            viewer, self._sources, empty_text="none of this image yet", tip="The found sites that are looked through"
        )
        self.order = CalmComboBox()
        self.order.setToolTip("Which of them comes first")
        self.order.addItems([name[0].upper() + name[1:] for name in ORDERS])
        self.hidden_too = QCheckBox("also those below their threshold")
        self.hidden_too.setToolTip(
            "Candidates that the thresholds of the search hide: where something may have been missed"
        )
        self.previous_button = QPushButton("◀  P")
        self.next_button = QPushButton("N  ▶")
        self.where = QLabel()
        self.where.setWordWrap(True)
        self.accept_button = QPushButton("Accept  A")
        self.reject_button = QPushButton("Reject  X")
        self.promote_button = ReasonedButton("Promote all to labels")
        self.into_new = QCheckBox("into a new set")
        self.into_new.setToolTip("Off: only places without a label are added to this set. Nothing is ever overwritten.")
        self.words = Sentences()
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        grid.addWidget(QLabel("Predictions"), 0, 0)
        grid.addWidget(self.source, 0, 1)
        grid.addWidget(QLabel("Order"), 1, 0)
        grid.addWidget(self.order, 1, 1)
        step = QHBoxLayout()
        step.addWidget(self.previous_button)
        step.addWidget(self.next_button)
        judge = QHBoxLayout()
        judge.addWidget(self.accept_button)
        judge.addWidget(self.reject_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(grid)
        layout.addWidget(self.hidden_too)
        layout.addWidget(self.where)
        layout.addLayout(step)
        layout.addLayout(judge)
        layout.addWidget(self.promote_button)
        layout.addWidget(self.into_new)
        layout.addWidget(self.words)
        self._late = QTimer(self)
        self._late.setSingleShot(True)
        self._late.setInterval(LATE_MS)
        self._late.timeout.connect(self._follow)
        self.source.chosen.connect(lambda _layer: self._source_changed())
        self.watch.replaced.connect(lambda _image: self.restart())
        self.order.activated.connect(lambda _index: self.restart())
        self.hidden_too.clicked.connect(lambda _on: self.restart())
        self.next_button.clicked.connect(lambda: self.step(1))
        self.previous_button.clicked.connect(lambda: self.step(-1))
        self.accept_button.clicked.connect(self.accept)
        self.reject_button.clicked.connect(self.reject)
        self.promote_button.clicked.connect(self.promote)
        self.refresh()

    # -- what there is

    def _sources(self, viewer: ViewerModel) -> list[Any]:
        if self.session is None:
            return []
        image = self.session.image
        return [layer for layer in our_layers(viewer, "predicted") if image_of_sites(viewer, layer) == image]

    def use(self, session: LabelSession | None) -> None:
        """Review for this session."""
        self.session = session
        self.source.refresh()
        self.restart()

    def predictions(self, *, shown_only: bool = True) -> pd.DataFrame | None:
        """Site table of the chosen predictions, or None."""
        layer = self.source.layer()
        if layer is None or self.session is None or self.watch.is_outdated(layer):
            return None
        try:
            table = sites_from_layer(layer, self.session.image, origin="predicted", shown_only=shown_only)
        except StemlearnError as error:
            self.words.say(str(error))
            return None
        return table.assign(origin="predicted")

    def _source_changed(self) -> None:
        if self._watched is not None:
            self._watched.events.set_data.disconnect(self._on_source)
        self._watched = self.source.layer()
        if self._watched is not None:
            self._watched.events.set_data.connect(self._on_source)
        self.restart()

    def _on_source(self, _event: Any = None) -> None:
        # this is also heard when only another frame is drawn
        if isalive(self) and self._watched is not None and self._watched.data is not self._seen:
            self.place = -1
            self._late.start()

    def restart(self) -> None:
        """Make the list of what is to be judged anew."""
        self.place = -1
        self.queue = self._open()
        self._hide_marker()
        self.refresh()

    def labels_changed(self) -> None:
        """Make the list anew soon; what is in view stays in view while it is open."""
        self._late.start()

    def _follow(self) -> None:
        site = self.current
        self.queue = self._open()
        if site is not None:
            there = [] if self.queue is None else np.flatnonzero(self.queue.index == site.name)
            self.place = int(there[0]) if len(there) else min(self.place, self.n_open - 1)
        if self.current is None:
            self._hide_marker()
        elif site is None or self.current.name != site.name:
            self._look()
        self.refresh()

    def _open(self) -> pd.DataFrame | None:
        self._seen = None if self.source.layer() is None else self.source.layer().data
        table = self.predictions(shown_only=not self.hidden_too.isChecked())
        if table is None or self.session is None:
            return None
        thresholds = about(self.source.layer()).get("thresholds")
        return self.session.labels.open_predictions(table, ORDERS[self.order.currentIndex()], thresholds)

    @property
    def current(self) -> pd.Series | None:
        """The prediction that is being looked at."""
        return self.queue.iloc[self.place] if self.queue is not None and 0 <= self.place < self.n_open else None

    @property
    def n_open(self) -> int:
        """Number of predictions to judge."""
        return 0 if self.queue is None else len(self.queue)

    # -- what to do

    def step(self, direction: int) -> None:
        """Go to the next or the previous prediction that is open."""
        if self.n_open == 0:
            self.restart()
        if self.n_open == 0:
            return
        self.place = (self.place + direction) % self.n_open if self.place >= 0 else 0
        self._look()
        self.refresh()

    def accept(self) -> None:
        """Make the prediction a label and go on."""
        self._judge(lambda labels, site: labels.accept(site))

    def reject(self) -> None:
        """Remember that the prediction is wrong and go on."""
        self._judge(lambda labels, site: labels.reject(site))

    def _judge(self, verdict: Callable[[Any, pd.Series], Any]) -> None:
        site = self.current
        if site is None or self.session is None or self.queue is None:
            self.step(1)
            return
        here = self.place
        verdict(self.session.labels, site)
        self.queue = self.queue.drop(index=self.queue.index[here])
        self.place = here if here < self.n_open else self.n_open - 1
        if self.n_open:
            self._look()
        else:
            self._hide_marker()
        self.refresh()

    def promote(self) -> None:
        """Add all shown predictions where no label is near; into a new set where that is ticked."""
        if self.session is None:
            return
        table = self.predictions()
        if table is None:
            return
        if self.into_new.isChecked():
            session = self._new_set()
            if session is None:
                return
        else:
            session = self.session
        result = session.labels.promote(table)
        self.restart()
        self.words.say(str(result), "They stay pale until you accept or change them." if result.added else None)

    # -- what to see

    def refresh(self) -> None:
        """Write how many are open and which one is in view."""
        layer = self.source.layer()
        site, total = self.current, self.n_open
        if self.session is None:
            text = "Start or continue labels to review predictions."
        elif layer is None:
            text = "Run Find on this image to get predictions to review."
        elif self.watch.is_outdated(layer):
            text = "The image has changed since these were found: search again."
        elif total == 0:
            text = "Every prediction is judged."
        elif site is None:
            text = f"{total} to judge. Press N for the first."
        else:
            score = f", score {site['score']:.2f}" if np.isfinite(site["score"]) else ""
            frame = f", frame {int(site['frame'])}" if self.session.micrograph.is_stack else ""
            text = (
                f'{self.place + 1} of {total}: <span style="color:{colour_of(site["class"])}">●</span> '
                f"<b>{soft(site['class'])}</b>{score}{frame}"
            )
        self.where.setText(text)
        for button in (self.next_button, self.previous_button):
            button.setEnabled(total > 0)
        for button in (self.accept_button, self.reject_button):
            button.setEnabled(site is not None)
        none = layer is None or self.session is None or self.watch.is_outdated(layer)
        self.promote_button.allow("There are no predictions of this image yet." if none else None)
        self.into_new.setEnabled(layer is not None)

    def _look(self) -> None:
        """Move the camera to the current prediction and ring it."""
        site = self.current
        if site is None or self.session is None:
            return
        image = self.session.image
        go_to_frame(self.viewer, image, int(site["frame"]))
        data = np.zeros(image.ndim)
        data[-2:] = site["y"], site["x"]
        if image.ndim > 2:
            data[-3] = site["frame"]
        self.viewer.camera.center = (0.0, *place_in_view(self.viewer, image, data)[-2:])
        pixel_size = self.session.labels.pixel_size
        screen_pixels = SCREEN_PIXELS_PER_ANGSTROM * pixel_size if pixel_size else SCREEN_PIXELS_PER_PIXEL
        self.viewer.camera.zoom = max(self.viewer.camera.zoom, screen_pixels / pixel_in_view(self.viewer, image))
        self._show_marker(site)

    def _show_marker(self, site: pd.Series) -> None:
        from napari_stemlearn.sites import make_sites

        assert self.session is not None
        table = make_sites([site["y"]], [site["x"]], "under review", pixel_size=None, frame=int(site["frame"]))
        if self._marker is None or self._marker not in self.viewer.layers:
            active = self.viewer.layers.selection.active
            self._marker = add_sites(
                self.viewer, table, kind="marker", source_layer=self.session.image, name="under review"
            )
            self._marker.size = float(np.max(self._marker.size)) * 1.9
            self.viewer.layers.selection.active = active
        else:
            update_sites(self._marker, table)
        self._marker.border_color = "white"
        self._marker.border_width = 0.06

    def _hide_marker(self) -> None:
        if self._marker is not None and self._marker in self.viewer.layers:
            self.viewer.layers.remove(self._marker)
        self._marker = None
