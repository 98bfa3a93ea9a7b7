"""Layers: geometry, defects by probability, truth tables, seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from ase.data import chemical_symbols as SYMBOLS

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.structures import StructureSettings, build

STILL = {"rotation": 0.0, "displacement": 0.0, "random_origin": False, "defects": []}


def counts(table):
    return table["class"].value_counts().to_dict()


def test_perfect_layer_has_its_lattice():
    specimen = build(StructureSettings(crystal="WSe2", field_of_view=(40, 50), margin=0, **STILL), 0)
    columns = specimen.columns
    assert set(columns["class"]) == {"W", "Se2"}
    assert len(specimen) == (columns["class"] == "W").sum() + 2 * (columns["class"] == "Se2").sum()
    assert columns["x_angstrom"].between(-1e-9, 50).all()
    assert columns["y_angstrom"].between(-1e-9, 40).all()
    assert np.linalg.norm(specimen.lattice_vectors, axis=1) == pytest.approx([3.282, 3.282])
    metal = specimen.column_positions[columns["sublattice"] == "metal"]
    gap = np.linalg.norm(metal[:, None] - metal, axis=2)
    assert gap[gap > 0].min() == pytest.approx(3.282)
    chalcogen = specimen.column_positions[columns["sublattice"] == "chalcogen"]
    nearest = np.linalg.norm(metal[:, None] - chalcogen, axis=2).min(axis=1)
    assert np.median(nearest) == pytest.approx(3.282 / np.sqrt(3))
    assert sorted(set(specimen.positions[:, 2].round(6))) == [0.0, 1.67, 3.34]


def test_density_is_that_of_the_crystal():
    specimen = build(
        StructureSettings(crystal="graphene", field_of_view=(200, 100), margin=0, rotation=17.0, defects=[]), 3
    )
    expected = 2 * 200 * 100 / (2.461**2 * np.sqrt(3) / 2)
    assert len(specimen) == pytest.approx(expected, rel=0.01)
    assert counts(specimen.columns) == {"C": len(specimen)}


def test_same_seed_same_specimen_and_other_seed_other():
    settings = StructureSettings.preset(
        "wse2", field_of_view=(60, 60), lattice_scale="normal(1, 0.01)", tilt="uniform(0, 3)"
    )
    first, again, other = build(settings, 5), build(settings, 5), build(settings, 6)
    assert np.array_equal(first.positions, again.positions)
    assert np.array_equal(first.numbers, again.numbers)
    assert first.columns.equals(again.columns)
    assert first.defects.equals(again.defects)
    assert first.drawn == again.drawn
    assert first.drawn != other.drawn
    assert not np.array_equal(first.positions[:50], other.positions[:50])


def test_defects_leave_the_lattice_where_it_is():
    settings = StructureSettings.preset("wse2", field_of_view=(60, 60), displacement=0.0)
    clean = build(settings.changed(defects=[]), 8)
    dirty = build(settings, 8)
    metal = clean.column_positions[clean.columns["class"] == "W"]
    kept = dirty.column_positions[dirty.columns["class"] == "W"]
    assert np.linalg.norm(kept[:, None] - metal, axis=2).min(axis=1).max() < 1e-9


def test_probabilities_are_met():
    settings = StructureSettings(
        crystal="MoS2",
        field_of_view=(400, 400),
        defects=[
            {"kind": "vacancy1", "probability": 0.05},
            {"kind": "vacancy2", "probability": 0.02},
            {"kind": "metal_vacancy", "probability": 0.03},
            {"kind": "antisite", "sublattice": "chalcogen", "probability": 0.02, "atoms": "both"},
            {"kind": "substitution", "sublattice": "metal", "elements": "W", "probability": 0.1},
        ],
    )
    specimen = build(settings, 2)
    sites = (410 * 410) / (3.160**2 * np.sqrt(3) / 2)
    found = counts(specimen.defects)
    for kind, probability in [("vacancy1", 0.05), ("vacancy2", 0.02), ("metal_vacancy", 0.03), ("antisite", 0.02)]:
        assert found[kind] == pytest.approx(sites * probability, abs=4 * np.sqrt(sites * probability))
    classes = counts(specimen.columns)
    assert classes["S"] == found["vacancy1"]
    assert classes["Mo2"] == found["antisite"]
    assert classes["W"] == found["substitution"]
    empty = found["vacancy2"] + found["metal_vacancy"]
    assert (specimen.defects["column"] == -1).sum() == empty
    assert len(specimen.columns) == pytest.approx(2 * sites - empty, rel=0.01)


def test_defect_rows_say_what_happened():
    settings = StructureSettings(
        crystal="WSe2",
        field_of_view=(150, 150),
        defects=[
            {"kind": "vacancy1", "probability": 0.05},
            {"kind": "vacancy2", "probability": 0.05},
            {"kind": "antisite", "probability": 0.05, "atoms": "one"},
            {"kind": "substitution", "sublattice": "Se", "elements": ["S", "Te"], "atoms": "both", "probability": 0.05},
        ],
    )
    specimen = build(settings, 4)
    said = specimen.defects.groupby("class")[["removed", "added", "n_atoms"]].agg(lambda values: sorted(set(values)))
    assert said.loc["vacancy1"].tolist() == [["Se"], [""], [1]]
    assert said.loc["vacancy2"].tolist() == [["Se2"], [""], [2]]
    assert said.loc["antisite"].tolist() == [["Se"], ["W"], [1]]
    assert said.loc["substitution"].tolist() == [["Se2"], ["S2", "Te2"], [2]]
    held = specimen.defects[specimen.defects["column"] >= 0]
    columns = specimen.columns.iloc[held["column"]]
    assert np.allclose(columns["y_angstrom"], held["y_angstrom"])
    assert np.allclose(columns["x_angstrom"], held["x_angstrom"])
    assert (columns["defect"].to_numpy() == held["class"].to_numpy()).all()
    assert (specimen.columns["defect"] != "").sum() == len(held)


def test_columns_lie_at_the_mean_of_their_atoms():
    specimen = build(StructureSettings.preset("wse2", field_of_view=(50, 50), displacement=0.2, tilt=5.0), 1)
    sums = np.zeros((len(specimen.column_positions), 2))
    np.add.at(sums, specimen.atom_columns, specimen.positions[:, 1::-1])
    assert np.allclose(sums / specimen.column_atoms[:, None], specimen.column_positions)


def test_probabilities_above_one_together_are_refused():
    settings = StructureSettings(
        crystal="WSe2",
        field_of_view=(20, 20),
        defects=[{"kind": "vacancy1", "probability": 0.7}, {"kind": "vacancy2", "probability": 0.7}],
    )
    with pytest.raises(SettingsError, match=r"sublattice 'chalcogen' of WSe2 sum to 1\.4; allowed: at most 1"):
        build(settings, 0)


def test_janus_layers_have_their_top_where_the_beam_enters():
    specimen = build(StructureSettings(crystal="WSSe", field_of_view=(30, 30), defects=[]), 0)
    assert counts(specimen.columns).keys() == {"W", "SSe"}
    z = specimen.positions[:, 2]
    assert z[specimen.numbers == 16].max() < z[specimen.numbers == 74].min() < z[specimen.numbers == 34].min()
    turned = build(StructureSettings(crystal="WSeS", field_of_view=(30, 30), defects=[]), 0)
    assert "SeS" in turned.column_classes


def test_alloys_mix_each_sublattice():
    settings = StructureSettings(
        crystal="WSe2",
        field_of_view=(300, 300),
        alloy={"metal": {"Mo": 0.3}, "chalcogen": {"S": "uniform(0.2, 0.25)"}},
        defects=[],
    )
    specimen = build(settings, 1)
    share = specimen.drawn["alloy.chalcogen.S"]
    assert 0.2 <= share <= 0.25
    numbers = np.bincount(specimen.numbers, minlength=100)
    assert numbers[42] / (numbers[42] + numbers[74]) == pytest.approx(0.3, abs=0.02)
    assert numbers[16] / (numbers[16] + numbers[34]) == pytest.approx(share, abs=0.02)
    classes = counts(specimen.columns)
    assert classes.keys() == {"W", "Mo", "Se2", "SSe", "SeS", "S2"}
    assert classes["S2"] / sum(classes[name] for name in ("Se2", "SSe", "SeS", "S2")) == pytest.approx(
        share**2, abs=0.02
    )


def test_one_side_can_be_named():
    settings = StructureSettings(
        crystal="MoS2",
        field_of_view=(60, 60),
        defects=[{"kind": "substitution", "sublattice": "chalcogen_top", "elements": "Se", "probability": 0.5}],
    )
    assert set(build(settings, 0).columns["class"]) == {"Mo", "S2", "SeS"}


def test_chalcogens_take_a_metal_site():
    def with_atoms(atoms):
        return StructureSettings(
            crystal="MoS2",
            field_of_view=(100, 100),
            defects=[{"kind": "antisite", "sublattice": "metal", "probability": 0.1, "atoms": atoms}],
        )

    pairs = build(with_atoms("both"), 3)
    row = pairs.defects.iloc[0]
    assert (row["removed"], row["added"], row["n_atoms"]) == ("Mo", "S2", 2)
    on_metal = pairs.columns[pairs.columns["sublattice"] == "metal"]
    assert set(on_metal["class"]) == {"Mo", "S2"}
    heights = pairs.positions[pairs.atom_columns == row["column"], 2]
    assert sorted(heights) == pytest.approx([0.0, 3.17])
    either = build(with_atoms("either"), 3).columns
    assert set(either[either["sublattice"] == "metal"]["class"]) == {"Mo", "S", "S2"}


@pytest.mark.parametrize("tilt", [0.0, 15.0])
@pytest.mark.parametrize(
    "defect",
    [
        {"kind": "antisite", "sublattice": "metal", "atoms": "either"},
        {"kind": "antisite", "sublattice": "chalcogen", "atoms": "either"},
        {"kind": "substitution", "sublattice": "chalcogen_top", "elements": "S"},
        {"kind": "adatom", "sublattice": "metal", "elements": "Mo"},
        {"kind": "adatom", "place": "random", "elements": "Mo"},
    ],
)
def test_the_height_of_a_defect_is_the_mean_of_its_atoms(defect, tilt):
    settings = StructureSettings(
        crystal="WSe2", field_of_view=(60, 60), tilt=tilt, defects=[{**defect, "probability": 0.2}]
    )
    specimen = build(settings, 4)
    rows = specimen.defects.reset_index()
    atoms = np.flatnonzero(np.isin(specimen.atom_columns, rows["column"]))
    of = rows.set_index("column").loc[specimen.atom_columns[atoms]]
    put = [
        SYMBOLS[number] == added.rstrip("2") for number, added in zip(specimen.numbers[atoms], of["added"], strict=True)
    ]
    heights = pd.Series(specimen.positions[atoms, 2][put]).groupby(of["index"].to_numpy()[put]).mean()
    assert len(heights) == len(rows) > 20
    assert rows["z_angstrom"].to_numpy() == pytest.approx(heights.to_numpy())


def test_the_height_of_a_vacancy_tilts_with_its_column():
    settings = StructureSettings(
        crystal="WSe2",
        field_of_view=(60, 60),
        tilt=15.0,
        displacement=0.0,
        defects=[{"kind": "metal_vacancy", "probability": 0.1}],
    )
    clean, dirty = build(settings.changed(defects=[]), 4), build(settings, 4)
    holes = dirty.defects
    metal = clean.positions[clean.numbers == 74]
    places = holes[["x_angstrom", "y_angstrom"]].to_numpy()
    gap = np.linalg.norm(places[:, None] - metal[:, :2], axis=2)
    assert gap.min(axis=1).max() < 1e-6
    assert holes["z_angstrom"].to_numpy() == pytest.approx(metal[gap.argmin(axis=1), 2])


def test_adatoms_sit_on_sites_or_anywhere():
    settings = StructureSettings(
        crystal="WSe2",
        field_of_view=(100, 100),
        displacement=0.0,
        defects=[
            {"kind": "adatom", "place": "random", "elements": ["Cr"], "probability": 0.05},
            {"kind": "adatom", "sublattice": "metal", "elements": ["Mo"], "probability": 0.05, "height": 1.5},
            {"kind": "vacancy1", "probability": 0.05},
        ],
    )
    specimen = build(settings, 0)
    adatoms = specimen.defects[specimen.defects["class"] == "adatom"]
    assert set(adatoms["added"]) == {"Mo", "Cr"}
    beside = specimen.columns[specimen.columns["sublattice"] == "adatom"]
    assert set(beside["class"]) == {"Cr"}
    assert len(beside) == (adatoms["added"] == "Cr").sum() > 20
    on_top = specimen.columns[specimen.columns["class"] == "MoW"]
    assert len(on_top) == (adatoms["added"] == "Mo").sum() > 20
    z = specimen.positions[:, 2]
    assert set(z[specimen.numbers == 42].round(6)) == {round(1.67 - 1.5, 6)}
    assert set(z[specimen.numbers == 24]) == {-2.0}


def test_atoms_of_one_atom_layers():
    settings = StructureSettings(
        crystal="hBN",
        field_of_view=(100, 100),
        defects=[
            {"kind": "vacancy1", "sublattice": "boron", "probability": 0.1},
            {"kind": "antisite", "sublattice": "nitrogen", "probability": 0.1},
            {"kind": "substitution", "sublattice": "N", "elements": "C", "probability": 0.1},
        ],
    )
    specimen = build(settings, 0)
    said = specimen.defects.groupby("class")[["sublattice", "removed", "added"]].agg(lambda values: sorted(set(values)))
    assert said.loc["vacancy1"].tolist() == [["boron"], ["B"], [""]]
    assert said.loc["antisite"].tolist() == [["nitrogen"], ["N"], ["B"]]
    assert said.loc["substitution"].tolist() == [["nitrogen"], ["N"], ["C"]]


def test_static_displacement_has_the_rms_asked_for():
    settings = StructureSettings(crystal="WSe2", field_of_view=(150, 150), defects=[])
    still = build(settings.changed(displacement=0.0), 9).positions
    moved = build(settings.changed(displacement=0.1), 9).positions
    assert (moved - still).std(axis=0) == pytest.approx([0.1, 0.1, 0.0], rel=0.05)


def test_scale_anisotropy_and_rotation_act_on_the_lattice():
    settings = StructureSettings(crystal="WSe2", field_of_view=(50, 50), rotation=30.0, lattice_scale=1.02, defects=[])
    first, second = build(settings, 0).lattice_vectors
    assert first == pytest.approx(3.282 * 1.02 * np.array([0.5, np.sqrt(3) / 2]))
    assert np.linalg.norm(second) == pytest.approx(3.282 * 1.02)
    stretched = build(settings.changed(lattice_anisotropy=0.1, lattice_scale=1.0), 0).lattice_vectors
    perfect = build(settings.changed(lattice_scale=1.0), 0).lattice_vectors
    assert np.linalg.svd(np.linalg.solve(perfect, stretched))[1] == pytest.approx([1.05, 0.95])


def test_tilt_is_rigid():
    settings = StructureSettings(
        crystal="WSe2",
        field_of_view=(30, 30),
        rotation=10.0,
        random_origin=False,
        displacement=0.0,
        defects=[],
        tilt=20.0,
    )
    specimen = build(settings, 0)
    metal = specimen.positions[specimen.numbers == 74]
    selenium = specimen.positions[specimen.numbers == 34]
    inner = metal[np.abs(metal[:, :2] - 15).max(axis=1) < 10]
    bonds = np.sort(np.linalg.norm(inner[:, None] - selenium, axis=2), axis=1)[:, :6]
    assert bonds == pytest.approx(np.hypot(3.282 / np.sqrt(3), 1.67))
    assert np.ptp(metal[:, 2]) > 5


@pytest.mark.parametrize("coverage", [0.3, 0.8])
@pytest.mark.parametrize("vacuum", ["edge", "hole"])
def test_vacuum_leaves_the_share_of_the_field_asked_for(vacuum, coverage):
    settings = StructureSettings(
        crystal="graphene", field_of_view=(60, 90), margin=12, vacuum=vacuum, coverage=coverage, defects=[]
    )
    full = 2 * 60 * 90 / (2.461**2 * np.sqrt(3) / 2)

    def share(seed):
        places = build(settings, seed).column_positions
        return ((places >= 0) & (places < (60, 90))).all(axis=1).sum() / full

    shares = [share(seed) for seed in range(25)]
    assert np.mean(shares) == pytest.approx(coverage, abs=0.01)
    assert shares == pytest.approx([coverage] * 25, abs=0.03)


@pytest.mark.parametrize("vacuum", ["edge", "hole"])
def test_all_and_nothing_are_left_in_the_margin_too(vacuum):
    settings = StructureSettings(crystal="graphene", field_of_view=(40, 40), vacuum=vacuum, coverage=1.0, defects=[])
    whole = build(settings.changed(vacuum="none"), 3)
    assert np.array_equal(build(settings, 3).numbers, whole.numbers)
    assert len(build(settings.changed(coverage=0.0), 3)) == 0


def test_nothing_left_is_a_specimen_too():
    settings = StructureSettings.preset("wse2", field_of_view=(50, 50), vacuum="edge", coverage=0.0)
    specimen = build(settings, 0)
    assert len(specimen) == 0
    assert len(specimen.columns) == 0
    assert len(specimen.defects) == 0
    assert specimen.elements == ()
    tiny = build(StructureSettings(crystal="WTe2", field_of_view=(1, 1), margin=0), 0)
    assert len(tiny.columns) <= 2


def test_atoms_and_record():
    specimen = build(StructureSettings.preset("wse2", field_of_view=(30, 40)), 2)
    assert len(specimen.atoms) == len(specimen)
    assert specimen.atoms.cell.lengths()[:2] == pytest.approx([40, 30])
    assert specimen.record()["drawn"]["rotation"] == specimen.drawn["rotation"]
    assert specimen.record()["settings"]["crystal"] == "WSe2"
