"""Build a specimen from its settings and a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.distributions import draw
from napari_stemlearn.errors import SettingsError
from napari_stemlearn.settings import bounds_of
from napari_stemlearn.structures.content import MOST_ATOMS_IN_ORDER, classes_by_elements, classes_in_order
from napari_stemlearn.structures.crystals import Crystal, crystal_of
from napari_stemlearn.structures.defects import Lattice, make_defects, needs_spare_slot
from napari_stemlearn.structures.elements import NUMBERS
from napari_stemlearn.structures.lattice import lattice_points
from napari_stemlearn.structures.settings import StructureSettings
from napari_stemlearn.structures.specimen import Specimen

MOST_ATOMS = 20_000_000
"""Specimens that would hold more are refused."""

_STEPS_OF_FIELD = 200  # points along each side of the field of view by which areas in it are measured


def build(settings: StructureSettings, seed: int) -> Specimen:
    """Build a specimen; the same settings and seed give the same one.

    Lattice, mixing, defects and displacements draw from streams of their own, so that other defects, say, leave the
    lattice where it is.

    Parameters
    ----------
    settings
        What to build.
    seed
        Whole number from 0.

    Returns
    -------
    Specimen
        Covers the field of view and the margin around it.

    Raises
    ------
    SettingsError
        If crystal, sublattices, mixture, defects and size do not fit together.
    FormatError
        If the crystal is a CIF file that cannot be read.
    """
    if int(seed) != seed or seed < 0:
        raise SettingsError(f"The seed is {seed}; allowed: whole numbers from 0.")
    crystal = crystal_of(settings.crystal, settings.zone_axis)
    streams = [np.random.Generator(np.random.PCG64(child)) for child in np.random.SeedSequence(int(seed)).spawn(4)]
    geometry, mixing, defect_stream, shaking = streams
    drawn: dict[str, float] = {}

    def value(name: str, rng: np.random.Generator) -> float:
        drawn[name] = draw(getattr(settings, name), rng, *bounds_of(StructureSettings.model_fields[name]))
        return drawn[name]

    plane = _rotation(value("rotation", geometry)) @ _stretch(
        value("lattice_scale", geometry), value("lattice_anisotropy", geometry), geometry
    )
    tilt = _tilt(
        value("tilt", geometry), None if settings.tilt_axis is None else value("tilt_axis", geometry), geometry
    )
    thickness = _thickness(settings, crystal, value, geometry)
    thin = (crystal.is_layer or settings.thickness is None) and crystal.n_slots <= MOST_ATOMS_IN_ORDER

    height, width = settings.field_of_view
    margin = settings.margin
    reach_x, reach_y = (margin + _overhang(tilt, thickness)).tolist()
    low, high = (-reach_x, -reach_y), (width + reach_x, height + reach_y)
    area = (high[0] - low[0]) * (high[1] - low[1])
    _check_size(settings, crystal, thickness, area / abs(float(np.linalg.det(tilt[:2, :2] @ plane))))

    vectors = crystal.vectors @ (tilt[:2, :2] @ plane).T
    shift = geometry.random(2) if settings.random_origin else np.zeros(2)
    origin = shift @ vectors
    spare = needs_spare_slot(settings.defects)
    lattice = _fill(crystal, vectors, origin, low, high, thickness, spare=spare, thin=thin)
    if settings.vacuum != "none":
        _remove_crystal(lattice, settings, value("coverage", geometry), geometry)
    _mix(lattice, crystal, settings, drawn, mixing)
    found, probabilities = make_defects(lattice, crystal, settings.defects, defect_stream, thin=thin, vectors=vectors)
    drawn.update(probabilities)

    present = lattice.numbers > 0
    counts = present.sum(axis=1)
    row = np.repeat(np.arange(len(counts)), counts)
    turn = _Tilt(tilt, _middle(crystal, thickness), (width / 2, height / 2))
    positions = _atom_positions(lattice, crystal, present, row, plane, turn)
    amplitude = value("displacement", shaking)
    if amplitude > 0:
        positions[:, :2] += amplitude * shaking.standard_normal((len(row), 2), dtype=np.float32)

    full = counts > 0
    weight = 1 / np.maximum(counts, 1)
    # y, x of the mean of each column's atoms, and of the lattice site where there is none
    places = np.stack([np.bincount(row, positions[:, axis], len(counts)) * weight for axis in (1, 0)], axis=1)
    places[~full] = lattice.position[~full, ::-1]
    index = np.where(full, np.cumsum(full) - 1, -1)
    names = (*dict.fromkeys(column.name for column in crystal.columns), "adatom")
    sublattice_of_kind = np.array([names.index(column.name) for column in crystal.columns] + [len(names) - 1])
    numbers = lattice.numbers[full]
    # one repeat of a bulk crystal is named as many are: its columns begin anywhere
    in_order = thin and crystal.is_layer
    codes, classes = classes_in_order(numbers) if in_order else classes_by_elements(numbers, crystal.elements)
    rows, defect_names, removed, added, z = found.joined()
    defect_classes = tuple(sorted({*(defect.kind for defect in settings.defects), *defect_names}))
    code_of = {name: code for code, name in enumerate(defect_classes)}
    return Specimen(
        positions=positions,
        numbers=lattice.numbers[present].astype(np.int32),
        atom_columns=index[row],
        column_positions=places[full],
        column_codes=codes,
        column_classes=classes,
        sublattice_codes=sublattice_of_kind[lattice.kind[full]],
        sublattice_names=names,
        column_atoms=counts[full],
        defect_positions=places[rows],
        defect_codes=np.array([code_of[name] for name in defect_names], dtype=np.int64),
        defect_classes=defect_classes,
        defect_columns=index[rows],
        defect_sublattice_codes=sublattice_of_kind[lattice.kind[rows]],
        defect_removed=removed,
        defect_added=added,
        defect_z=turn.heights(lattice.position[rows], z),
        field_of_view=settings.field_of_view,
        margin=margin,
        lattice_vectors=vectors[:, ::-1].copy(),
        lattice_origin=origin[::-1].copy(),
        crystal=crystal,
        settings=settings,
        seed=int(seed),
        drawn=drawn,
    )


def _rotation(degrees: float) -> NDArray[np.float64]:
    """Matrix on (x, y) that turns x towards y."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _stretch(scale: float, anisotropy: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Matrix that scales all, and one random direction by `anisotropy` more than that across it."""
    if anisotropy == 0:
        return scale * np.eye(2)
    turn = _rotation(rng.uniform(0, 180))
    return scale * turn @ np.diag([1 + anisotropy / 2, 1 - anisotropy / 2]) @ turn.T


