"""The options of a search, which fold away."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.finding.settings import FindSettings
from napari_stemlearn.widgets.device_editor import DeviceEditor
from napari_stemlearn.widgets.form import SettingsForm
from napari_stemlearn.widgets.section import Section


class SearchOptions(Section):
    """Settings, probability maps and device; made when they are first opened."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None):
        super().__init__("Options", self._make_content, parent=parent)
        self.form: SettingsForm | None = None
        self.device: DeviceEditor | None = None
        self.maps_box: QCheckBox | None = None

    def _make_content(self) -> QWidget:
        widget = QWidget()
        layout = QVBoxLayout(widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.form = SettingsForm(FindSettings, hidden=("threshold", "thresholds", "classes"), with_presets=False)
        self.form.changed.connect(self.changed)
        self.maps_box = QCheckBox("Show probability maps")
        self.maps_box.setToolTip("One image layer a class with the network's score of every pixel")
        self.device = DeviceEditor()
        row = QHBoxLayout()
        row.addWidget(QLabel("Device"))
        row.addWidget(self.device, 1)
        layout.addWidget(self.form)
        layout.addWidget(self.maps_box)
        layout.addLayout(row)
        return widget

    @property
    def allowed(self) -> bool:
        """Whether every setting is."""
        return self.form is None or not self.form.problem

    def settings(self) -> FindSettings:
        """The settings, checked.

        Raises
        ------
        StemlearnError
            If one is not allowed.
        """
        if self.form is None:
            return FindSettings()
        if self.form.problem:
            raise StemlearnError(self.form.problem)
        return self.form.value()  # type: ignore[return-value]

    def device_name(self) -> str:
        """Where to search: ``auto``, ``cpu``, ``cuda:0``, …"""
        return str(self.device.raw()) if self.device is not None else "auto"

    def with_maps(self) -> bool:
        """Whether the probability maps are wanted."""
        return self.maps_box is not None and self.maps_box.isChecked()
