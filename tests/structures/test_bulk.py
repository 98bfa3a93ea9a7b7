"""Bulk crystals along a zone axis: the columns, and that the atoms are those of the crystal."""

from __future__ import annotations

import os

import ase.build
import numpy as np
import pytest
from ase.spacegroup import crystal as spacegroup_crystal

from napari_stemlearn.errors import FormatError, SettingsError
from napari_stemlearn.structures import StructureSettings, build, crystal_of
from napari_stemlearn.structures.crystals import _basis_with

PERFECT = {"defects": [], "displacement": 0.0}


def surroundings(specimen, number, reach):
    """Sorted (distance, element) of the atoms around the innermost atom of an element."""
    centre = np.array([*np.array(specimen.field_of_view)[::-1] / 2, specimen.positions[:, 2].mean()])
    mine = specimen.positions[specimen.numbers == number]
    atom = mine[np.argmin(np.linalg.norm(mine - centre, axis=1))]
    distance = np.linalg.norm(specimen.positions - atom, axis=1)
    near = (distance < reach) & (distance > 0.01)
    order = np.lexsort((specimen.numbers[near], distance[near].round(3)))
    return distance[near][order], specimen.numbers[near][order]


def expected_surroundings(atoms, number, reach):
    """The same of a periodic cell, by ase."""
    from ase.neighborlist import neighbor_list

    first, second, distance = neighbor_list("ijd", atoms, reach)
    mine = first == np.flatnonzero(atoms.numbers == number)[0]
    order = np.lexsort((atoms.numbers[second[mine]], distance[mine].round(3)))
    return distance[mine][order], atoms.numbers[second[mine]][order]


def perovskite(a=3.905):
    scaled = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return ase.Atoms("SrTiO3", scaled_positions=scaled, cell=[a, a, a], pbc=True)


def rutile():
    return spacegroup_crystal(
        ["Ti", "O"], [(0, 0, 0), (0.3053, 0.3053, 0)], spacegroup=136, cellpar=[4.594, 4.594, 2.959, 90, 90, 90]
    )


def monoclinic():
    cellpar = [5.15, 5.21, 5.32, 90, 99.2, 90]
    basis = [(0.275, 0.040, 0.208), (0.070, 0.332, 0.345), (0.450, 0.757, 0.479)]
    return spacegroup_crystal(["Zr", "O", "O"], basis, spacegroup=14, cellpar=cellpar)


@pytest.mark.parametrize(
    ("name", "zone_axis", "atoms", "number"),
    [
        ("SrTiO3", (1, 0, 0), perovskite(), 38),
        ("SrTiO3", (1, 1, 0), perovskite(), 22),
        ("SrTiO3", (2, -1, 3), perovskite(), 38),
        ("Si", (1, 1, 0), ase.build.bulk("Si", "diamond", a=5.431), 14),
        ("GaAs", (1, 1, 0), ase.build.bulk("GaAs", "zincblende", a=5.653), 33),
        ("CdTe", (1, 1, 1), ase.build.bulk("CdTe", "zincblende", a=6.481), 48),
        ("Au", (1, 0, 0), ase.build.bulk("Au", "fcc", a=4.078), 79),
        ("Au", (1, 1, 0), ase.build.bulk("Au", "fcc", a=4.078), 79),
        ("Au", (3, 1, -2), ase.build.bulk("Au", "fcc", a=4.078), 79),
        ("Fe", (1, 1, 1), ase.build.bulk("Fe", "bcc", a=2.866), 26),
    ],
)
def test_presets_have_the_surroundings_of_their_crystal(name, zone_axis, atoms, number):
    settings = StructureSettings(crystal=name, zone_axis=zone_axis, field_of_view=(30, 30), thickness=30, **PERFECT)
    distance, numbers = surroundings(build(settings, 1), number, 7.0)
    expected_distance, expected_numbers = expected_surroundings(atoms, number, 7.0)
    assert np.array_equal(numbers, expected_numbers)
    assert distance == pytest.approx(expected_distance, abs=1e-6)


