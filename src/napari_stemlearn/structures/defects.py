"""Point defects put into the columns of a perfect crystal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.distributions import draw
from napari_stemlearn.errors import SettingsError
from napari_stemlearn.structures.crystals import Crystal
from napari_stemlearn.structures.elements import NUMBERS
from napari_stemlearn.structures.settings import DefectSettings

Generator = np.random.Generator


@dataclass
class Lattice:
    """The columns while a specimen is built; every array has a row for each column.

    Parameters
    ----------
    position
        x, y before tilt, displacement; shape (n, 2).
    kind
        Index of the crystal's column, ``len(crystal.columns)`` for adatoms beside the lattice; shape (n,).
    slots
        Index of the crystal's slot, -1 where there is none; shape (n, s).
    numbers
        Atomic number, 0 where there is no atom; shape (n, s).
    z
        Along the beam; shape (n, s).
    """

    position: NDArray[np.float64]
    kind: NDArray[np.int64]
    slots: NDArray[np.int16]
    numbers: NDArray[np.uint8]
    z: NDArray[np.float64]


@dataclass
class Found:
    """The defects that were made, joined from parts."""

    rows: list[NDArray[np.int64]] = field(default_factory=list)
    names: list[NDArray[Any]] = field(default_factory=list)
    removed: list[NDArray[np.uint8]] = field(default_factory=list)
    added: list[NDArray[np.uint8]] = field(default_factory=list)
    z: list[NDArray[np.float64]] = field(default_factory=list)

    def add(
        self,
        rows: NDArray[np.int64],
        names: NDArray[Any],
        removed: NDArray[np.uint8],
        added: NDArray[np.uint8],
        z: NDArray[np.float64],
    ) -> None:
        """Note defects in these rows of the lattice."""
        self.rows.append(rows)
        self.names.append(names)
        self.removed.append(removed)
        self.added.append(added)
        self.z.append(z)

    def joined(
        self,
    ) -> tuple[NDArray[np.int64], list[str], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float64]]:
        """Rows, names, removed, added and z of all, in the order of the rows; each name once for a row.

        What happened to several atoms of a thick column is one defect of the column: z is the mean.
        """
        if not self.rows:
            none = np.zeros((0, 1), dtype=np.uint8)
            return np.zeros(0, dtype=np.int64), [], none, none, np.zeros(0)
        names, codes = np.unique(np.concatenate(self.names).astype(str), return_inverse=True)
        keys, first, group = np.unique(
            np.concatenate(self.rows) * len(names) + codes, return_index=True, return_inverse=True
        )
        width = max(part.shape[1] for part in (*self.removed, *self.added))
        removed, added = (_padded(parts, width) for parts in (self.removed, self.added))
        z = np.concatenate(self.z)
        if len(keys) < len(group):
            removed, added = _gathered(removed, group), _gathered(added, group)
            z = np.bincount(group, z) / np.bincount(group)
        else:
            removed, added, z = removed[first], added[first], z[first]
        return keys // len(names), [str(name) for name in names[keys % len(names)]], removed, added, z


def _padded(parts: list[NDArray[np.uint8]], width: int) -> NDArray[np.uint8]:
    """All rows of atomic numbers, zeros behind the shorter ones."""
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts])


def _gathered(numbers: NDArray[np.uint8], group: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Atomic numbers of each group of rows in one row, heavy elements first, zeros behind them."""
    row, place = np.nonzero(numbers)
    element, of = numbers[row, place], group[row]
    order = np.lexsort((-element.astype(int), of))
    element, of = element[order], of[order]
    rank = np.arange(len(of)) - np.searchsorted(of, of)
    gathered = np.zeros((int(group.max()) + 1, int(rank.max(initial=0)) + 1), dtype=np.uint8)
    gathered[of, rank] = element
    return gathered


def needs_spare_slot(defects: tuple[DefectSettings, ...]) -> bool:
    """Whether some defect may put more atoms into a column than the crystal has."""
    return any(
        (defect.kind == "adatom" and defect.place == "on_site") or (defect.kind == "antisite" and defect.atoms != "one")
        for defect in defects
    )


