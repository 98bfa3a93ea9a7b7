"""Settings refuse what cannot be built, in one sentence; the presets describe themselves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.structures import StructureSettings, build, crystal_of, describe_presets
from napari_stemlearn.structures.settings import DefectSettings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"crystal": "WSe3"}, "There is no crystal preset 'WSe3'; choose one of the "),
        ({"zone_axis": [0, 0, 0]}, "zone axis [0 0 0] is no direction"),
        ({"zone_axis": [1, 0]}, "zone_axis"),
        ({"field_of_view": [0, 100]}, "field_of_view (y) is 0; allowed: 1 to 100000 angstrom"),
        ({"thickness": -1}, "thickness is -1.0; allowed: 0.5 to 10000 angstrom"),
        ({"displacement": "normal(0.1)"}, "normal(...) takes two numbers"),
        ({"defects": [{"kind": "vacancy1", "probability": 1.2}]}, "probability is 1.2; allowed: 0 to 1"),
        ({"defects": [{"kind": "vacancy1", "probability": "uniform(0, 2)"}]}, "allowed: 0 to 1"),
        ({"defects": [{"kind": "vacancy3"}]}, "vacancy3"),
        ({"defects": [{"kind": "substitution", "probability": 0.1}]}, "substitution needs elements"),
        ({"defects": [{"kind": "adatom", "elements": "Xx"}]}, "'Xx' is not the symbol of an element"),
        ({"alloy": {"metal": {"Mo": 1.3}}}, "fraction of Mo on sublattice metal is 1.3; allowed: 0 to 1"),
        ({"alloy": {"metal": {"Mo": 0.7, "Ta": 0.7}}}, "fractions on sublattice metal sum to 1.4"),
        ({"alloy": {"metal": {"Unobtainium": 0.1}}}, "not the symbol of an element"),
        ({"vacuum": "everywhere"}, "vacuum"),
    ],
)
def test_settings_are_refused_in_one_sentence(values, words):
    with pytest.raises(SettingsError) as caught:
        StructureSettings.checked(values)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "near"), [("WSe3", "WSe2"), ("grafene", "graphene"), ("srtio", "SrTiO3")])
def test_a_crystal_that_is_not_known_gives_the_nearest(name, near):
    with pytest.raises(SettingsError, match=rf"no crystal preset '{name}'.* such as .*{near}.*CIF file") as caught:
        StructureSettings.checked({"crystal": name})
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"crystal": "WSe2", "defects": [{"kind": "vacancy1", "sublattice": "oxygen", "probability": 0.1}]},
            "WSe2 has no sublattice 'oxygen'; choose one of metal, chalcogen",
        ),
        ({"crystal": "WSe2", "alloy": {"a_site": {"Mo": 0.1}}}, "WSe2 has no sublattice 'a_site'"),
        ({"crystal": "WSe2", "zone_axis": (1, 1, 0)}, "single layer and is seen along [0 0 1] only, not [1 1 0]"),
        (
            {"crystal": "MoSSe", "zone_axis": (0, 0, -1)},
            "single layer and is seen along [0 0 1] only, not [0 0 -1]",
        ),
        ({"crystal": "graphene", "defects": [{"kind": "vacancy2", "probability": 0.1}]}, "needs columns of two atoms"),
        ({"crystal": "graphene", "defects": [{"kind": "metal_vacancy", "probability": 0.1}]}, "no metal sublattice"),
        *(
            (
                {"crystal": "WSe2", "defects": [{"kind": "metal_vacancy", "sublattice": name, "probability": 0.1}]},
                f"metal_vacancy cannot lie on sublattice '{name}' of WSe2; use vacancy1 there for one missing atom, "
                "vacancy2 for a column of two.",
            )
            for name in ("chalcogen", "Se", "chalcogen_top", "all")
        ),
        ({"crystal": "graphene", "defects": [{"kind": "antisite", "probability": 0.1}]}, "name its elements."),
        (
            {"crystal": "hBN", "defects": [{"kind": "antisite", "probability": 0.1}]},
            "name a sublattice (boron, nitrogen), or elements.",
        ),
        (
            {"crystal": "SrTiO3", "defects": [{"kind": "antisite", "sublattice": "oxygen", "probability": 0.1}]},
            "name a sublattice (Sr, a_site, b_site, Ti), or elements.",
        ),
        ({"crystal": "SrTiO3", "field_of_view": (90_000, 90_000)}, "million atoms; allowed: at most 20 million"),
    ],
)
def test_builds_are_refused_in_one_sentence(values, words):
    with pytest.raises(SettingsError) as caught:
        build(StructureSettings(**values), 0)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def names_of_drawn(model):
    return {name for name, field in model.model_fields.items() if "Distribution" in str(field.annotation)}


def test_everything_that_is_drawn_is_recorded():
    adatom = {"kind": "adatom", "elements": ["W"], "probability": "uniform(0, 0.1)", "height": "uniform(1, 3)"}
    settings = StructureSettings(
        crystal="SrTiO3",
        field_of_view=(20, 20),
        vacuum="edge",
        tilt=1.0,
        tilt_axis="uniform(0, 360)",
        alloy={"a_site": {"Ba": "uniform(0.1, 0.3)"}},
        defects=[{"kind": "vacancy1", "probability": "uniform(0, 0.1)"}, {**adatom, "place": "random"}, adatom],
    )
    drawn = build(settings, 1).drawn
    assert names_of_drawn(StructureSettings) - {"alloy"} <= set(drawn)
    assert 0.1 <= drawn["alloy.a_site.Ba"] <= 0.3
    assert names_of_drawn(DefectSettings) == {"probability", "height"}
    assert {name for name in drawn if name.startswith("defects.")} == {
        "defects.0.vacancy1.probability",
        *(f"defects.{number}.adatom.{name}" for number in (1, 2) for name in ("probability", "height")),
    }
    # what is recorded is what was built: an adatom beside the lattice lies this far above the entrance face
    specimen = build(settings.changed(tilt=0.0), 1)
    heights = {specimen.drawn[f"defects.{number}.adatom.height"] for number in (1, 2)}
    z = specimen.defects.loc[specimen.defects["class"] == "adatom", "z_angstrom"]
    assert z.min() == pytest.approx(-max(heights))


@pytest.mark.parametrize("seed", [-1, 0.5])
def test_seeds_are_whole_numbers(seed):
    with pytest.raises(SettingsError, match="allowed: whole numbers from 0"):
        build(StructureSettings(), seed)


def test_every_preset_builds():
    for preset in describe_presets():
        assert preset.sentence.endswith(".")
        assert preset.sublattices
        for sublattice in preset.sublattices:
            assert crystal_of(preset.name).matches(sublattice).any()
        for zone_axis in preset.zone_axes:
            settings = StructureSettings(crystal=preset.name, zone_axis=zone_axis, field_of_view=(12, 12), thickness=10)
            assert len(build(settings, 0).columns) > 10


def test_the_presets_asked_for_are_there():
    names = {preset.name for preset in describe_presets()}
    assert {f"{metal}{x}2" for metal in ("Mo", "W", "Nb", "Ta") for x in ("S", "Se", "Te")} <= names
    wanted = "graphene hBN WSSe MoSSe SrTiO3 BaTiO3 PbTiO3 LaAlO3 Si GaAs CdTe Au Pt Pd Ag Cu Al Ni"
    assert set(wanted.split()) <= names


@pytest.mark.parametrize("name", list(StructureSettings.presets))
def test_named_settings_build_and_survive_their_record(tmp_path, name):
    settings = StructureSettings.preset(name, field_of_view=(30, 30))
    assert len(build(settings, 0).columns) > 50
    settings.save(tmp_path / "structure.yaml")
    assert StructureSettings.load(tmp_path / "structure.yaml") == settings


def test_names_in_any_case():
    assert StructureSettings(crystal="wse2").crystal == "WSe2"
    assert StructureSettings(crystal=" HBN ").crystal == "hBN"


def test_importing_is_light():
    heavy = "torch", "ase", "spglib", "scipy", "pandas", "napari", "qtpy"
    code = f"import sys; from napari_stemlearn.structures import *; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