@pytest.mark.parametrize("zone_axis", [(0, 0, 1), (1, 0, 0), (1, 1, 0), (1, 0, -1), (2, 1, 3), (0, -2, 4)])
@pytest.mark.parametrize(("make", "number"), [(rutile, 22), (monoclinic, 40)])
def test_cif_files_along_any_zone_axis(tmp_path, make, number, zone_axis):
    atoms = make()
    atoms.write(tmp_path / "crystal.cif")
    settings = StructureSettings(
        crystal=str(tmp_path / "crystal.cif"), zone_axis=zone_axis, field_of_view=(32, 32), thickness=32, **PERFECT
    )
    specimen = build(settings, 3)
    distance, numbers = surroundings(specimen, number, 6.0)
    expected_distance, expected_numbers = expected_surroundings(atoms, number, 6.0)
    assert np.array_equal(numbers, expected_numbers)
    # columns of nearly overlapping atoms keep their places too; the file holds four decimals
    assert distance == pytest.approx(expected_distance, abs=2e-3)
    along = specimen.crystal.repeat
    index = np.array(zone_axis) // np.gcd.reduce(zone_axis)
    assert np.linalg.norm(index @ atoms.cell.array) / along == pytest.approx(
        round(np.linalg.norm(index @ atoms.cell.array) / along)
    )


@pytest.mark.parametrize(
    ("name", "zone_axis", "expected"),
    [
        ("SrTiO3", (1, 0, 0), {"Sr": 1, "TiO": 1, "O": 2}),
        ("SrTiO3", (1, 1, 0), {"SrO": 1, "Ti": 1, "O": 1}),
        ("Si", (1, 1, 0), {"Si": 2}),
        ("GaAs", (1, 1, 0), {"Ga": 1, "As": 1}),
        ("Au", (1, 0, 0), {"Au": 1}),
        ("Pt", (1, 1, 0), {"Pt": 1}),
        ("MgO", (1, 0, 0), {"MgO": 1}),
    ],
)
def test_columns_of_a_projected_cell(name, zone_axis, expected):
    specimen = build(
        StructureSettings(crystal=name, zone_axis=zone_axis, field_of_view=(90, 90), margin=0, thickness=20, **PERFECT),
        0,
    )
    found = specimen.columns["class"].value_counts()
    cells = 90 * 90 / specimen.crystal.area
    assert set(found.index) == set(expected)
    for content, count in expected.items():
        assert found[content] == pytest.approx(count * cells, rel=0.05)


def test_dumbbells_are_two_columns():
    specimen = build(StructureSettings(crystal="Si", field_of_view=(40, 40), thickness=20, **PERFECT), 0)
    where = specimen.column_positions
    gap = np.linalg.norm(where[:, None] - where, axis=2)
    assert np.median(np.where(gap > 0, gap, np.inf).min(axis=1)) == pytest.approx(5.431 / 4)


def test_thickness_sets_the_atoms_of_a_column():
    specimen = build(
        StructureSettings(crystal="Au", zone_axis=(1, 0, 0), field_of_view=(30, 30), thickness=40.78, **PERFECT), 0
    )
    assert set(specimen.column_atoms) == {10}
    assert 0 <= specimen.positions[:, 2].min() < specimen.positions[:, 2].max() < 40.78
    one = build(
        StructureSettings(crystal="Au", zone_axis=(1, 0, 0), field_of_view=(30, 30), thickness=None, **PERFECT), 0
    )
    assert set(one.column_atoms) == {1}
    drawn = build(StructureSettings(crystal="Au", field_of_view=(30, 30), thickness="uniform(20, 60)", **PERFECT), 5)
    assert 20 <= drawn.drawn["thickness"] <= 60


def test_defects_count_per_atom():
    settings = StructureSettings(
        crystal="GaAs",
        field_of_view=(60, 60),
        thickness=60,
        defects=[
            {"kind": "vacancy1", "sublattice": "Ga", "probability": 0.1},
            {"kind": "antisite", "sublattice": "As", "probability": 0.05},
            {"kind": "substitution", "sublattice": "all", "elements": "In", "probability": 0.02},
        ],
    )
    clean, dirty = build(settings.changed(defects=[]), 1), build(settings, 1)
    gallium = (clean.numbers == 31).sum()
    found = dirty.defects.groupby("class")["n_atoms"].sum()
    assert found["vacancy1"] == pytest.approx(0.1 * gallium, rel=0.15)
    assert found["antisite"] == pytest.approx(0.05 * gallium, rel=0.2)
    assert found["substitution"] == pytest.approx(0.02 * 2 * gallium, rel=0.2)
    assert len(clean) - len(dirty) == found["vacancy1"]
    assert (dirty.numbers == 49).sum() == found["substitution"]
    antisites = dirty.defects[dirty.defects["class"] == "antisite"]
    assert antisites[["removed", "added"]].drop_duplicates().sort_values("removed").to_numpy().tolist()[:2] == [
        ["As", "Ga"],
        ["As2", "Ga2"],
    ]
    assert dirty.defects["z_angstrom"].between(0, 60).all()


