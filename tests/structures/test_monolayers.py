"""Layers: geometry, defects by probability, truth tables, seeds."""

from __future__ import annotations

import numpy as np
import pytest

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