def _tilt(degrees: float, axis: float | None, rng: np.random.Generator) -> NDArray[np.float64]:
    """Matrix on (x, y, z) that tilts about an axis in the plane (Rodrigues), a random one where none is given."""
    if degrees == 0:
        return np.eye(3)
    angle, direction = np.deg2rad(degrees), rng.uniform(0, 2 * np.pi) if axis is None else np.deg2rad(axis)
    x, y = np.cos(direction), np.sin(direction)
    cross = np.array([[0, 0, y], [0, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _thickness(settings: StructureSettings, crystal: Crystal, value: Any, rng: np.random.Generator) -> float:
    """Thickness of the slab in angstrom; 0 for a layer."""
    if crystal.repeat is None:
        return 0.0
    if settings.thickness is None:
        return crystal.repeat
    return float(value("thickness", rng))


def _middle(crystal: Crystal, thickness: float) -> float:
    """z about which the specimen tilts."""
    return thickness / 2 if crystal.repeat is not None else float(crystal.z_table.max()) / 2


def _overhang(tilt: NDArray[np.float64], thickness: float) -> NDArray[np.float64]:
    """How far (x, y) the ends of tilted columns lie from their middle, in angstrom; 0 for a layer, which is thin."""
    return 0.5 * thickness * np.abs(tilt[:2, 2])


def _check_size(settings: StructureSettings, crystal: Crystal, thickness: float, area: float) -> None:
    """Refuse what would not fit into memory; `area` of the untilted crystal in square angstrom."""
    repeats = 1.0 if crystal.repeat is None else max(thickness / crystal.repeat, 1.0)
    expected = area / crystal.area * len(crystal.slots) * repeats
    if expected > MOST_ATOMS:
        depth = "" if crystal.repeat is None else f", {thickness:g} angstrom thick,"
        raise SettingsError(
            f"A field of view of {settings.field_of_view[0]:g} × {settings.field_of_view[1]:g} angstrom of "
            f"{crystal.name}{depth} would hold about {expected / 1e6:.0f} million atoms; allowed: at most "
            f"{MOST_ATOMS // 1_000_000} million."
        )


def _fill(
    crystal: Crystal,
    vectors: NDArray[np.float64],
    origin: NDArray[np.float64],
    low: tuple[float, float],
    high: tuple[float, float],
    thickness: float,
    *,
    spare: bool,
    thin: bool,
) -> Lattice:
    """Perfect crystal in a rectangle."""
    fractions = np.array([column.position for column in crystal.columns]) @ np.linalg.inv(crystal.vectors)
    cells = [lattice_points(vectors, origin + fraction @ vectors, low, high) for fraction in fractions]
    kind = np.repeat(np.arange(len(cells)), [len(points) for points in cells])
    points = np.concatenate(cells)
    position = (points + fractions[kind]) @ vectors + origin
    slots, numbers, z = crystal.slot_table, crystal.number_table, crystal.z_table
    if crystal.repeat is None:
        slots, numbers, z = slots[kind], numbers[kind], z[kind]
    else:
        slots, numbers, z = _stack(crystal, points, kind, thickness, in_order=thin)
    if spare:
        column = np.zeros((len(kind), 1))
        slots = np.concatenate([(column - 1).astype(slots.dtype), slots], axis=1)
        numbers = np.concatenate([column.astype(numbers.dtype), numbers], axis=1)
        z = np.concatenate([column, z], axis=1)
    return Lattice(position, kind, slots, numbers, z)


def _stack(
    crystal: Crystal, points: NDArray[np.int64], kind: NDArray[np.int64], thickness: float, *, in_order: bool
) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.float64]]:
    """Repeat every column along the beam between 0 and `thickness`."""
    repeat = float(crystal.repeat or 0.0)
    tolerance = 1e-6
    lowest = np.mod(crystal.z_table[kind] + (points @ crystal.heights)[:, None] + tolerance, repeat) - tolerance
    lowest = np.maximum(lowest, 0.0)
    steps = repeat * np.arange(max(int(np.ceil(thickness / repeat - tolerance)), 1))
    n, width = lowest.shape
    z = (lowest[:, None, :] + steps[:, None]).reshape(n, -1)
    shape = (n, len(steps), width)
    slots = np.broadcast_to(crystal.slot_table[kind][:, None, :], shape).reshape(n, -1)
    numbers = np.broadcast_to(crystal.number_table[kind][:, None, :], shape).reshape(n, -1)
    there = (slots >= 0) & (z < thickness - tolerance)
    slots = np.where(there, slots, -1).astype(np.int16)
    numbers = np.where(there, numbers, 0).astype(np.uint8)
    if in_order:
        order = np.argsort(np.where(there, z, np.inf), axis=1, kind="stable")
        slots, numbers, z = (np.take_along_axis(array, order, axis=1) for array in (slots, numbers, z))
    return slots, numbers, z


def _remove_crystal(lattice: Lattice, settings: StructureSettings, coverage: float, rng: np.random.Generator) -> None:
    """Leave vacuum behind a straight edge or in a round hole, so that crystal is on `coverage` of the field of view."""
    size = np.array(settings.field_of_view[::-1])
    shape = settings.vacuum if settings.vacuum != "either" else ("edge", "hole")[int(rng.integers(2))]
    if not len(lattice.kind):
        return
    steps = (np.arange(_STEPS_OF_FIELD) + 0.5) / _STEPS_OF_FIELD
    field = np.stack(np.meshgrid(*np.outer(size, steps)), axis=-1).reshape(-1, 2)
    points = np.concatenate([lattice.position, field])
    if shape == "edge":
        angle = rng.uniform(0, 2 * np.pi)
        from_vacuum = points @ -np.array([np.cos(angle), np.sin(angle)])
    else:
        from_vacuum = np.hypot(*(points - rng.uniform(0, 1, 2) * size).T)
    of_columns, of_field = np.split(from_vacuum, [len(lattice.kind)])
    # all or nothing is meant of the margin too
    limit = np.quantile(of_field, 1 - coverage) if 0 < coverage < 1 else (-np.inf if coverage else np.inf)
    kept = of_columns >= limit
    for name in ("position", "kind", "slots", "numbers", "z"):
        setattr(lattice, name, getattr(lattice, name)[kept])


def _mix(
    lattice: Lattice, crystal: Crystal, settings: StructureSettings, drawn: dict[str, float], rng: np.random.Generator
) -> None:
    """Share sites between elements: the occupancies of a CIF file, then the alloys of the settings."""
    for index, slot in enumerate(crystal.slots):
        if slot.mixture:
            _share(lattice, lattice.slots == index, list(slot.mixture), rng, vacant=True)
    for sublattice, fractions in settings.alloy.items():
        mask = crystal.matches(sublattice)
        shares = []
        for symbol, fraction in fractions.items():
            share = draw(fraction, rng, 0.0, 1.0)
            drawn[f"alloy.{sublattice}.{symbol}"] = share
            shares.append((NUMBERS[symbol], share))
        total = sum(share for _, share in shares)
        if total > 1 + 1e-9:
            # fractions drawn apart may overshoot together: keep their ratios
            shares = [(number, share / total) for number, share in shares]
            for (symbol, _), (_, share) in zip(fractions.items(), shares, strict=True):
                drawn[f"alloy.{sublattice}.{symbol}"] = share
        _share(lattice, (lattice.slots >= 0) & mask[lattice.slots] & (lattice.numbers > 0), shares, rng, vacant=False)


def _share(
    lattice: Lattice,
    sites: NDArray[np.bool_],
    shares: list[tuple[int, float]],
    rng: np.random.Generator,
    *,
    vacant: bool,
) -> None:
    """Draw an element for each site; the rest stays as it is, or is vacant."""
    number = rng.random(int(sites.sum()))
    chosen = np.zeros(len(number), dtype=np.uint8) if vacant else lattice.numbers[sites]
    taken = 0.0
    for element, share in shares:
        chosen[(number >= taken) & (number < taken + share)] = element
        taken += share
    lattice.numbers[sites] = chosen


@dataclass(frozen=True)
class _Tilt:
    """A tilt about a point (x, y) at the height `middle`, of specimens whose columns lie where they cross it."""

    matrix: NDArray[np.float64]
    middle: float
    centre: tuple[float, float]

    @property
    def any(self) -> bool:
        """Whether it turns anything."""
        return bool(self.matrix[2, 2] != 1)

    def heights(self, column: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
        """z after the tilt of what lies at `z` in columns at (x, y), shape (n, 2)."""
        if not self.any:
            return z
        flat = (column - self.centre) @ np.linalg.inv(self.matrix[:2, :2]).T
        return np.asarray(self.middle + flat @ self.matrix[2, :2] + (z - self.middle) * self.matrix[2, 2])

    def shifts(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far (x, y) the tilt moves what lies at `z` from its column, shape (n, 2)."""
        return (z - self.middle)[:, None] * self.matrix[:2, 2]


def _atom_positions(
    lattice: Lattice,
    crystal: Crystal,
    present: NDArray[np.bool_],
    row: NDArray[np.int64],
    plane: NDArray[np.float64],
    tilt: _Tilt,
) -> NDArray[np.float64]:
    """x, y, z of every atom before displacement, shape (n, 3); the tilt turns about the middle of the field of view."""
    positions, z = np.empty((len(row), 3)), lattice.z[present]
    positions[:, :2] = lattice.position[row]
    positions[:, 2] = tilt.heights(positions[:, :2], z)
    if tilt.any:
        positions[:, :2] += tilt.shifts(z)
    if crystal.has_offsets:
        offsets = np.array([*(slot.offset for slot in crystal.slots), (0.0, 0.0)]) @ (tilt.matrix[:2, :2] @ plane).T
        positions[:, :2] += offsets[lattice.slots[present]]
    return positions
