"""The form shows any settings model, gives the same settings back, and tells what is wrong beneath the field."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field
from qtpy.QtCore import Qt

from napari_stemlearn.distributions import Distribution, Drawn
from napari_stemlearn.errors import SettingsError
from napari_stemlearn.settings import Settings, quantity
from napari_stemlearn.widgets.editors import BoolEditor, ChoiceEditor, NumberEditor, NumbersEditor
from napari_stemlearn.widgets.form import SettingsForm
from napari_stemlearn.widgets.model_editor import ListEditor, OptionalEditor, UnionEditor
from napari_stemlearn.widgets.tab_order import tab_stops
from napari_stemlearn.widgets.words import label_of, unit_symbol


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Probe(Settings):
    presets = {"default": {}, "sharp": {"source_fwhm": 0.5}}

    source_fwhm: Drawn = quantity("uniform(0.8, 1.2)", "angstrom", "Source size.", minimum=0, maximum=10)
    c30: float = quantity(0.0, "angstrom", "Spherical aberration.", advanced=True)


class Defect(Settings):
    kind: Literal["vacancy1", "vacancy2"] = Field("vacancy1", description="What is missing.")
    probability: Drawn = quantity(0.01, "1", "How likely.", minimum=0, maximum=1)
    depth: float = quantity(0.0, "angstrom", "How deep.", minimum=0)


class Simulated(Settings):
    kind: Literal["simulated"] = "simulated"
    seed: int = quantity(0, "1", "Seed.", minimum=0)


class Stored(Settings):
    kind: Literal["stored"] = "stored"
    path: Path | None = Field(None, description="Folder.")


class Everything(Settings):
    presets = {"default": {}, "quick": {"steps": 5, "probe": {"source_fwhm": 2.0}}}

    steps: int = quantity(100, "1", "How many.", minimum=1, maximum=1000)
    dose: Drawn = quantity("log_uniform(1000, 100000)", "electrons/angstrom^2", "Dose.", minimum=0)
    label: str = "day"
    noisy: bool = True
    colour: Colour = Colour.RED
    loss: Literal["dice", "focal"] = "dice"
    size: tuple[int, int] = quantity((256, 128), "pixels", "Shape.", minimum=2)
    axis: tuple[int, int, int] | None = Field(None, description="Zone axis.")
    limit: float | None = quantity(None, "angstrom", "Limit.", minimum=0)
    names: tuple[str, ...] = ("Se2", "W")
    weights: dict[str, float] = Field(default_factory=lambda: {"W": 1.5})
    mixture: dict[str, dict[str, Drawn]] = Field(default_factory=dict, examples=["metal: {Mo: 0.3}"])
    gain: float = quantity(1.0, "1", "Gain.", minimum=0, advanced=True)
    probe: Probe = Probe()
    scan: Probe | None = None
    defects: list[Defect] = [Defect(probability="uniform(0, 0.1)")]
    source: Annotated[Simulated | Stored, Field(discriminator="kind")] = Simulated()


@pytest.fixture
def form(qtbot):
    form = SettingsForm(Everything)
    qtbot.addWidget(form)
    return form


def open_all(form):
    form.body.more.open()
    for section in form.body.sections.values():
        section.open()
    return form.body


def type_into(qtbot, line, text):
    line.selectAll()
    qtbot.keyClicks(line, text)
    if not text:
        qtbot.keyClick(line, Qt.Key.Key_Delete)


def test_form_gives_back_what_it_was_given(form):
    assert form.value() == Everything()
    open_all(form)
    assert form.value() == Everything()
    other = Everything(
        steps=7,
        dose=3e4,
        noisy=False,
        colour="blue",
        size=(64, 32),
        limit=2.5,
        names=("C",),
        weights={},
        gain=0.5,
        probe={"source_fwhm": "choice(1, 2, 3)", "c30": 1e4},
        scan=Probe(source_fwhm=0.1),
        defects=[Defect(), Defect(kind="vacancy2")],
        source=Stored(path="/data/day"),
    )
    form.set_value(other)
    assert form.value() == other
    assert form.problem is None


def test_each_kind_of_field_has_its_editor(form):
    editors = open_all(form).editors
    assert isinstance(editors["steps"], NumberEditor)
    assert isinstance(editors["noisy"], BoolEditor)
    assert isinstance(editors["colour"], ChoiceEditor)
    assert [editors["loss"].box.itemText(i) for i in range(2)] == ["dice", "focal"]
    assert isinstance(editors["size"], NumbersEditor)
    assert isinstance(editors["scan"], OptionalEditor)
    assert isinstance(editors["defects"], ListEditor)
    assert isinstance(editors["source"], UnionEditor)
    assert "Allowed: 1 to 1000" in editors["steps"].toolTip()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.3", 0.3),
        ("1e4", 1e4),
        ("0,5", 0.5),
        ("1,5e3", 1500.0),
        ("10000 electrons/angstrom^2", 1e4),
        ("uniform(0.8, 1.2)", Distribution(kind="uniform", values=(0.8, 1.2))),
        ("normal(3,1)", Distribution(kind="normal", values=(3, 1))),
        ("choice(1, 2, 5)", Distribution(kind="choice", values=(1, 2, 5))),
    ],
)
def test_one_line_takes_numbers_and_distributions(qtbot, form, text, value):
    type_into(qtbot, form.body.editors["dose"].line, text)
    assert form.problem is None
    assert form.value().dose == value


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("steps", "0", "Steps is 0; allowed: 1 to 1000"),
        ("steps", "many", "'many' is not a whole number"),
        ("steps", "", "A number is needed"),
        ("dose", "uniform(5, 1)", "needs low <= high"),
        ("dose", "gauss(5, 1)", "'gauss(5, 1)' is none of"),
        ("dose", "-3", "Dose is -3.0; allowed: at least 0 electrons"),
        ("dose", "10,000", "'10,000' can be read as 10.000 or as 10000: leave the comma out."),
        ("dose", "5 V", "'5 V' is neither a number nor"),
        ("limit", "-1", "allowed: at least 0 angstrom"),
    ],
)
def test_a_bad_value_is_told_beneath_its_field(qtbot, form, field, text, words):
    heard = []
    form.changed.connect(lambda: heard.append(form.problem))
    type_into(qtbot, form.body.editors[field].line, text)
    label = form.body._rows[0].errors[field]
    assert words in label.text()
    assert not label.isHidden()
    assert heard[-1] == form.problem
    assert form.problem.startswith(field.capitalize())
    assert "nput should" not in form.problem
    others = [error for name, error in form.body._rows[0].errors.items() if name != field]
    assert all(error.isHidden() for error in others)
    with pytest.raises(SettingsError):
        form.value()
    form.reset()
    assert form.problem is None
    assert label.isHidden()


def test_a_problem_below_a_closed_section_marks_its_title(qtbot, form):
    form.set_value({**Everything().record(), "probe": {"source_fwhm": 99}, "gain": -1})
    assert form.problem == "Probe › Source FWHM is 99.0; allowed: 0 to 10 angstrom."
    section = form.body.sections["probe"]
    assert not section.is_open
    assert "color" in section.header.styleSheet()
    assert "allowed: 0 to 10 angstrom" in form.body.editors["probe"]._rows[0].errors["source_fwhm"].text()
    form.set_value({**Everything().record(), "gain": -1})
    assert "color" in form.body.more.header.styleSheet()
    form.reset()
    assert "color" not in form.body.more.header.styleSheet()
    assert "color" not in section.header.styleSheet()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": ["0,5x", "3"]}, "Size (y) is not a whole number."),
        ({"size": ["3", ""]}, "Size (x): a number is needed here."),
        ({"size": ["3", "1"]}, "Size (x) is 1; allowed: at least 2 pixels."),
        ({"axis": ["1", "0", "up"]}, "Axis (w) is not a whole number."),
        ({"mixture": {"metal": None}}, "Mixture is not of the form metal: {Mo: 0.3}."),
        ({"steps": ""}, "Steps: a number is needed here."),
        ({"dose": "five"}, "Dose is neither a number nor a distribution."),
        ({"dose": "10,000"}, "Dose can be read as 10.000 or as 10000: leave the comma out."),
        ({"dose": "uniform(5, 1)"}, "Dose: uniform(low, high) needs low <= high."),
        ({"defects": [{}, {"depth": "deep"}]}, "Defects › Depth is not a number."),
        ({"defects": [{"depth": -1}]}, "Defects › Depth is -1.0; allowed: at least 0 angstrom."),
        ({"source": {"kind": "simulated", "seed": "one"}}, "Source › Seed is not a whole number."),
        ({"loss": "none"}, "Loss: allowed: 'dice' or 'focal'."),
    ],
)
def test_a_problem_is_told_in_short_with_the_titles_of_its_field(form, changes, words):
    form.set_value({**Everything().record(), **changes})
    assert form.problem == words


def test_what_is_no_list_is_said_without_words_of_a_parser(qtbot, form):
    for field, words in (("names", "Names is not a list, such as a, b."), ("weights", "Weights is not of the form")):
        type_into(qtbot, form.body.editors[field].line, "[a")
        assert form.problem.startswith(words)
        form.reset()


def test_numbers_are_typed_with_a_decimal_comma_or_a_unit(qtbot, form):
    body = open_all(form)
    for field, text, value in (
        ("steps", "30", 30),
        ("limit", "0,5", 0.5),
        ("limit", "0,25 nm", 2.5),
        ("limit", "3Å", 3.0),
        ("limit", "none", None),
    ):
        type_into(qtbot, body.editors[field].line, text)
        assert form.problem is None, text
        assert getattr(form.value(), field) == value
    y, x = body.editors["size"].lines
    type_into(qtbot, y, "64 px")
    type_into(qtbot, x, "32")
    assert form.value().size == (64, 32)
    for line in (y, x):
        type_into(qtbot, line, "wide")
    assert body._rows[0].errors["size"].text() == "y, x: 'wide' is not a whole number."
    form.reset()
    line = body.editors["gain"].line
    type_into(qtbot, line, "0,5")
    qtbot.keyClick(line, Qt.Key.Key_Up)
    assert form.value().gain == pytest.approx(0.51)


def test_presets_and_reset(form):
    assert form.preset_box.currentText() == "default"
    form.set_preset("quick")
    assert form.value().steps == 5
    assert form.value().probe.source_fwhm == 2.0
    form.body.editors["steps"].line.setText("6")
    form.body.editors["steps"].line.textEdited.emit("6")
    assert form.preset_box.currentIndex() == -1
    form.reset()
    assert form.value() == Everything()
    assert form.preset_box.currentText() == "default"


def test_save_and_load(form, tmp_path):
    form.set_preset("quick")
    form.save(tmp_path / "mine")
    form.reset()
    form.load(tmp_path / "mine.yaml")
    assert form.value() == Everything.preset("quick")
    (tmp_path / "bad.yaml").write_text("steps: 0\n")
    form.load(tmp_path / "bad.yaml")
    assert form.value() == Everything.preset("quick")
    assert "steps is 0; allowed" in form.error.text()
    form.load(tmp_path / "none.yaml")
    assert "does not exist" in form.error.text()


def test_list_of_models_grows_and_shrinks(qtbot, form):
    form.body.sections["defects"].open()
    editor = form.body.editors["defects"]
    qtbot.mouseClick(editor.add_button, Qt.MouseButton.LeftButton)
    assert len(form.value().defects) == 2
    first, second = editor.entries
    type_into(qtbot, second.leads["probability"].line, "2")
    assert "allowed: 0 to 1" in second.error.text()
    assert first.error.isHidden()
    type_into(qtbot, second.leads["probability"].line, "0.5")
    assert form.value().defects[1].probability == 0.5
    assert not second.toggle.isChecked()
    second.toggle.click()
    type_into(qtbot, second.rest.editors["depth"].line, "-1")
    assert "allowed: at least 0 angstrom" in second.rest._rows[0].errors["depth"].text()
    editor.remove(second)
    assert form.problem is None
    assert len(form.value().defects) == 1


def test_union_and_optional(qtbot, form):
    form.body.sections["source"].open()
    union = form.body.editors["source"]
    union.box.setCurrentIndex(1)
    union.box.activated.emit(1)
    assert form.value().source == Stored()
    assert "kind" not in union.current.editors
    form.body.sections["scan"].open()
    optional = form.body.editors["scan"]
    optional.box.click()
    assert form.value().scan == Probe()
    optional.box.click()
    assert form.value().scan is None


def test_hidden_fields_keep_their_value(qtbot):
    form = SettingsForm(Everything, hidden=("steps", "probe.c30", "defects"))
    qtbot.addWidget(form)
    form.set_value(Everything(steps=9, probe={"c30": 5.0}, defects=[]))
    assert "steps" not in form.body.editors
    assert "defects" not in form.body.sections
    form.body.sections["probe"].open()
    assert form.body.editors["probe"].more is None
    assert form.value() == Everything(steps=9, probe={"c30": 5.0}, defects=[])


def test_arrow_keys_step_inside_the_bounds(qtbot, form):
    line = form.body.editors["steps"].line
    qtbot.keyClick(line, Qt.Key.Key_Up)
    assert form.value().steps == 101
    line.setText("1")
    qtbot.keyClick(line, Qt.Key.Key_Down)
    assert form.value().steps == 1
    dose = form.body.editors["dose"].line
    qtbot.keyClick(dose, Qt.Key.Key_Up)
    assert dose.text() == "log_uniform(1000, 100000)"
    dose.setText("0.3")
    qtbot.keyClick(dose, Qt.Key.Key_Up)
    assert form.value().dose == pytest.approx(0.31)


def test_words():
    assert label_of("convergence_semiangle") == "Convergence semiangle"
    assert label_of("c12a") == "C12a"
    assert label_of("phi12") == "φ12"
    assert unit_symbol("electrons/angstrom^2") == "e⁻/Å²"
    assert unit_symbol("electrons per square angstrom") == "e⁻/Å²"
    assert unit_symbol("mrad") == "mrad"


def test_only_the_number_that_is_wrong_is_framed(qtbot, form):
    size = form.body.editors["size"]
    type_into(qtbot, size.lines[0], "abc")
    assert ["border" in line.styleSheet() for line in size.lines] == [True, False]
    type_into(qtbot, size.lines[1], "abc")
    assert ["border" in line.styleSheet() for line in size.lines] == [True, True]
    form.reset()
    assert ["border" in line.styleSheet() for line in size.lines] == [False, False]


def test_the_tab_key_goes_from_above_to_below_also_to_what_was_opened_last(form):
    body = form.body
    body.more.open()
    body.sections["defects"].open()
    body.sections["source"].open()
    defects = body.editors["defects"]
    defects.add_button.click()
    defects.entries[0].toggle.click()
    body.editors["source"]._choose(1)
    form.show()
    form.resize(form.sizeHint())
    form.layout().activate()
    stops = tab_stops(form)
    for earlier, later in (
        (body.sections["defects"].header, defects.entries[0].leads["kind"].box),
        (defects.entries[0].toggle, defects.entries[0].rest.editors["depth"].line),
        (defects.entries[0].rest.editors["depth"].line, defects.entries[1].leads["kind"].box),
        (defects.entries[1].toggle, defects.add_button),
        (defects.add_button, body.sections["source"].header),
        (body.editors["source"].box, body.editors["source"].current.editors["path"].line),
        (body.editors["source"].current.editors["path"].line, body.more.header),
        (body.more.header, body.editors["gain"].line),
    ):
        assert stops.index(earlier) < stops.index(later)


def test_of_several_numbers_one_fault_is_told_with_its_name(qtbot, form):
    errors = form.body._rows[0].errors
    axis = form.body.editors["axis"].lines
    assert [line.placeholderText() for line in axis] == ["u", "v", "w"]
    u = axis[0]
    type_into(qtbot, u, "abc")
    assert errors["axis"].text() == "u: 'abc' is not a whole number."
    # the two that are empty are framed too, without a sentence of their own
    assert ["border" in line.styleSheet() for line in form.body.editors["axis"].lines] == [True, True, True]
    type_into(qtbot, u, "1")
    assert errors["axis"].text() == "v, w: A number is needed here."
    form.reset()
    y, x = form.body.editors["size"].lines
    type_into(qtbot, x, "1")
    assert errors["size"].text() == "Size (x) is 1; allowed: at least 2 pixels."
    assert ["border" in line.styleSheet() for line in (y, x)] == [False, True]


@pytest.mark.parametrize("text", ["metal", "metal: Mo", "Mo: 0.3", "metal: [", "None"])
def test_what_is_no_mapping_is_answered_with_one_as_it_is_typed(qtbot, form, text):
    line = form.body.editors["mixture"].line
    assert line.placeholderText() == "metal: {Mo: 0.3}"
    type_into(qtbot, line, text)
    label = form.body._rows[0].errors["mixture"]
    assert label.text() == "This is not of the form metal: {Mo: 0.3}."
    type_into(qtbot, line, "metal: {Mo: 0.3}")
    assert form.value().mixture == {"metal": {"Mo": 0.3}}
    assert label.isHidden()