def test_a_thick_column_has_one_row_for_each_class():
    # what the image shows at one place can be found once only
    settings = StructureSettings(
        crystal="GaAs",
        field_of_view=(40, 40),
        thickness=80,
        displacement=0.0,
        defects=[
            {"kind": "vacancy1", "probability": 0.1},
            {"kind": "substitution", "elements": ["In"], "probability": 0.03},
            {"kind": "substitution", "elements": ["P"], "probability": 0.03},
        ],
    )
    specimen, clean = build(settings, 1), build(settings.changed(defects=[]), 1)
    defects, columns = specimen.defects, specimen.columns
    assert not defects.duplicated(["column", "class"]).any()
    assert not defects.duplicated(["y_angstrom", "x_angstrom", "class"]).any()
    assert (defects["n_atoms"] > 1).any()
    missing = defects[defects["class"] == "vacancy1"].set_index("column")["n_atoms"]
    assert (missing == (clean.columns["n_atoms"] - columns["n_atoms"])[missing.index]).all()
    placed = np.bincount(specimen.atom_columns[np.isin(specimen.numbers, (49, 15))], minlength=len(columns))
    other = defects[defects["class"] == "substitution"].set_index("column")
    assert (other["n_atoms"] == placed[other.index]).all()
    both = other.index.intersection(missing.index)
    assert set(columns["defect"][both]) == {"substitution+vacancy1"}
    assert set(other["added"]) >= {"In", "P", "InP"}


def test_shared_sites_of_a_file(tmp_path):
    (tmp_path / "shared.cif").write_text(
        "data_shared\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n_cell_angle_alpha 90\n_cell_angle_beta 90\n"
        "_cell_angle_gamma 90\n_space_group_name_H-M_alt 'P 1'\nloop_\n_atom_site_label\n_atom_site_type_symbol\n"
        "_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n_atom_site_occupancy\n"
        "Au1 Au 0 0 0 0.6\nCu1 Cu 0 0 0 0.3\nO1 O 0.5 0.5 0.5 1.0\n"
    )
    specimen = build(
        StructureSettings(crystal=str(tmp_path / "shared.cif"), field_of_view=(80, 80), thickness=80, **PERFECT), 0
    )
    numbers = np.bincount(specimen.numbers, minlength=80)
    assert numbers[79] / numbers[8] == pytest.approx(0.6, abs=0.02)
    assert numbers[29] / numbers[8] == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("thickness", [50.0, None])
@pytest.mark.parametrize("shift", [0.0, 7.0], ids=["whole", "across_the_end_of_the_cell"])
def test_a_layer_in_vacuum_from_a_file_is_there_once(tmp_path, thickness, shift):
    layer = ase.build.mx2("MoS2", kind="2H", a=3.16, thickness=3.17, vacuum=8)
    layer.pbc = True
    layer.positions[:, 2] += shift
    layer.wrap()
    layer.write(tmp_path / "layer.cif")
    settings = StructureSettings(
        crystal=str(tmp_path / "layer.cif"),
        field_of_view=(60, 60),
        thickness=thickness,
        defects=[{"kind": "vacancy1", "sublattice": "S", "probability": 0.1}],
    )
    specimen = build(settings, 0)
    assert specimen.crystal.is_layer
    assert set(specimen.columns["class"]) == {"Mo", "S2", "S"}
    assert specimen.positions[:, 2].min() == pytest.approx(0, abs=1e-3)
    assert np.ptp(specimen.positions[:, 2]) == pytest.approx(3.17, abs=1e-3)
    # from the side the layers of the file lie beside each other, with their vacuum between
    assert not crystal_of(settings.crystal, (1, 0, 0)).is_layer


