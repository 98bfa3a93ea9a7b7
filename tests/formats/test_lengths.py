"""Lengths as people type them."""

from __future__ import annotations

import pytest

from napari_stemlearn.formats.lengths import typed_length


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