def sublattice_of(defect: DefectSettings, crystal: Crystal) -> str:
    """Sublattice that a defect means.

    Raises
    ------
    SettingsError
        If a metal vacancy is asked of a crystal without a metal sublattice, or of other atoms than the metal's.
    """
    if defect.sublattice:
        if defect.kind == "metal_vacancy":
            _check_metal(crystal, defect.sublattice)
        return defect.sublattice
    if defect.kind == "metal_vacancy":
        if "metal" not in crystal.sublattices:
            raise SettingsError(
                f"{crystal.name} has no metal sublattice for a metal_vacancy; name one of its sublattices: "
                f"{', '.join(crystal.sublattices)}."
            )
        return "metal"
    return crystal.default_sublattice


def _check_metal(crystal: Crystal, sublattice: str) -> None:
    """Refuse a metal vacancy that would take what is no metal."""
    if "metal" in crystal.sublattices and (crystal.matches(sublattice) & ~_on_metal(crystal)).any():
        raise SettingsError(
            f"A metal_vacancy cannot lie on sublattice '{sublattice}' of {crystal.name}; use vacancy1 there for one "
            "missing atom, vacancy2 for a column of two."
        )


def new_elements(defect: DefectSettings, crystal: Crystal, sublattice: str) -> NDArray[np.uint8]:
    """Atomic numbers that a defect may put on its site.

    Raises
    ------
    SettingsError
        If an antisite names no element and its sublattice tells none.
    """
    if defect.elements:
        return np.array([NUMBERS[symbol] for symbol in defect.elements], dtype=np.uint8)
    taken = crystal.antisites.get(sublattice)
    if taken is None:
        # an element symbol of a layer stands for the sublattice that holds it
        for slot in crystal.slots:
            if sublattice in slot.names and sublattice != "all":
                taken = next((crystal.antisites[name] for name in slot.names if name in crystal.antisites), None)
                break
    if taken is None:
        named = ", ".join(name for name in crystal.sublattices if name in crystal.antisites)
        raise SettingsError(
            f"An antisite on sublattice '{sublattice}' of {crystal.name} has no single other sublattice to take its "
            f"atom from; name {f'a sublattice ({named}), or elements' if named else 'its elements'}."
        )
    return np.array(taken, dtype=np.uint8)


def make_defects(
    lattice: Lattice,
    crystal: Crystal,
    defects: tuple[DefectSettings, ...],
    rng: Generator,
    *,
    thin: bool,
    vectors: NDArray[np.float64],
) -> tuple[Found, dict[str, float]]:
    """Put defects into a lattice, in place.

    Each column of a thin specimen, each atom of a thick one, draws one number that decides about all defects, so that
    they exclude each other and each has its own probability exactly.

    Parameters
    ----------
    lattice
        Changed in place.
    crystal
        Tells the sublattices.
    defects
        What to put in.
    rng
        Random numbers.
    thin
        Whether probabilities count per column (else per atom).
    vectors
        Lattice vectors as rows (x, y) as they lie in the specimen.

    Returns
    -------
    found, drawn
        The defects, and what was drawn: ``defects.0.adatom.probability`` and ``defects.0.adatom.height`` (angstrom),
        numbered as in the settings.

    Raises
    ------
    SettingsError
        If a sublattice is unknown, the probabilities on one sum to more than 1, or a defect does not suit the crystal.
    """
    found = Found()
    drawn: dict[str, float] = {}
    if not defects:
        return found, drawn
    columns_chance = _Chance(len(lattice.kind), rng)
    atoms_chance = None if thin else _Chance(lattice.numbers.shape, rng)
    # atoms beside the lattice come last, for they add columns
    for place, defect in sorted(
        enumerate(defects), key=lambda entry: entry[1].kind == "adatom" and entry[1].place == "random"
    ):
        sublattice = sublattice_of(defect, crystal)
        matching = crystal.matches(sublattice)
        probability = draw(defect.probability, rng, 0.0, 1.0)
        drawn[f"defects.{place}.{defect.kind}.probability"] = probability
        per_column: NDArray[np.bool_] = (crystal.slot_table >= 0) & matching[crystal.slot_table]
        if defect.kind == "adatom":
            eligible = np.append(per_column.any(axis=1), False)[lattice.kind]
            height = draw(defect.height, rng, 0.0, 10.0)
            drawn[f"defects.{place}.{defect.kind}.height"] = height
            _adatoms(lattice, crystal, defect, eligible, probability, height, columns_chance, rng, found, vectors)
            continue
        elements = new_elements(defect, crystal, sublattice) if defect.kind in ("antisite", "substitution") else None
        if atoms_chance is not None:
            if defect.kind == "vacancy2":
                raise SettingsError(
                    f"A vacancy2 needs columns of two atoms, as layers have; {crystal.name} is thicker, use vacancy1."
                )
            sites = (lattice.slots >= 0) & matching[lattice.slots] & (lattice.numbers > 0)
            hit = atoms_chance.hits(sites, probability, crystal.name, sublattice)
            rows, slot = np.nonzero(hit)
            _replace_single(lattice, crystal, defect, rows, slot, elements, rng, found)
            continue
        if defect.kind == "vacancy2":
            if per_column.sum(axis=1).max(initial=0) < 2:
                raise SettingsError(
                    f"A vacancy2 needs columns of two atoms; '{sublattice}' of {crystal.name} has one in each."
                )
            per_column &= per_column.sum(axis=1, keepdims=True) >= 2
        eligible = np.any(per_column, axis=1)[lattice.kind]
        rows = np.flatnonzero(columns_chance.hits(eligible, probability, crystal.name, sublattice))
        _replace_in_columns(lattice, crystal, defect, rows, matching, elements, rng, found)
    return found, drawn