def test_a_janus_layer_from_a_file_can_be_turned_over(tmp_path):
    layer = ase.build.mx2("MoS2", kind="2H", a=3.25, thickness=3.2, vacuum=8)
    layer.symbols = ["Mo", "S", "Se"]
    layer.write(tmp_path / "janus.cif")
    classes = [
        set(build(StructureSettings(crystal=str(tmp_path / "janus.cif"), zone_axis=axis, **PERFECT), 0).column_classes)
        for axis in ((0, 0, 1), (0, 0, -1))
    ]
    # ase puts the second atom at the larger z, where the beam leaves along [0 0 1]
    assert classes == [{"Mo", "SeS"}, {"Mo", "SSe"}]


def test_slabs_of_a_file_are_layers_however_thick(tmp_path):
    slab = ase.build.fcc100("Au", (1, 1, 30), vacuum=6, periodic=True)
    slab.write(tmp_path / "slab.cif")
    specimen = build(StructureSettings(crystal=str(tmp_path / "slab.cif"), field_of_view=(30, 30), **PERFECT), 0)
    assert set(specimen.column_atoms) == {15}
    assert specimen.column_classes == ("Au",)


@pytest.mark.parametrize(("name", "zone_axis"), [("MgO", (1, 0, 0)), ("SrTiO3", (1, 0, 0)), ("GaAs", (1, 1, 1))])
def test_one_repeat_of_a_bulk_crystal_is_named_as_many_are(name, zone_axis):
    settings = StructureSettings(crystal=name, zone_axis=zone_axis, field_of_view=(40, 40), thickness=60, **PERFECT)
    assert build(settings.changed(thickness=None), 0).column_classes == build(settings, 0).column_classes


def test_basis_completion_is_unimodular():
    rng = np.random.default_rng(0)
    for _ in range(300):
        vector = rng.integers(-9, 10, 3)
        if not vector.any():
            continue
        vector //= np.gcd.reduce(vector)
        basis = _basis_with(vector)
        assert np.array_equal(basis[2], vector)
        assert abs(round(np.linalg.det(basis))) == 1


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "cell.cif"
    ase.build.bulk("Au", a=4.0, cubic=True).write(path)
    first = crystal_of(str(path), (1, 0, 0))
    assert crystal_of(str(path), (1, 0, 0)) is first
    ase.build.bulk("Au", a=4.4, cubic=True).write(path)
    os.utime(path, ns=(1, 1))
    assert crystal_of(str(path), (1, 0, 0)).repeat == pytest.approx(4.4)


@pytest.mark.parametrize("text", ["", "not a crystal", "data_x\n_cell_length_a 4\n"])
def test_unreadable_files_say_so(tmp_path, text):
    path = tmp_path / "broken.cif"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"broken\.cif") as caught:
        build(StructureSettings(crystal=str(path)), 0)
    assert "\n" not in str(caught.value)


def test_missing_file_says_so(tmp_path):
    with pytest.raises(FormatError, match=r"gone\.cif does not exist"):
        build(StructureSettings(crystal=str(tmp_path / "gone.cif")), 0)


def test_vacancy2_is_for_thin_columns():
    settings = StructureSettings(crystal="Au", defects=[{"kind": "vacancy2", "probability": 0.1}])
    with pytest.raises(SettingsError, match="use vacancy1"):
        build(settings, 0)


def test_tilted_thick_crystals_have_all_atoms_of_the_field_and_its_margin():
    # columns whose middle lies far outside reach in with one end
    settings = StructureSettings(
        crystal="Au", field_of_view=(40, 40), margin=6, thickness=300, rotation=10, tilt=5, tilt_axis=30, **PERFECT
    )
    specimen = build(settings, 0)
    x, y, _ = specimen.positions.T
    where = [(x > -6) & (x < 46) & (y > low) & (y < high) for low, high in ((-6, 4), (15, 25), (36, 46))]
    where += [(y > -6) & (y < 46) & (x > low) & (x < high) for low, high in ((-6, 4), (15, 25), (36, 46))]
    counts = np.array([mask.sum() for mask in where])
    assert counts == pytest.approx(0.0587 * 10 * 52 * 300, rel=0.02)  # four atoms in 4.08 angstrom cubed


def test_what_a_tilt_adds_counts_in_the_size_of_a_specimen():
    settings = StructureSettings(
        crystal="Au", field_of_view=(600, 600), margin=0, thickness=600, tilt=45, tilt_axis=0, **PERFECT
    )
    with pytest.raises(SettingsError, match="about 31 million atoms; allowed: at most 20 million"):
        build(settings, 0)
