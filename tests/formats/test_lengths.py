"""Lengths as people type them."""

from __future__ import annotations

import pytest

from napari_stemlearn.formats.lengths import kind_of_unit, to_angstrom, typed_length


@pytest.mark.parametrize(
    ("text", "angstrom"),
    [("0.2", 0.2), (" 0,2 ", 0.2), ("20 pm", 0.2), ("0.02nm", 0.2), ("2e-2 nm", 0.2), ("0.2 Å", 0.2), (".2", 0.2)],
)
def test_a_number_alone_or_with_a_unit(text, angstrom):
    assert typed_length(text) == pytest.approx(angstrom)


@pytest.mark.parametrize("text", ["", "nm", "abc", "0.2.3", "0.2 mrad", "0.2 px"])
def test_what_is_no_length(text):
    with pytest.raises(ValueError, match=r"no length|could not convert"):
        typed_length(text)


@pytest.mark.parametrize(
    "unit", ["1/nm", "1 / nm", "1 / angstrom", "1/ Å", " 1 /[n_m] ", "nm^-1", "nm ^ -1", "nm⁻¹", "nm\u22121"]
)
def test_reciprocal_units_however_they_are_written(unit):
    assert kind_of_unit(unit) == "reciprocal"


@pytest.mark.parametrize(
    ("units", "angstrom"),
    [
        (("pm", "picometer", "picometers", "picometre", "Picometres"), 0.01),
        (("nm", "[n_m]", "nanometer", "nanometers", "nanometre", "Nanometres"), 10),
        (("µm", "\u03bcm", "micron", "micrometer", "micrometers", "micrometre", "micrometres"), 1e4),
        (("mm", "millimeters", "millimetres"), 1e7),
        (("m", "meters", "metres"), 1e10),
    ],
)
def test_lengths_by_their_full_names(units, angstrom):
    assert {kind_of_unit(unit) for unit in units} == {"length"}
    assert {to_angstrom(1, unit) for unit in units} == {angstrom}