class _Chance:
    """One random number for each place, of which every defect takes its own interval."""

    def __init__(self, shape: int | tuple[int, ...], rng: Generator) -> None:
        self.number = rng.random(shape)
        self.taken = np.zeros(shape)

    def hits(self, eligible: NDArray[np.bool_], probability: float, crystal: str, sublattice: str) -> NDArray[np.bool_]:
        """Mask of the places that get the defect."""
        upper = self.taken + probability * eligible
        if upper.size and upper.max() > 1 + 1e-9:
            raise SettingsError(
                f"The defect probabilities on sublattice '{sublattice}' of {crystal} sum to {upper.max():.3g}; "
                "allowed: at most 1."
            )
        hit = eligible & (self.number >= self.taken) & (self.number < upper)
        self.taken = upper
        return hit


def _class_names(defect: DefectSettings, on_metal: NDArray[np.bool_]) -> NDArray[Any]:
    """Class of each defect; a vacancy on the metal sublattice is a metal vacancy however it was asked for."""
    names = np.full(len(on_metal), defect.kind, dtype=object)
    if defect.kind == "vacancy1":
        names[on_metal] = "metal_vacancy"
    return names


def _on_metal(crystal: Crystal) -> NDArray[np.bool_]:
    return np.array(["metal" in slot.names for slot in crystal.slots])


def _replace_single(
    lattice: Lattice,
    crystal: Crystal,
    defect: DefectSettings,
    rows: NDArray[np.int64],
    slot: NDArray[np.int64],
    elements: NDArray[np.uint8] | None,
    rng: Generator,
    found: Found,
) -> None:
    """Take or replace single atoms of thick columns."""
    removed = lattice.numbers[rows, slot]
    added = np.zeros_like(removed) if elements is None else elements[rng.integers(len(elements), size=len(rows))]
    # an element already there is no defect
    changed = removed != added
    rows, slot, removed, added = rows[changed], slot[changed], removed[changed], added[changed]
    names = _class_names(defect, _on_metal(crystal)[lattice.slots[rows, slot]])
    lattice.numbers[rows, slot] = added
    found.add(rows, names, removed[:, None], added[:, None], lattice.z[rows, slot])


def _replace_in_columns(
    lattice: Lattice,
    crystal: Crystal,
    defect: DefectSettings,
    rows: NDArray[np.int64],
    matching: NDArray[np.bool_],
    elements: NDArray[np.uint8] | None,
    rng: Generator,
    found: Found,
) -> None:
    """Take or replace one or all matching atoms of thin columns."""
    slots, numbers = lattice.slots[rows], lattice.numbers[rows]
    free = (slots >= 0) & matching[slots] & (numbers > 0)
    kept = free.any(axis=1)
    if defect.kind == "vacancy2":
        kept = free.sum(axis=1) >= 2
    if not kept.all():
        rows, slots, numbers, free = rows[kept], slots[kept], numbers[kept], free[kept]
    count = len(rows)
    one = np.zeros_like(free)
    one[np.arange(count), np.argmax(rng.random(free.shape) * free, axis=1)] = True
    if defect.kind == "vacancy2":
        both = np.ones(count, dtype=bool)
    elif elements is None or defect.atoms == "one":
        both = np.zeros(count, dtype=bool)
    elif defect.atoms == "both":
        both = np.ones(count, dtype=bool)
    else:
        both = rng.random(count) < 0.5
    pick = np.where(both[:, None], free, one)
    added = np.zeros_like(numbers)
    if elements is not None:
        chosen = elements[rng.integers(len(elements), size=count)]
        pick &= numbers != chosen[:, None]
        added = np.where(pick, chosen[:, None], 0).astype(np.uint8)
        if defect.kind == "antisite" and defect.atoms != "one":
            _pair_on_metal(lattice, crystal, rows, pick, both, added, chosen)
    changed = pick.any(axis=1)
    rows, pick, numbers, added, slots = rows[changed], pick[changed], numbers[changed], added[changed], slots[changed]
    removed = np.where(pick, numbers, 0).astype(np.uint8)
    concerned = pick | (added > 0)
    lattice.numbers[rows] = np.where(concerned, added, numbers)
    first = slots[np.arange(len(rows)), np.argmax(pick, axis=1)] if len(rows) else np.zeros(0, dtype=np.int16)
    found.add(
        rows,
        _class_names(defect, _on_metal(crystal)[first]),
        removed,
        added,
        (lattice.z[rows] * concerned).sum(axis=1) / concerned.sum(axis=1),
    )


