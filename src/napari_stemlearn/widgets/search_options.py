"""The options of a search, which fold away."""

from __future__ import annotations

from typing import Any

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
        self.maps_box.toggled.connect(lambda _on: self.changed.emit())
        self.device = DeviceEditor()
        self.device.setToolTip("Where the network runs; auto takes a GPU where there is one")
        self.device.changed.connect(self.changed)
        row = QHBoxLayout()
        row.addWidget(QLabel("Device"))
        row.addWidget(self.device, 1)
        layout.addWidget(self.form)
        layout.addWidget(self.maps_box)
        layout.addLayout(row)
        return widget

    def raw(self) -> dict[str, Any] | None:
        """All options as they stand, unchecked; None where they were not looked at yet."""
        if self.form is None or self.device is None:
            return None
        return {"settings": self.form.raw(), "device": self.device.raw(), "maps": self.with_maps()}

    def set_raw(self, value: dict[str, Any] | None) -> None:
        """Show options that `raw` gave, unfolded: they act."""
        if value is None:
            return
        self.open()
        assert self.form is not None
        assert self.device is not None
        assert self.maps_box is not None
        self.form.set_raw(value["settings"])
        self.device.set_raw(value["device"])
        self.maps_box.setChecked(value["maps"])

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
