"""Names that become folders hold on any computer."""

from __future__ import annotations

import pytest

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.folder_names import FORBIDDEN, LONGEST, checked_folder_name, folder_name
from napari_stemlearn.generation.settings import GenerateSettings
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.settings import SegmentationSettings

NAMED = (SegmentationSettings, CycleGANSettings, GenerateSettings)


@pytest.mark.parametrize("model", NAMED)
def test_blanks_around_a_name_do_not_count(model):
    assert model(name="  day a ").name == "day a"


@pytest.mark.parametrize("model", NAMED)
@pytest.mark.parametrize("name", ["", " ", "\t"])
def test_a_name_is_needed(model, name):
    with pytest.raises(SettingsError, match=r"^Setting name: a name is needed\.$"):
        model(name=name)


@pytest.mark.parametrize("model", [SegmentationSettings, CycleGANSettings])
@pytest.mark.parametrize("name", [*(f"a{letter}b" for letter in FORBIDDEN + "\n"), ".a", "a.", "..", "CON", "lpt1.x"])
def test_what_no_folder_can_be_called_is_refused(model, name):
    with pytest.raises(SettingsError, match="cannot be the name of a folder"):
        model(name=name)


def test_a_long_name_is_refused():
    assert checked_folder_name("Å" * (LONGEST // 2)) == "Å" * (LONGEST // 2)
    with pytest.raises(ValueError, match="too long for the name of a folder; allowed: 200 bytes"):
        checked_folder_name("Å" * (LONGEST // 2 + 1))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("day a", "day a"),
        (" a/b: *?. ", "a_b_ __"),
        ("..", "model"),
        (" ", "model"),
        ("nul", "nul_"),
        ("Å" * 150, "Å" * 100),
    ],
)
def test_any_text_gives_a_name_that_is_allowed(text, name):
    assert folder_name(text, "model") == name
    assert checked_folder_name(name) == name
