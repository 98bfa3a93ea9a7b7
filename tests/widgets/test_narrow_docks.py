"""Every dock fits into its smallest width: nothing is cut off at the right."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QStyle

from napari_stemlearn.finding.candidates import Candidates
from napari_stemlearn.widgets.dock import Dock
from napari_stemlearn.widgets.model_editor import EntryEditor, OptionalEditor
from napari_stemlearn.widgets.section import Section

pytestmark = pytest.mark.gui

DOCKS = ("Structure", "Simulate", "CycleGAN", "Training data", "Train", "Find", "Label and score")


def open_dock(viewer, name) -> Dock:
    _widget, dock = viewer.window.add_plugin_dock_widget("napari-stemlearn", name)
    return dock


def unfold(dock):
    """Open every section, every part that may be left out, and every entry of a list."""
    for _ in range(5):
        for section in dock.findChildren(Section):
            section.open()
        for part in dock.findChildren(OptionalEditor):
            if not part.box.isChecked():
                part.box.click()
        for entry in dock.findChildren(EntryEditor):
            entry.toggle.setChecked(True)


def test_docks_fit_into_their_smallest_width(make_napari_viewer_proxy, qtbot):
    # with the theme of napari, which makes boxes and buttons wider than Qt alone
    viewer = make_napari_viewer_proxy(show=True)
    needed = {}
    for name in DOCKS:
        dock = open_dock(viewer, name)
        unfold(dock)
        qtbot.wait(50)
        needed[name] = dock.page.minimumSizeHint().width()
        # each dock beneath the others would need a higher screen
        viewer.window.remove_dock_widget(dock.parentWidget())
    room = dock.minimumWidth() - dock.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
    assert {name: width for name, width in needed.items() if width > room} == {}


def test_a_running_preview_fits_into_a_narrow_simulate_dock(make_napari_viewer_proxy, qtbot):
    dock = open_dock(make_napari_viewer_proxy(show=True), "Simulate")
    before = dock.page.minimumSizeHint().width()
    dock.preview_button.click()
    qtbot.waitUntil(lambda: dock.stop_button.isVisible())
    qtbot.wait(50)
    assert dock.page.minimumSizeHint().width() <= max(before, dock.minimumWidth())
    dock.stop_button.click()
    assert dock.copy_button.isVisible()


def test_densities_give_way_in_a_narrow_find_dock(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    dock = open_dock(viewer, "Find")
    thresholds = {"vacancy1": 0.3, "metal_vacancy": 0.4}
    dock.results.table.show_candidates(Candidates(thresholds, thresholds, 0.2, (512, 512)))
    dock.results.table.show_counts({"vacancy1": 12345, "metal_vacancy": 2}, 100.0)
    dock.results.show()
    density = dock.results.table.rows["vacancy1"][4]
    dock.resize(dock.minimumWidth(), 800)
    dock.parentWidget().setFixedWidth(dock.minimumWidth())
    qtbot.waitUntil(density.isHidden)
    assert dock.page.minimumSizeHint().width() <= dock.minimumWidth()
    assert dock.results.table.rows["vacancy1"][3].toolTip() == "123.45 per nm²"
    dock.parentWidget().setFixedWidth(500)
    qtbot.waitUntil(lambda: not density.isHidden())
