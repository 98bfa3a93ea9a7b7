"""What the dock says while labelling: why it pauses, what was removed, where undo went, and names of any length."""

from __future__ import annotations

import numpy as np
import pytest
from hands import click, press

from napari_stemlearn.widgets.tab_order import tab_stops
from napari_stemlearn.widgets.words import soft

LONG = "MoW_" * 10


def set_mode(dock):
    dock.session.layer.mode = "select"


def hide_layer(dock):
    dock.session.layer.visible = False


def show_3d(dock):
    dock.viewer.dims.ndisplay = 3


def roll(dock):
    dock.viewer.dims.roll()


@pytest.mark.parametrize(
    ("change", "words"), [(set_mode, "select"), (hide_layer, "hidden"), (show_3d, "3D"), (roll, "rolled")]
)
def test_a_click_that_cannot_label_is_announced_and_adds_nothing(at_work, change, words):
    dock = at_work
    change(dock)
    assert not dock.label_box.isChecked()
    assert dock.message.text().startswith("Paused:")
    assert words in dock.message.text()
    with pytest.raises(StopIteration):
        click(dock, 24, 24)
    assert len(dock.session.labels.sites) == 0
    dock.label_box.click()
    assert dock.label_box.isChecked()
    assert "Paused" not in dock.message.text()
    click(dock, 24, 24)
    np.testing.assert_allclose(dock.session.labels.sites[["y", "x"]], [[24, 24]], atol=0.3)


def test_axes_that_only_change_places_can_be_labelled(at_work):
    at_work.viewer.dims.transpose()
    assert at_work.label_box.isChecked()
    click(at_work, 24, 40)
    np.testing.assert_allclose(at_work.session.labels.sites[["y", "x"]], [[24, 40]], atol=0.3)


def test_delete_without_a_cursor_on_the_image_removes_nothing(at_work):
    click(at_work, 24, 24)
    at_work.viewer.cursor.position = (0, 24 * 0.2, 24 * 0.2)
    at_work.viewer.dims.ndisplay = 3
    press(at_work, "Delete")
    assert len(at_work.session.labels.sites) == 1
    assert "3D" in at_work.message.text()


def test_what_is_removed_is_said(at_work):
    dock = at_work
    for place in (24, 40, 56, 72):
        click(dock, place, place)
    click(dock, 70, 20, button=2)
    assert dock.message.text() == "There is no label under the cursor."
    click(dock, 24, 24, button=2)
    assert dock.message.text() == "Removed a vacancy1."
    dock.session.layer.selected_data = {0, 1}
    press(dock, "Delete")
    assert dock.message.text() == "Removed 2 labels."
    dock.viewer.cursor.position = dock.session.image.data_to_world([0, 72, 72])
    press(dock, "Delete")
    assert dock.message.text() == "Removed a vacancy1."
    press(dock, "6")
    click(dock, 24, 24)
    click(dock, 24, 24, button=2)
    assert dock.message.text() == "Removed an adatom."
    dock.session.layer.add([[0, 30, 30], [0, 60, 30]])
    assert dock.message.text() == "Added 2 labels."
    dock.session.layer.selected_data = {0}
    dock.session.layer.remove_selected()
    assert dock.message.text() == "Removed a label."


@pytest.fixture
def in_two_frames(at_work):
    """Two labels in frame 0 and one in frame 2, which is shown."""
    click(at_work, 24, 24)
    click(at_work, 40, 40)
    at_work.viewer.dims.set_point(0, 2)
    click(at_work, 56, 56)
    return at_work


