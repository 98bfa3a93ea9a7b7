"""Two layers, viewers or programs with one set of labels: nothing that either of them has is lost."""

from __future__ import annotations

import pytest
from hands import click, press, start_labelling
from napari.components import ViewerModel
from napari.layers._layer_actions import _duplicate_layer
from napari.utils.notifications import notification_manager
from sites_and_images import PIXEL_SIZE, add_stack, lattice_stack

from napari_stemlearn.errors import FormatError
from napari_stemlearn.labelling.hand_labels import LabelState
from napari_stemlearn.labelling.label_store import load_set, save_set
from napari_stemlearn.sites import make_sites
from napari_stemlearn.widgets import label_saver, label_session
from napari_stemlearn.widgets.label_dock import LabelDock
from napari_stemlearn.widgets.layers import about, our_layers


@pytest.fixture(autouse=True)
def _soon_saved(monkeypatch):
    monkeypatch.setattr(label_saver, "SAVE_MS", 50)


def write_elsewhere(path, *places):
    """Another program writes these labels."""
    sites = make_sites(list(places), list(places), "vacancy1", pixel_size=PIXEL_SIZE)
    save_set(path, LabelState(sites, sites.iloc[:0]), pixel_size=PIXEL_SIZE, classes=["vacancy1"])


def places_in(path):
    return load_set(path, pixel_size=PIXEL_SIZE).state.sites["y"].round().tolist()


def saved(dock, qtbot):
    qtbot.waitUntil(lambda: not dock.session.unsaved, timeout=20000)
    return dock.session.path


def add_dock(qtbot, viewer=None):
    dock = LabelDock(viewer or ViewerModel())
    qtbot.addWidget(dock)
    return dock


def test_a_copy_of_the_layer_is_not_taken_for_the_labels_on_disk(at_work, qtbot):
    viewer, layer = at_work.viewer, at_work.session.layer
    click(at_work, 24, 24)
    viewer.layers.selection.active = layer
    _duplicate_layer(viewer.layers)
    copy = next(one for one in our_layers(viewer, "hand") if one != layer)
    assert about(copy)["file"] == str(at_work.session.path)
    viewer.layers.selection.active = layer
    click(at_work, 40, 40)
    path = at_work.session.path
    viewer.layers.remove(layer)
    at_work.start_button.button.click()
    assert at_work.session.layer != copy
    assert len(at_work.session.labels.sites) == 2
    assert places_in(path) == [24, 40]
    assert len(copy.data) == 1


def test_labels_that_another_program_changed_stay_and_those_of_this_one_go_beside_them(at_work, qtbot):
    click(at_work, 24, 24)
    path = saved(at_work, qtbot)
    write_elsewhere(path, 56, 72, 88)
    click(at_work, 40, 40)
    beside = saved(at_work, qtbot)
    assert (path.name, beside.name) == ("labels.csv", "labels 2.csv")
    assert places_in(path) == [56, 72, 88]
    assert places_in(beside) == [24, 40]
    assert "'labels' was changed outside of this window" in at_work.error.text()
    assert "goes to 'labels 2'" in at_work.error.text()
    assert at_work.sets.currentText() == "labels 2"
    assert about(at_work.session.layer)["file"] == str(beside)
    # once is enough
    click(at_work, 56, 56)
    assert saved(at_work, qtbot) == beside
    assert places_in(beside) == [24, 40, 56]


def test_the_same_as_the_dock_goes_out_of_sight(at_work, qtbot):
    click(at_work, 24, 24)
    path = saved(at_work, qtbot)
    write_elsewhere(path, 56)
    click(at_work, 40, 40)
    notification_manager.records.clear()
    at_work.save_all()
    assert places_in(path) == [56]
    assert places_in(path.with_name("labels 2.csv")) == [24, 40]
    assert any("'labels' was changed outside" in record.message for record in notification_manager.records)


def test_a_file_that_another_program_made_first_is_not_written_over(at_work, qtbot):
    path = at_work.session.path
    write_elsewhere(path, 56)
    click(at_work, 24, 24)
    assert saved(at_work, qtbot) != path
    assert places_in(path) == [56]


def test_a_frame_that_another_program_finished_is_a_change_too(at_work, qtbot):
    click(at_work, 24, 24)
    path = saved(at_work, qtbot)
    state = load_set(path, pixel_size=PIXEL_SIZE).state
    save_set(path, LabelState(state.sites, state.rejected, frozenset({1})), pixel_size=PIXEL_SIZE, classes=["a"])
    click(at_work, 40, 40)
    assert saved(at_work, qtbot) != path
    assert load_set(path, pixel_size=PIXEL_SIZE).state.done == {1}


