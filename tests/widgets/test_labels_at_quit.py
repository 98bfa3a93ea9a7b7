"""Labels that are not saved yet are, when napari ends."""

from __future__ import annotations

import pytest
from hands import click
from qtpy.QtWidgets import QApplication

from napari_stemlearn.formats import read_sites
from napari_stemlearn.widgets import label_saver


@pytest.fixture(autouse=True)
def _never_saved(monkeypatch):
    # nothing is saved by itself while the test runs
    monkeypatch.setattr(label_saver, "SAVE_MS", 600_000)


def test_labels_are_on_disk_when_napari_ends(at_work):
    click(at_work, 24, 24)
    click(at_work, 40, 40)
    path = at_work.session.path
    assert not path.exists()
    QApplication.instance().aboutToQuit.emit()
    assert sorted(read_sites(path)["y"].round()) == [24, 40]
    assert not at_work.session.unsaved
