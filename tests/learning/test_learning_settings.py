"""Settings of a training refuse what cannot work, in one sentence, without torch."""

import subprocess
import sys

import pytest

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.learning.recipes import list_recipes, load_recipe
from napari_stemlearn.learning.settings import SegmentationSettings


@pytest.mark.parametrize("name", list(SegmentationSettings.presets))
def test_presets_survive_their_record(name):
    settings = SegmentationSettings.preset(name)
    assert SegmentationSettings.checked(settings.record()) == settings


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"targets": {"classes": {}}}, "at least one class"),
        ({"targets": {"classes": {"vacancy": []}}}, "marks nothing"),
        ({"targets": {"exclusive": [["adatom"]]}}, "adatom"),
        ({"targets": {"classes": {"extra": "adatom"}}}, "no structure has defects of the class 'extra'"),
        ({"structures": []}, "structures"),
        ({"structures": [{"crystals": "unobtainium"}]}, "unobtainium"),
        ({"optimisation": {"loss": {"hinge": 1.0}}}, "hinge"),
        ({"optimisation": {"loss": {"dice": 0.0}}}, "above 0"),
        ({"optimisation": {"steps": 0}}, "steps is 0"),
        ({"data": {"source": "folder"}}, "needs the folder"),
        ({"validation": {"held_out_style": "imaging"}}, "held_out_imaging"),
        ({"acquisition_pixel_size": "uniform(-1, 1)"}, "acquisition_pixel_size"),
        ({"precision": "fp8"}, "precision"),
    ],
)
def test_a_wrong_setting_is_one_sentence(changes, said):
    with pytest.raises(SettingsError, match=said):
        SegmentationSettings.checked(changes)


def test_words_stand_for_lists():
    settings = SegmentationSettings.checked({"targets": {"classes": {"missing": "vacancy1, vacancy2"}}})
    assert settings.targets.classes == {"missing": ("vacancy1", "vacancy2")}


def test_shipped_recipes_are_valid_and_unknown_ones_are_named():
    assert {"columns", "tmd-defects"} <= set(list_recipes())
    for name in list_recipes():
        assert load_recipe(name).name == name
    with pytest.raises(SettingsError, match=r"no recipe 'cake'.*columns"):
        load_recipe("cake")


def test_settings_do_not_load_torch():
    code = (
        "import sys, napari_stemlearn.learning.settings, napari_stemlearn.learning.recipes;"
        "print([name for name in ('torch', 'abtem', 'matplotlib', 'napari') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