def test_a_write_that_broke_off_is_not_taken_for_a_change_by_others(at_work, qtbot, monkeypatch):
    click(at_work, 24, 24)
    path = saved(at_work, qtbot)

    def break_off(path, state, **options):
        path.with_name(f"{path.stem}.review.json").write_text("{}", encoding="utf-8")
        raise FormatError("the disk is full")

    with monkeypatch.context() as context:
        context.setattr(label_session, "save_set", break_off)
        click(at_work, 40, 40)
        qtbot.waitUntil(lambda: "disk is full" in at_work.error.text(), timeout=20000)
    at_work.save_all()
    assert at_work.session.path == path
    assert places_in(path) == [24, 40]


def test_labels_that_were_removed_on_disk_are_written_again(at_work, qtbot):
    click(at_work, 24, 24)
    path = saved(at_work, qtbot)
    for one in path.parent.iterdir():
        one.unlink()
    click(at_work, 40, 40)
    assert saved(at_work, qtbot) == path
    assert places_in(path) == [24, 40]


def test_a_set_is_at_work_in_one_viewer_alone(at_work, qtbot):
    click(at_work, 24, 24)
    path = saved(at_work, qtbot)
    other = add_dock(qtbot)
    add_stack(other.viewer, lattice_stack()[0])
    other.start_button.button.click()
    assert other.session is None
    assert other.error.text() == "'labels' is at work in another viewer. Go on there, or start new labels here."
    other.sets.setCurrentIndex(other.sets.count() - 1)
    other.start()
    assert other.session.path != path
    # given up there, it can be opened here
    at_work.viewer.layers.clear()
    other.sets.setCurrentIndex(1)
    other.start()
    assert other.session.path == path
    assert not other.error.text()


def test_new_labels_in_two_viewers_have_two_names_before_either_is_saved(at_work, qtbot):
    other = start_labelling(add_dock(qtbot))
    assert at_work.session.path.name == "labels.csv"
    assert other.session.path.name == "labels 2.csv"
    assert at_work.session.path.parent == other.session.path.parent


def test_the_same_image_twice_in_a_viewer_shares_no_layer(at_work, qtbot):
    click(at_work, 24, 24)
    first = at_work.session
    path = saved(at_work, qtbot)
    again = add_stack(at_work.viewer, lattice_stack()[0], "again")
    again.translate = (0, 0, 30)
    at_work.image.choose(again)
    at_work.start_button.button.click()
    assert at_work.session is None
    assert "'labels' is at work on 'stack', which is the same image." in at_work.error.text()
    at_work.sets.setCurrentIndex(at_work.sets.count() - 1)
    at_work.start()
    second = at_work.session
    assert second.layer != first.layer
    assert second.path != path
    assert first.layer.translate[-1] == 0
    at_work.viewer.layers.remove(first.image)
    press(at_work, "3")
    assert second.site_class == second.classes[2]


def test_another_dock_of_the_viewer_takes_the_set_over(at_work, qtbot):
    click(at_work, 24, 24)
    old = at_work.session
    saved(at_work, qtbot)
    click(at_work, 40, 40)
    dock = add_dock(qtbot, at_work.viewer)
    dock.start()
    assert at_work.sessions == []
    assert dock.session.path == old.path
    assert dock.session.layer == old.layer
    assert len(dock.session.labels.sites) == 2
    assert len(old.layer.mouse_drag_callbacks) == 1


def close_image(dock):
    layer, path = dock.session.layer, dock.session.path
    dock.viewer.layers.remove(dock.session.image)
    return layer, path


def test_a_layer_that_stayed_as_it_was_gives_way_to_newer_labels_on_disk(at_work, qtbot):
    click(at_work, 24, 24)
    saved(at_work, qtbot)
    layer, path = close_image(at_work)
    write_elsewhere(path, 56, 72)
    add_stack(at_work.viewer, lattice_stack()[0])
    at_work.start_button.button.click()
    assert at_work.session.layer == layer
    assert at_work.session.labels.sites["y"].tolist() == [56, 72]
    assert [one.name for one in path.parent.glob("*.csv")] == ["labels.csv"]
    assert not at_work.error.text()


def test_where_the_layer_and_the_disk_changed_both_are_kept(at_work, qtbot):
    click(at_work, 24, 24)
    saved(at_work, qtbot)
    layer, path = close_image(at_work)
    layer.add([[1, 40, 40]])
    write_elsewhere(path, 56, 72)
    add_stack(at_work.viewer, lattice_stack()[0])
    at_work.start_button.button.click()
    assert at_work.session.labels.sites["y"].tolist() == [56, 72]
    assert places_in(path) == [56, 72]
    assert places_in(path.with_name("labels 2.csv")) == [24, 40]
    assert "what the layer had is kept as 'labels 2'." in at_work.error.text()
    assert "labels 2 (2 saved)" in [at_work.sets.itemText(index) for index in range(at_work.sets.count())]
