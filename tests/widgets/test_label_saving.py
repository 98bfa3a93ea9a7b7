"""Labels reach the disk: after a fault too, the newest last, and a copy elsewhere where nothing else helps."""

from __future__ import annotations

import threading

import pytest
from hands import click
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from sites_and_images import add_stack, lattice_stack

from napari_stemlearn.labelling.label_store import save_set, saved_sets
from napari_stemlearn.widgets import label_saver, label_session
from napari_stemlearn.widgets.label_dock import LabelDock


@pytest.fixture(autouse=True)
def _soon_saved(monkeypatch):
    monkeypatch.setattr(label_saver, "SAVE_MS", 50)
    monkeypatch.setattr(label_saver, "RETRY_MS", 200)


@pytest.fixture
def told():
    notification_manager.records.clear()
    return lambda: [record.message for record in notification_manager.records]


def refuse(session):
    """Let nothing be written to the folder of a session: a file is in its place. Call the result to mend it."""
    folder = session.path.parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file where the folder should be", encoding="utf-8")
    return folder.unlink


def lines_of(path):
    return len(path.read_text(encoding="utf-8").splitlines()) - 1


def test_what_could_not_be_saved_is_tried_again_and_the_error_goes(at_work, qtbot):
    mend = refuse(at_work.session)
    click(at_work, 24, 24)
    qtbot.waitUntil(lambda: "not saved" in at_work.error.text(), timeout=20000)
    assert not at_work.saved.text()
    mend()
    # nothing is clicked meanwhile
    qtbot.waitUntil(lambda: not at_work.session.unsaved and not at_work.error.text(), timeout=20000)
    assert lines_of(at_work.session.path) == 1
    assert "Saved" in at_work.saved.text()


def test_a_set_that_cannot_be_saved_does_not_hold_up_another(at_work, qtbot):
    first = at_work.session
    mend = refuse(first)
    click(at_work, 24, 24)
    qtbot.waitUntil(lambda: "not saved" in at_work.error.text(), timeout=20000)
    other = add_stack(at_work.viewer, lattice_stack(seed=4)[0], "another")
    at_work.image.choose(other)
    at_work.start_button.button.click()
    assert "not saved" in at_work.error.text()
    click(at_work, 24, 24)
    qtbot.waitUntil(lambda: not at_work.session.unsaved, timeout=20000)
    assert lines_of(at_work.session.path) == 1
    mend()


def test_choosing_another_set_clears_the_words_about_the_last_one(at_work, qtbot):
    click(at_work, 24, 24)
    qtbot.waitUntil(lambda: "Saved" in at_work.saved.text(), timeout=20000)
    at_work.error.say("something of before")
    at_work.sets.setCurrentIndex(at_work.sets.count() - 1)
    at_work.start()
    assert not at_work.saved.text()
    assert not at_work.error.text()


def test_labels_that_cannot_be_saved_are_kept_elsewhere_told_and_offered_again(at_work, qtbot, tmp_path, told):
    old = at_work.session
    mend = refuse(old)
    click(at_work, 24, 24)
    click(at_work, 40, 40)
    at_work.show()
    at_work.hide()
    (copy,) = (tmp_path / "rescued").glob("*/*.csv")
    assert lines_of(copy) == 2
    assert any(str(copy) in message and "not saved" in message for message in told())
    # hidden once more without a change, nobody is told again
    count = len(told())
    at_work.show()
    at_work.hide()
    assert len(told()) == count
    # closed for good, and opened another day
    at_work.viewer.layers.remove(old.layer)
    mend()
    again = LabelDock(ViewerModel())
    qtbot.addWidget(again)
    add_stack(again.viewer, lattice_stack()[0])
    assert again.sets.currentText() == "labels (2 rescued)"
    again.start_button.button.click()
    assert len(again.session.labels.sites) == 2
    qtbot.waitUntil(lambda: not again.session.unsaved and not copy.exists(), timeout=20000)
    assert again.session.path == old.path
    assert lines_of(old.path) == 2
    assert not (tmp_path / "rescued" / copy.parent.name).exists()


def test_labels_that_are_saved_after_all_need_no_copy(at_work, qtbot, tmp_path):
    mend = refuse(at_work.session)
    click(at_work, 24, 24)
    at_work.save_all()
    assert list((tmp_path / "rescued").glob("*/*.csv"))
    mend()
    at_work.save_all()
    assert not list((tmp_path / "rescued").glob("*/*.csv"))
    assert not at_work.session.unsaved


def test_another_project_folder_takes_labels_that_could_not_be_saved(at_work, qtbot, tmp_path, monkeypatch):
    mend = refuse(at_work.session)
    click(at_work, 24, 24)
    qtbot.waitUntil(lambda: "not saved" in at_work.error.text(), timeout=20000)
    monkeypatch.setenv("STEMLEARN_PROJECT", str(tmp_path / "elsewhere"))
    at_work.project.project.changed.emit()
    qtbot.waitUntil(lambda: not at_work.session.unsaved, timeout=20000)
    assert lines_of(at_work.session.path) == 1
    assert tmp_path / "elsewhere" in at_work.session.path.parents
    assert not at_work.error.text()
    mend()


def test_it_is_said_where_a_copy_fails_too(at_work, told, tmp_path):
    refuse(at_work.session)
    (tmp_path / "rescued").write_text("nor can anything be written here", encoding="utf-8")
    click(at_work, 24, 24)
    at_work.save_all()
    assert any("a copy failed too" in message for message in told())


def test_an_older_state_never_takes_the_place_of_a_newer_one(at_work, qtbot, monkeypatch):
    begun, go_on, written = threading.Event(), threading.Event(), []

    def slow(path, state, **options):
        if path != session.path:
            # a dock of another test that is not gone yet
            return
        if len(state.sites) == 1:
            begun.set()
            go_on.wait(20)
        save_set(path, state, **options)
        written.append(len(state.sites))

    session = at_work.session
    monkeypatch.setattr(label_session, "save_set", slow)
    click(at_work, 24, 24)
    qtbot.waitUntil(begun.is_set, timeout=20000)
    click(at_work, 40, 40)
    threading.Timer(0.5, go_on.set).start()
    at_work.save_all()
    assert lines_of(session.path) == 2
    assert not session.unsaved
    qtbot.wait(800)
    assert written == [1, 2]


def test_a_write_that_begins_too_late_writes_nothing(at_work):
    session = at_work.session
    click(at_work, 24, 24)
    late = session.save_job()
    click(at_work, 40, 40)
    session.save_job()()
    late()
    assert lines_of(session.path) == 2
    assert not session.unsaved


def test_a_set_without_a_label_is_not_written(at_work):
    at_work.save_all()
    assert saved_sets(at_work.session.path.parent) == []