def test_keys_act_on_selected_labels_that_are_shown_and_say_how_many(in_two_frames):
    dock = in_two_frames
    dock.session.layer.selected_data = {0, 1, 2}
    press(dock, "2")
    assert dock.session.labels.sites["class"].tolist() == ["vacancy1", "vacancy1", "vacancy2"]
    assert dock.message.text() == "Labelling vacancy2. 1 label is vacancy2 now."
    dock.session.layer.selected_data = {0, 1}
    press(dock, "3")
    assert dock.message.text() == f"Labelling {soft(dock.classes.classes[2])}."
    assert dock.session.labels.sites["class"].tolist() == ["vacancy1", "vacancy1", "vacancy2"]
    dock.session.layer.selected_data = {0, 1, 2}
    press(dock, "Delete")
    assert dock.message.text().startswith("Removed a ")
    assert dock.session.labels.sites["frame"].tolist() == [0, 0]
    # all frames are seen in 3D
    dock.viewer.dims.ndisplay = 3
    dock.session.layer.selected_data = {0, 1}
    press(dock, "2")
    assert dock.session.labels.sites["class"].tolist() == ["vacancy2", "vacancy2"]
    assert "2 labels are vacancy2 now." in dock.message.text()
    dock.session.layer.selected_data = {0, 1}
    dock.session.layer.visible = False
    press(dock, "1")
    assert dock.session.labels.sites["class"].tolist() == ["vacancy2", "vacancy2"]


def test_labels_that_got_a_class_by_key_stay_selected_for_the_next_key(at_work):
    dock, layer = at_work, at_work.session.layer
    for place in (24, 40, 56):
        click(dock, place, place)
    layer.selected_data = {0, 2}
    press(dock, "2")
    assert set(layer.selected_data) == {0, 2}
    press(dock, "3")
    third = dock.classes.classes[2]
    assert dock.session.labels.sites["class"].tolist() == [third, "vacancy1", third]
    assert set(layer.selected_data) == {0, 2}
    # a point of napari's own tool gets the chosen class, whatever is selected
    assert layer.feature_defaults["class"].iloc[0] == third
    press(dock, "Delete")
    assert dock.session.labels.sites["class"].tolist() == ["vacancy1"]
    assert not layer.selected_data


def test_another_frame_and_labelling_that_goes_on_leave_nothing_selected(in_two_frames):
    dock, layer = in_two_frames, in_two_frames.session.layer
    layer.mode = "select"
    layer.selected_data = {2}
    dock.viewer.dims.set_point(0, 0)
    assert not layer.selected_data
    layer.selected_data = {0, 1}
    dock.label_box.click()
    assert not layer.selected_data
    layer.mode = "select"
    layer.selected_data = {0}
    layer.mode = "pan_zoom"
    assert not layer.selected_data


def test_undo_and_redo_go_to_the_frame_and_name_it(at_work):
    dock = at_work
    dock.viewer.dims.set_point(0, 2)
    click(dock, 24, 24)
    dock.viewer.dims.set_point(0, 0)
    dock.undo_button.click()
    assert dock.message.text() == "Undone in frame 2: add vacancy1."
    assert dock.viewer.dims.point[0] == 2
    dock.viewer.dims.set_point(0, 1)
    dock.redo_button.click()
    assert dock.message.text() == "Done again in frame 2: add vacancy1."
    assert dock.viewer.dims.point[0] == 2
    dock.viewer.dims.set_point(0, 1)
    press(dock, "D")
    dock.viewer.dims.set_point(0, 0)
    dock.undo()
    assert dock.viewer.dims.point[0] == 1
    # a change of several frames leaves the one in view, where it is one of them
    click(dock, 40, 40)
    dock.session.rename_class("vacancy1", "Se")
    dock.viewer.dims.set_point(0, 2)
    dock.undo()
    assert dock.message.text() == "Undone in 2 frames: rename vacancy1 to Se."
    assert dock.viewer.dims.point[0] == 2


def test_a_long_class_name_is_shortened_and_the_tool_tip_has_it_all(at_work, qtbot):
    dock = at_work
    dock.resize(320, 800)
    dock.show()
    dock.classes.line.setText(LONG)
    dock.classes.add_button.click()
    click(dock, 24, 24)
    button = dock.classes.buttons[LONG]
    qtbot.waitUntil(lambda: "…" in button.text() and button.text().endswith("· 1"), timeout=5000)
    assert LONG in button.toolTip()
    assert button.text().startswith("7 ")
    for act in (dock.undo, dock.redo, lambda: press(dock, "7"), lambda: click(dock, 24, 24, button=2)):
        act()
        assert dock.page.minimumSizeHint().width() <= 320 - 20, dock.message.text()


