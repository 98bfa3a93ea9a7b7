"""A crystal seen along a zone axis: a plane lattice of atom columns, each with what repeats along the beam."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.errors import SettingsError
from napari_stemlearn.structures.elements import NUMBERS, symbol_of
from napari_stemlearn.structures.presets import CrystalPreset, is_cif, preset_named

if TYPE_CHECKING:
    from ase import Atoms

COLUMN_DISTANCE = 0.1
"""Atoms whose projections lie closer than this (angstrom) are one column."""

LAYER_GAP = 5.0
"""A cell that is empty for more than this (angstrom) along the beam holds a layer in vacuum: no crystal is so loose."""


@dataclass(frozen=True)
class Slot:
    """A place for an atom in a column.

    Parameters
    ----------
    number
        Atomic number of the perfect crystal's atom.
    offset
        (x, y) from the column, angstrom.
    z
        Along the beam, angstrom; the smallest is where the beam enters.
    names
        Sublattice names and element symbol by which settings can point at it.
    mixture
        Atomic numbers and their probabilities where a CIF file says that the site is shared; empty otherwise. What is
        missing to 1 is a vacant site.
    """

    number: int
    offset: tuple[float, float]
    z: float
    names: tuple[str, ...]
    mixture: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class CrystalColumn:
    """A column of the projected cell: its sublattice name, (x, y) in angstrom, and its slots from top to bottom."""

    name: str
    position: tuple[float, float]
    slots: tuple[Slot, ...]


@dataclass(frozen=True, eq=False)
class Crystal:
    """A crystal seen along a zone axis.

    Parameters
    ----------
    name
        Preset name or file name.
    zone_axis
        In the conventional cell.
    vectors
        The two shortest vectors of the projected lattice as rows (x, y), angstrom, shape (2, 2); the first is along x.
    heights
        How far the crystal's lattice vectors above them rise along the beam, angstrom, shape (2,).
    repeat
        Repeat distance along the beam in angstrom; None for a layer, which is there once.
    columns
        The columns of one projected cell.
    antisites
        Sublattice name to the elements that an antisite takes from the other sublattice.
    elements
        Atomic numbers in the order of the formula.
    default_sublattice
        Where defects go that name none.
    space_group
        As found by spglib, for the record; empty for the layers among the presets.
    """

    name: str
    zone_axis: tuple[int, int, int]
    vectors: NDArray[np.float64]
    heights: NDArray[np.float64]
    repeat: float | None
    columns: tuple[CrystalColumn, ...]
    antisites: dict[str, tuple[int, ...]]
    elements: tuple[int, ...]
    default_sublattice: str
    space_group: str = ""

    @property
    def is_layer(self) -> bool:
        """Whether it is a layer, which is there once."""
        return self.repeat is None

    @cached_property
    def area(self) -> float:
        """Area of the projected cell, square angstrom."""
        return float(abs(np.linalg.det(self.vectors)))

    @cached_property
    def n_slots(self) -> int:
        """Most slots that a column has."""
        return max(len(column.slots) for column in self.columns)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """All slots, in the order of `slot_table`."""
        return tuple(slot for column in self.columns for slot in column.slots)

    @cached_property
    def slot_table(self) -> NDArray[np.int16]:
        """Index into `slots` of slot s of column c, -1 where a column has fewer; shape (c, s)."""
        table = np.full((len(self.columns), self.n_slots), -1, dtype=np.int16)
        index = 0
        for row, column in enumerate(self.columns):
            table[row, : len(column.slots)] = np.arange(index, index + len(column.slots))
            index += len(column.slots)
        return table

    @cached_property
    def number_table(self) -> NDArray[np.uint8]:
        """Atomic numbers, 0 where there is no slot; shape (c, s)."""
        return np.where(self.slot_table >= 0, np.array([s.number for s in self.slots])[self.slot_table], 0).astype(
            np.uint8
        )

    @cached_property
    def z_table(self) -> NDArray[np.float64]:
        """z of each slot; shape (c, s)."""
        return np.array([slot.z for slot in self.slots])[self.slot_table]

    @cached_property
    def offset_table(self) -> NDArray[np.float64]:
        """Offset (x, y) of each slot from its column; shape (c, s, 2)."""
        return np.array([slot.offset for slot in self.slots])[self.slot_table]

    @cached_property
    def has_offsets(self) -> bool:
        """Whether any atom lies beside the line of its column."""
        return bool(np.abs([slot.offset for slot in self.slots]).max() > 1e-6)

    @cached_property
    def sublattices(self) -> tuple[str, ...]:
        """Every name that a setting may use for a sublattice."""
        names = [column.name for column in self.columns]
        names += [name for slot in self.slots for name in slot.names]
        return tuple(dict.fromkeys(names))

    def matches(self, sublattice: str) -> NDArray[np.bool_]:
        """Mask over `slots` of those on a sublattice; ``all`` means every one.

        Raises
        ------
        SettingsError
            Lists the sublattices.
        """
        mask = self._masks.get(sublattice)
        if mask is None:
            raise SettingsError(
                f"{self.name} has no sublattice '{sublattice}'; choose one of {', '.join((*self.sublattices, 'all'))}."
            )
        return mask

    @cached_property
    def _masks(self) -> dict[str, NDArray[np.bool_]]:
        masks = {
            name: np.array([name in (column.name, *slot.names) for column in self.columns for slot in column.slots])
            for name in self.sublattices
        }
        return {"all": np.ones(len(self.slots), dtype=bool), **masks}


def crystal_of(crystal: str, zone_axis: tuple[int, int, int] | None = None) -> Crystal:
    """Find a crystal by preset name or CIF path; the work is done once for each.

    Parameters
    ----------
    crystal
        Name of a preset, or path of a CIF file.
    zone_axis
        Integer [u v w] of the conventional cell; None for the preset's usual one, [0 0 1] for a file.

    Raises
    ------
    SettingsError
        If the name is unknown, or the zone axis does not suit the crystal.
    FormatError
        If the file cannot be read.
    """
    if zone_axis is not None and not any(zone_axis):
        raise SettingsError("The zone axis [0 0 0] is no direction; give three integers that are not all zero.")
    if not is_cif(crystal):
        return _preset_crystal(preset_named(crystal).name, zone_axis)
    path = Path(crystal).expanduser()
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    return _file_crystal(str(path), changed, zone_axis or (0, 0, 1))


@lru_cache(maxsize=256)
def _preset_crystal(name: str, zone_axis: tuple[int, int, int] | None) -> Crystal:
    preset = preset_named(name)
    if preset.layer:
        # from behind, a Janus layer would be another one: the preset with its elements exchanged
        if zone_axis is not None and ((zone_axis[0], zone_axis[1]) != (0, 0) or zone_axis[2] < 0):
            raise SettingsError(
                f"{name} is a single layer and is seen along [0 0 1] only, not {_axis_text(zone_axis)}."
            )
        return _layer(preset)
    atoms, names, antisites = _bulk_cell(preset)
    return project(name, atoms, zone_axis or preset.zone_axes[0], names, antisites=antisites)


@lru_cache(maxsize=64)
def _file_crystal(path: str, changed: int, zone_axis: tuple[int, int, int]) -> Crystal:
    from napari_stemlearn.structures.cif import read_cif

    atoms, mixtures = read_cif(path)
    symbols = list(dict.fromkeys(atoms.get_chemical_symbols()))
    antisites: dict[str, tuple[int, ...]] = {}
    if len(symbols) == 2:
        antisites = {symbols[0]: (NUMBERS[symbols[1]],), symbols[1]: (NUMBERS[symbols[0]],)}
    names: list[tuple[str, ...]] = [(symbol,) for symbol in atoms.get_chemical_symbols()]
    return project(Path(path).name, atoms, zone_axis, names, mixtures=mixtures, antisites=antisites)


def _axis_text(zone_axis: tuple[int, int, int]) -> str:
    return f"[{' '.join(str(index) for index in zone_axis)}]"


def _layer(preset: CrystalPreset) -> Crystal:
    """Build a single layer with ase."""
    from ase.build import graphene, mx2

    a = preset.lattice_constant
    names: list[tuple[str, ...]]
    antisites: dict[str, tuple[int, ...]]
    if preset.family in ("graphene", "hbn"):
        atoms = graphene(formula="C2" if preset.family == "graphene" else "BN", a=a, vacuum=None)
        names = (
            [("carbon_a", "carbon"), ("carbon_b", "carbon")]
            if preset.family == "graphene"
            else [("boron",), ("nitrogen",)]
        )
        groups = [[0], [1]]
        antisites = {} if preset.family == "graphene" else {"boron": (7,), "nitrogen": (5,)}
        default = "all"
    else:
        metal, top, bottom = preset.elements
        up, down = preset.chalcogen_heights
        atoms = mx2(formula=f"{metal}{top}2", kind="2H", a=a, thickness=up + down)
        # ase: metal, then the chalcogen at larger and at smaller z; the beam goes towards larger z, so top is smaller
        atoms.symbols = [metal, bottom, top]
        atoms.positions[:, 2] = [0.0, down, -up]
        atoms = atoms[[0, 2, 1]]
        names = [("metal",), ("chalcogen", "chalcogen_top"), ("chalcogen", "chalcogen_bottom")]
        groups = [[0], [1, 2]]
        antisites = {
            "metal": tuple(dict.fromkeys((NUMBERS[top], NUMBERS[bottom]))),
            "chalcogen": (NUMBERS[metal],),
            "chalcogen_top": (NUMBERS[metal],),
            "chalcogen_bottom": (NUMBERS[metal],),
        }
        default = "chalcogen"
    z = atoms.positions[:, 2] - atoms.positions[:, 2].min()
    columns = tuple(
        CrystalColumn(
            name=names[group[0]][0],
            position=(float(atoms.positions[group[0], 0]), float(atoms.positions[group[0], 1])),
            slots=tuple(
                Slot(
                    int(atoms.numbers[i]),
                    (0.0, 0.0),
                    float(z[i]),
                    tuple(dict.fromkeys((*names[i], symbol_of(int(atoms.numbers[i]))))),
                )
                for i in group
            ),
        )
        for group in groups
    )
    elements = tuple(dict.fromkeys(NUMBERS[symbol] for symbol in preset.elements))
    cell = np.asarray(atoms.cell)[:2, :2].astype(float)
    return Crystal(preset.name, (0, 0, 1), cell, np.zeros(2), None, columns, antisites, elements, default)


def _bulk_cell(preset: CrystalPreset) -> tuple[Atoms, list[tuple[str, ...]], dict[str, tuple[int, ...]]]:
    """Conventional cell of a bulk preset, the names of its sites, and what antisites take."""
    from ase import Atoms
    from ase.build import bulk

    a = preset.lattice_constant
    elements = preset.elements
    names: list[tuple[str, ...]]
    if preset.family == "perovskite":
        scaled = [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
        atoms = Atoms([elements[0], elements[1], "O", "O", "O"], scaled_positions=scaled, cell=[a, a, a], pbc=True)
        names = [("a_site", elements[0]), ("b_site", elements[1]), *[("oxygen", "O")] * 3]
        first, second = NUMBERS[elements[0]], NUMBERS[elements[1]]
        return atoms, names, {"a_site": (second,), "b_site": (first,), elements[0]: (second,), elements[1]: (first,)}
    formula = elements[0] if len(elements) == 1 else "".join(elements)
    atoms = bulk(formula, preset.family, a=a, cubic=True)
    names = [(symbol,) for symbol in atoms.get_chemical_symbols()]
    if len(elements) == 1:
        return atoms, names, {}
    return atoms, names, {elements[0]: (NUMBERS[elements[1]],), elements[1]: (NUMBERS[elements[0]],)}


def project(
    name: str,
    atoms: Atoms,
    zone_axis: tuple[int, int, int],
    names: list[tuple[str, ...]],
    *,
    mixtures: list[tuple[tuple[int, float], ...]] | None = None,
    antisites: dict[str, tuple[int, ...]] | None = None,
) -> Crystal:
    """Project a crystal along a zone axis; a cell with vacuum along the beam (`LAYER_GAP`) becomes a layer.

    The cell is reduced to a primitive one (spglib). A basis of its lattice is then sought whose third vector is the
    repeat along the zone axis; the projections of the other two span the lattice of columns, and their heights tell by
    how much neighbouring columns are shifted along the beam.

    Parameters
    ----------
    name
        For messages and the record.
    atoms
        Periodic cell.
    zone_axis
        Integer [u v w] in that cell.
    names
        Names of each atom's sublattice.
    mixtures
        Shared occupancy of each atom's site, as in `Slot`.
    antisites
        As in `Crystal`.
    """
    mixtures = mixtures or [()] * len(atoms)
    kinds: dict[Any, int] = {}
    ids = [kinds.setdefault((int(n), names[i], mixtures[i]), len(kinds)) for i, n in enumerate(atoms.numbers)]
    what = list(kinds)
    conventional = np.asarray(atoms.cell, dtype=float)
    cell, scaled, ids, space_group = _primitive(conventional, atoms.get_scaled_positions(), ids)

    along = np.rint(np.asarray(zone_axis) @ conventional @ np.linalg.inv(cell)).astype(int)
    along //= gcd(*(int(index) for index in along))
    basis = _basis_with(along) @ cell
    beam = basis[2] / np.linalg.norm(basis[2])
    first, second = _shortest(basis[0], basis[1], beam)
    x_axis = first - (first @ beam) * beam
    x_axis /= np.linalg.norm(x_axis)
    y_axis = np.cross(beam, x_axis)
    frame = np.stack([x_axis, y_axis, beam], axis=1)
    vectors = np.stack([first, second]) @ frame
    repeat = float(np.linalg.norm(basis[2]))
    positions = scaled @ cell @ frame

    columns = _columns(positions, vectors, repeat, ids, what)
    heights = vectors[:, 2].copy()
    top = _top_of_layer(columns, heights, repeat)
    if top is not None:
        columns = tuple(_with_top(column, top, repeat) for column in columns)
    return Crystal(
        name,
        (int(zone_axis[0]), int(zone_axis[1]), int(zone_axis[2])),
        vectors[:, :2].copy(),
        heights if top is None else np.zeros(2),
        repeat if top is None else None,
        columns,
        antisites or {},
        tuple(dict.fromkeys(number for kind in what for number in (kind[0], *(other for other, _ in kind[2])))),
        "all",
        space_group,
    )


def _top_of_layer(columns: tuple[CrystalColumn, ...], heights: NDArray[np.float64], repeat: float) -> float | None:
    """z at which the atoms begin behind vacuum, in angstrom; None for a bulk crystal."""
    # neighbouring columns that are shifted along the beam leave no plane of vacuum across it
    if np.abs(heights - repeat * np.rint(heights / repeat)).max() > COLUMN_DISTANCE:
        return None
    z = np.sort([slot.z for column in columns for slot in column.slots])
    gaps = z - np.roll(z, 1)
    gaps[0] += repeat
    widest = int(np.argmax(gaps))
    return float(z[widest]) if gaps[widest] > LAYER_GAP else None


def _with_top(column: CrystalColumn, top: float, repeat: float) -> CrystalColumn:
    """The column with z from the topmost atom of its layer."""
    tolerance = 1e-6
    heights = [max(float(np.mod(slot.z - top + tolerance, repeat)) - tolerance, 0.0) for slot in column.slots]
    slots = [replace(slot, z=z) for slot, z in zip(column.slots, heights, strict=True)]
    return replace(column, slots=tuple(sorted(slots, key=lambda slot: slot.z)))


def _primitive(
    cell: NDArray[np.float64], scaled: NDArray[np.float64], ids: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[int], str]:
    """Primitive cell in the same orientation, and the space group."""
    import spglib

    whole: Any = (cell, scaled, ids)
    try:
        space_group = spglib.get_spacegroup(whole, symprec=1e-3) or ""
        found = spglib.standardize_cell(whole, to_primitive=True, no_idealize=True, symprec=1e-3)
    except spglib.SpglibError:
        space_group, found = "", None
    if found is None:
        # a larger cell gives the same columns, only with a longer list
        return cell, scaled, ids, space_group
    return np.asarray(found[0]), np.asarray(found[1]), [int(kind) for kind in found[2]], space_group


def _basis_with(vector: NDArray[np.int64]) -> NDArray[np.int64]:
    """Integer basis of the same lattice (determinant 1 or -1) whose third row is `vector`, which has no common factor.

    Euclid's algorithm on the components: whenever a multiple of one component is taken off another, the basis vector of
    the first takes up the multiple of the second's, so that their sum stays `vector`.
    """
    basis = np.eye(3, dtype=int)
    left = [int(index) for index in vector]
    while sum(index != 0 for index in left) > 1:
        small = min((i for i in range(3) if left[i]), key=lambda i: abs(left[i]))
        for i in range(3):
            if i != small and left[i]:
                times = left[i] // left[small]
                left[i] -= times * left[small]
                basis[small] += times * basis[i]
    last = next(i for i in range(3) if left[i])
    order = [i for i in range(3) if i != last] + [last]
    basis = basis[order]
    basis[2] *= left[last]
    return basis


def _shortest(
    first: NDArray[np.float64], second: NDArray[np.float64], beam: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two lattice vectors with the shortest projections (Lagrange and Gauss), right-handed about the beam."""

    def flat(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        return vector - (vector @ beam) * beam

    while True:
        if flat(first) @ flat(first) > flat(second) @ flat(second) + 1e-9:
            first, second = second, first
        times = np.rint(flat(first) @ flat(second) / (flat(first) @ flat(first)) - 1e-9)
        if times == 0:
            break
        second = second - times * first
    if np.cross(first, second) @ beam < 0:
        second = -second
    return first, second


def _columns(
    positions: NDArray[np.float64],
    vectors: NDArray[np.float64],
    repeat: float,
    ids: list[int],
    what: list[Any],
) -> tuple[CrystalColumn, ...]:
    """Group the atoms of a cell by their projected positions."""
    lattice, rise = vectors[:, :2], vectors[:, 2]
    inverse = np.linalg.inv(lattice)
    fractions = positions[:, :2] @ inverse
    groups: list[list[int]] = []
    cells = -np.floor(fractions + 1e-6).astype(int)
    placed = fractions + cells
    for i in range(len(positions)):
        home = None
        for group in groups:
            apart = placed[i] - placed[group[0]]
            near = np.rint(apart)
            if np.linalg.norm((apart - near) @ lattice) < COLUMN_DISTANCE:
                home = group
                placed[i] -= near
                cells[i] -= near.astype(int)
                break
        if home is None:
            groups.append([i])
        else:
            home.append(i)
    plane = placed @ lattice
    z = np.mod(positions[:, 2] + cells @ rise + 1e-6, repeat) - 1e-6

    columns = []
    for group in groups:
        centre = plane[group].mean(axis=0)
        group.sort(key=lambda i: (round(float(z[i]), 6), ids[i]))
        slots = []
        for i in group:
            number, names, mixture = what[ids[i]]
            symbols = [symbol_of(other) for other, _ in mixture] or [symbol_of(number)]
            offset = plane[i] - centre
            slots.append(
                Slot(
                    number,
                    (float(offset[0]), float(offset[1])),
                    max(float(z[i]), 0.0),
                    tuple(dict.fromkeys((*names, *symbols))),
                    mixture,
                )
            )
        content = sorted({ids[i] for i in group})
        name = "".join(dict.fromkeys(symbol_of(what[kind][0]) for kind in content))
        columns.append(CrystalColumn(name, (float(centre[0]), float(centre[1])), tuple(slots)))
    return tuple(columns)