def _pair_on_metal(
    lattice: Lattice,
    crystal: Crystal,
    rows: NDArray[np.int64],
    pick: NDArray[np.bool_],
    both: NDArray[np.bool_],
    added: NDArray[np.uint8],
    chosen: NDArray[np.uint8],
) -> None:
    """Let two chalcogens take the place of one metal atom, at the heights of the chalcogen planes."""
    if crystal.default_sublattice != "chalcogen":
        return
    metal = np.where(lattice.slots[rows] >= 0, _on_metal(crystal)[lattice.slots[rows]], False)
    pair = both & (pick & metal).any(axis=1)
    if not pair.any():
        return
    planes = [slot.z for slot in crystal.slots if "chalcogen" in slot.names]
    added[pair, 0] = chosen[pair]
    place = np.argmax(pick[pair], axis=1)
    lattice.z[rows[pair], 0] = min(planes)
    lattice.z[rows[pair], place] = max(planes)


def _adatoms(
    lattice: Lattice,
    crystal: Crystal,
    defect: DefectSettings,
    eligible: NDArray[np.bool_],
    probability: float,
    height: float,
    chance: _Chance,
    rng: Generator,
    found: Found,
    vectors: NDArray[np.float64],
) -> None:
    """Put atoms on top of columns or anywhere on the crystal."""
    elements = np.array([NUMBERS[symbol] for symbol in defect.elements], dtype=np.uint8)
    width = lattice.numbers.shape[1]
    if defect.place == "on_site":
        rows = np.flatnonzero(chance.hits(eligible, probability, crystal.name, defect.sublattice or "all"))
        rows = rows[lattice.numbers[rows].any(axis=1)]
        added = np.zeros((len(rows), width), dtype=np.uint8)
        added[:, 0] = elements[rng.integers(len(elements), size=len(rows))]
        z = np.where(lattice.numbers[rows] > 0, lattice.z[rows], np.inf).min(axis=1, initial=np.inf) - height
        lattice.numbers[rows, 0] = added[:, 0]
        lattice.z[rows, 0] = z
        found.add(rows, np.full(len(rows), "adatom", dtype=object), np.zeros_like(added), added, z)
        return
    sites = np.flatnonzero(eligible)
    count = int(rng.binomial(len(sites), probability)) if len(sites) else 0
    beside = sites[rng.integers(len(sites), size=count)] if count else np.zeros(0, dtype=np.int64)
    position = lattice.position[beside] + rng.uniform(-0.5, 0.5, (count, 2)) @ vectors
    numbers = np.zeros((count, width), dtype=np.uint8)
    numbers[:, 0] = elements[rng.integers(len(elements), size=count)]
    z = np.zeros((count, width))
    z[:, 0] = -height
    rows = np.arange(len(lattice.kind), len(lattice.kind) + count)
    lattice.position = np.concatenate([lattice.position, position])
    lattice.kind = np.concatenate([lattice.kind, np.full(count, len(crystal.columns))])
    lattice.slots = np.concatenate([lattice.slots, np.full((count, width), -1, dtype=np.int16)])
    lattice.numbers = np.concatenate([lattice.numbers, numbers])
    lattice.z = np.concatenate([lattice.z, z])
    found.add(rows, np.full(count, "adatom", dtype=object), np.zeros_like(numbers), numbers, z[:, 0])
