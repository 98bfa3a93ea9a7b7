"""Settings say what is wrong in one sentence and survive their own record."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from pydantic import Field

from napari_stemlearn.distributions import Distribution, Drawn, draw
from napari_stemlearn.errors import SettingsError
from napari_stemlearn.settings import Settings, laid_over, parse_assignments, quantity


class Probe(Settings):
    presets = {"default": {}, "sharp": {"source_fwhm": 0.5}}

    source_fwhm: Drawn = quantity("uniform(0.8, 1.2)", "angstrom", "Source size.", minimum=0, maximum=10)
    repeats: int = quantity(3, "1", "How often.", minimum=1)


class Microscope(Settings):
    probe: Probe = Field(default_factory=Probe)
    weights: dict[str, float] = Field(default_factory=dict)


class Day(Settings):
    microscope: Microscope = Field(default_factory=Microscope)
    hours: int = 8


def test_sections_are_laid_over_however_deep_and_tables_are_replaced():
    below = {"microscope": {"probe": {"source_fwhm": 1.0, "repeats": 2}, "weights": {"W": 1.0, "Se": 2.0}}, "hours": 4}
    above = {"microscope": {"probe": {"repeats": 5}, "weights": {"W": 3.0}}}
    assert laid_over(Day, below, above) == {
        "microscope": {"probe": {"source_fwhm": 1.0, "repeats": 5}, "weights": {"W": 3.0}},
        "hours": 4,
    }
    assert below["microscope"]["probe"]["repeats"] == 2
    assert laid_over(Day, {"microscope": None}, above) == above


def test_record_round_trip(tmp_path):
    settings = Probe(source_fwhm="normal(1, 0.1)")
    settings.save(tmp_path / "probe.yaml")
    assert Probe.load(tmp_path / "probe.yaml") == settings
    assert settings.record() == {"source_fwhm": "normal(1, 0.1)", "repeats": 3}


@pytest.mark.parametrize("kind", ["uniform", "normal", "log_uniform", "choice"])
def test_a_record_keeps_every_digit_of_a_distribution(kind):
    values = (np.nextafter(1.0, 2.0), 9.876543210123)
    settings = Probe(source_fwhm=Distribution(kind=kind, values=values), repeats=2)
    for same in (Probe.checked(settings.record()), settings.changed(repeats=2)):
        assert same == settings
        assert same.source_fwhm.values == values
    assert str(Distribution(kind="choice", values=(1e5, 0.5))) == "choice(100000, 0.5)"


def test_settings_that_cannot_be_saved_leave_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "probe.yaml"
    Probe().save(path)
    before = path.read_text()

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Probe(repeats=9).save(path)
    assert path.read_text() == before
    assert os.listdir(tmp_path) == ["probe.yaml"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"source_fwhm": 20}, "source_fwhm is 20.0; allowed: 0 to 10 angstrom"),
        ({"source_fwhm": "uniform(1, 20)"}, "allowed: 0 to 10 angstrom"),
        ({"source_fwhm": "normal(-1, 2)"}, "allowed: 0 to 10 angstrom"),
        ({"source_fwhm": float("nan")}, "source_fwhm is nan"),
        ({"fwhm": 1}, "There is no setting 'fwhm'"),
        ({"repeats": "many"}, "repeats is 'many'"),
        ({"repeats": 0}, "allowed: at least 1"),
    ],
)
def test_refusals_are_one_sentence(values, words):
    with pytest.raises(SettingsError) as caught:
        Probe.checked(values)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("construct", "said"),
    [
        (lambda: Probe(repeats=0), "Setting repeats is 0; allowed: at least 1."),
        (lambda: Probe(fwhm=2), "There is no setting 'fwhm'."),
        (lambda: Microscope(probe={"repeats": 0}), "Setting probe: repeats is 0; allowed: at least 1."),
        (lambda: Microscope(others=[{}, {"repeats": "x"}]), "Setting others.1.repeats is 'x': input should be a valid"),
    ],
)
def test_construction_refuses_in_one_sentence_too(construct, said):
    with pytest.raises(SettingsError) as caught:
        construct()
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_preset_and_changes():
    assert Probe.preset("sharp").source_fwhm == 0.5
    assert Probe.preset("sharp", repeats=7).changed(source_fwhm=2).record() == {"source_fwhm": 2.0, "repeats": 7}
    with pytest.raises(SettingsError, match="no preset 'blunt'; choose one of default, sharp"):
        Probe.preset("blunt")


def test_draws_stay_in_bounds_and_repeat():
    wild = Probe(source_fwhm="normal(0.1, 5)")
    drawn = [wild.drawn(np.random.default_rng(seed))["source_fwhm"] for seed in range(200)]
    assert min(drawn) == 0.0
    assert max(drawn) == 10.0
    assert drawn == [wild.drawn(np.random.default_rng(seed))["source_fwhm"] for seed in range(200)]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("uniform(2, 3)", 2, 3), ("log_uniform(10, 1000)", 10, 1000), ("choice(4, 5)", 4, 5)],
)
def test_distribution_extents(text, low, high):
    distribution = Distribution(
        kind=text.split("(")[0], values=tuple(float(v) for v in text[:-1].split("(")[1].split(","))
    )
    drawn = [draw(distribution, np.random.default_rng(seed)) for seed in range(100)]
    assert low <= min(drawn) <= max(drawn) <= high
    assert len(set(drawn)) > 1
    assert str(distribution) == text


def test_assignments():
    assert parse_assignments(["dose=1e4", "scan.shear=0.01", "name=abc"]) == {
        "dose": 10000.0,
        "scan": {"shear": 0.01},
        "name": "abc",
    }
    with pytest.raises(SettingsError, match="not of the form"):
        parse_assignments(["dose"])


class Named(Settings):
    presets = {"default": {}, "other": {"name": "other"}}

    name: str = "model"
    count: int = quantity(1, "1", "How many.", maximum=1_000_000)


def test_a_field_may_be_called_name():
    assert Named.preset("other", name="mine").name == "mine"


def test_large_bounds_are_written_out():
    with pytest.raises(SettingsError, match="at most 1000000"):
        Named.checked({"count": 2_000_000})


class Microscope(Settings):
    probe: Probe = Probe()
    others: tuple[Probe, ...] = ()


def test_sections_and_entries_of_lists_take_names_of_presets():
    settings = Microscope.checked({"probe": "sharp", "others": ["sharp", {"repeats": 2}]})
    assert settings.probe == settings.others[0] == Probe.preset("sharp")
    assert settings.others[1].repeats == 2


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"others": ["blunt"]}, "Setting others.0: There is no preset 'blunt'; choose one of default, sharp."),
        ({"others": [3]}, "Setting others.0 is 3; it must be a section of 'name: value' settings."),
        ({"others": "sharp"}, "Setting others is 'sharp'; it must be a list."),
        ({"others": 3}, "Setting others is 3; it must be a list."),
    ],
)
def test_what_is_no_section_is_one_sentence(values, sentence):
    with pytest.raises(SettingsError) as caught:
        Microscope.checked(values)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("repeats:\n\t3\n", "cannot be read as YAML: line 2 has a tab, where YAML takes blanks."),
        ("source_fwhm: 1\nrepeats: 3\nsource_fwhm: 2\n", "cannot be read as YAML: line 3: 'source_fwhm' stands twice."),
        ("repeats: 1\n fwhm: 2\n", "cannot be read as YAML: line 2: mapping values are not allowed here."),
    ],
)
def test_a_file_that_is_no_yaml_is_told_with_its_line(tmp_path, text, said):
    path = tmp_path / "probe.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        Probe.load(path)
    assert str(caught.value).endswith(said)


def test_an_assignment_with_a_name_twice_is_refused():
    with pytest.raises(SettingsError, match="'repeats' stands twice"):
        parse_assignments(["probe={repeats: 1, repeats: 2}"])