def choose(dock, name, words):
    """Choose an entry of the menu of a class."""
    (action,) = [one for one in dock.classes.menu_of(name).actions() if one.text().startswith(words)]
    action.trigger()


def test_a_class_is_renamed_with_its_labels_and_back(at_work):
    dock = at_work
    click(dock, 24, 24)
    press(dock, "2")
    click(dock, 40, 40)
    choose(dock, "vacancy1", "Rename")
    assert dock.classes.line.text() == "vacancy1"
    assert dock.classes.add_button.text() == "Rename"
    dock.classes.line.setText("Se vacancy")
    dock.classes.add_button.click()
    assert dock.session.labels.sites["class"].tolist() == ["Se_vacancy", "vacancy2"]
    assert dock.classes.classes[:2] == ["Se_vacancy", "vacancy2"]
    assert dock.session.site_class == "vacancy2"
    assert dock.classes.add_button.text() == "Add"
    dock.undo()
    assert dock.session.labels.sites["class"].tolist() == ["vacancy1", "vacancy2"]
    assert "· 1" in dock.classes.buttons["vacancy1"].text()


def test_a_class_is_removed_only_where_no_label_has_it_and_stays_away(at_work, qtbot):
    dock = at_work
    click(dock, 24, 24)
    choose(dock, "vacancy1", "Remove")
    assert "1 label has the class vacancy1" in dock.message.text()
    assert "vacancy1" in dock.classes.classes
    choose(dock, "antisite", "Remove")
    assert "antisite" not in dock.classes.classes
    assert dock.session.unsaved
    dock.save_all()
    dock.viewer.layers.remove(dock.session.layer)
    dock.start_button.button.click()
    assert "vacancy1" in dock.classes.classes
    assert "antisite" not in dock.classes.classes


def test_removing_the_chosen_class_chooses_another(at_work):
    dock = at_work
    choose(dock, "vacancy1", "Remove")
    assert dock.session.site_class == "vacancy2"
    assert dock.classes.buttons["vacancy2"].isChecked()
    click(dock, 24, 24)
    assert dock.session.labels.sites["class"].tolist() == ["vacancy2"]


def test_the_status_bar_names_the_keys_of_labelling(at_work):
    viewer, layer = at_work.viewer, at_work.session.layer
    assert (
        viewer.help
        == "click adds a label, right-click removes it, use <1> to <9> for the class, use <S> to snap or not"
    )
    layer.mode = "select"
    assert "Click to label" in viewer.help
    assert "<2> for add" not in viewer.help
    viewer.layers.selection.active = at_work.session.image
    assert "click adds" not in viewer.help
    at_work.label_box.click()
    assert viewer.help.startswith("click adds")
    at_work._end(at_work.session)
    assert "<2> for add" in viewer.help


def test_the_tab_key_reaches_the_classes_before_what_stands_beneath_them(at_work):
    def order():
        stops = tab_stops(at_work)
        return [stops.index(part) for part in (*at_work.classes.buttons.values(), at_work.classes.line)]

    assert order() == sorted(order())
    assert tab_stops(at_work).index(at_work.classes.add_button) < tab_stops(at_work).index(at_work.label_box)
    at_work.classes.line.setText("own")
    at_work.classes.add_button.click()
    assert len(order()) == 8
    assert order() == sorted(order())


def test_the_classes_keep_their_place_when_something_is_said(at_work, qtbot):
    at_work.resize(300, 500)
    at_work.show()
    qtbot.wait(50)
    at_work.message.say()

    def places():
        qtbot.wait(20)
        return [part.geometry() for part in (at_work.classes, at_work.undo_button)]

    before = places()
    assert at_work.classes.height() == at_work.classes.sizeHint().height()
    at_work.message.say("One line.")
    assert places() == before
    at_work.message.say("Paused: another layer is selected. Tick “Click to label” to go on.")
    assert places() == before
