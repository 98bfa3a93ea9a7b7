"""The specimen: every atom, every column, every defect."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.structures.content import content_text

if TYPE_CHECKING:
    import pandas as pd
    from ase import Atoms

    from napari_stemlearn.structures.crystals import Crystal
    from napari_stemlearn.structures.settings import StructureSettings


@dataclass(frozen=True, eq=False)
class Specimen:
    """Atoms under the beam with the truth about their columns and defects.

    All positions are in angstrom. (0, 0) is the centre of the first pixel; the margin around the field of view has
    negative and larger positions. The beam goes towards larger z.

    Parameters
    ----------
    positions
        x, y, z of every atom, shape (n, 3).
    numbers
        Atomic numbers, shape (n,).
    atom_columns
        Index of the column that each atom belongs to, shape (n,).
    column_positions
        y, x of every column that holds an atom: the mean of its atoms, shape (m, 2).
    column_codes
        Index into `column_classes`, shape (m,).
    column_classes
        Chemical contents: from top to bottom in layers (``Se2``, ``SSe``), which elements in bulk crystals (``TiO``).
    sublattice_codes
        Index into `sublattice_names`, shape (m,).
    sublattice_names
        Names of the crystal's columns, and ``adatom`` for atoms beside the lattice.
    column_atoms
        Number of atoms of each column, shape (m,).
    defect_positions
        y, x of every defect: its column's position, the lattice site where the column is empty, shape (k, 2). What
        happened to several atoms of one column is one defect, if it is of one class.
    defect_codes
        Index into `defect_classes`, shape (k,).
    defect_classes
        Names of the kinds of defects that the settings allow.
    defect_columns
        Index of the column, -1 where it is empty, shape (k,).
    defect_sublattice_codes
        As for columns, shape (k,).
    defect_removed, defect_added
        Atomic numbers that were taken from and put on the site, zeros elsewhere, shape (k, s).
    defect_z
        z of the changed atoms (mean), shape (k,).
    field_of_view
        Height and width.
    margin
        What the specimen covers beyond it on all sides.
    lattice_vectors
        The two vectors of the projected lattice as rows (y, x), strained, rotated and tilted, shape (2, 2).
    lattice_origin
        y, x of the lattice point (0, 0).
    crystal
        The crystal with its sublattices.
    settings
        From which it was built.
    seed
        Of its random numbers.
    drawn
        Values drawn from the distributions.
    """

    positions: NDArray[np.float64]
    numbers: NDArray[np.int32]
    atom_columns: NDArray[np.int64]
    column_positions: NDArray[np.float64]
    column_codes: NDArray[np.int64]
    column_classes: tuple[str, ...]
    sublattice_codes: NDArray[np.int64]
    sublattice_names: tuple[str, ...]
    column_atoms: NDArray[np.int64]
    defect_positions: NDArray[np.float64]
    defect_codes: NDArray[np.int64]
    defect_classes: tuple[str, ...]
    defect_columns: NDArray[np.int64]
    defect_sublattice_codes: NDArray[np.int64]
    defect_removed: NDArray[np.uint8]
    defect_added: NDArray[np.uint8]
    defect_z: NDArray[np.float64]
    field_of_view: tuple[float, float]
    margin: float
    lattice_vectors: NDArray[np.float64]
    lattice_origin: NDArray[np.float64]
    crystal: Crystal
    settings: StructureSettings
    seed: int
    drawn: dict[str, float]

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def thickness(self) -> float:
        """Extent of the atoms along the beam in angstrom; 0 without atoms."""
        return float(np.ptp(self.positions[:, 2])) if len(self) else 0.0

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that occur, ascending."""
        return tuple(int(number) for number in np.flatnonzero(np.bincount(self.numbers, minlength=1)))

    @cached_property
    def column_class(self) -> NDArray[Any]:
        """Class of each column as text, shape (m,)."""
        return _named(self.column_classes, self.column_codes)

    @cached_property
    def defect_class(self) -> NDArray[Any]:
        """Class of each defect as text, shape (k,)."""
        return _named(self.defect_classes, self.defect_codes)

    @cached_property
    def columns(self) -> pd.DataFrame:
        """Every column that holds an atom, in the margin too.

        Columns ``y_angstrom, x_angstrom, class, sublattice, n_atoms, defect``; the last names the column's defect, or
        is empty. Thick columns may hold defects of several classes: ``substitution+vacancy1``.
        """
        import pandas as pd

        defect = np.full(len(self.column_codes), "", dtype=object)
        for name in sorted(set(self.defect_class)):
            rows = self.defect_columns[(self.defect_class == name) & (self.defect_columns >= 0)]
            defect[rows] = np.where(defect[rows] == "", "", defect[rows] + "+") + name
        return pd.DataFrame(
            {
                "y_angstrom": self.column_positions[:, 0],
                "x_angstrom": self.column_positions[:, 1],
                "class": self.column_class,
                "sublattice": _named(self.sublattice_names, self.sublattice_codes),
                "n_atoms": self.column_atoms,
                "defect": defect,
            }
        )

    @cached_property
    def defects(self) -> pd.DataFrame:
        """Every defect, in the margin too.

        Columns ``y_angstrom, x_angstrom, class, sublattice, removed, added, n_atoms, z_angstrom, column``: elements
        taken and put (``Se2``, ``W``), how many atoms are concerned, and the row of `columns` (-1 where the column is
        empty). A column has one row for each class, also where several of its atoms are concerned.
        """
        import pandas as pd

        changed = np.maximum((self.defect_removed > 0).sum(axis=1), (self.defect_added > 0).sum(axis=1))
        return pd.DataFrame(
            {
                "y_angstrom": self.defect_positions[:, 0],
                "x_angstrom": self.defect_positions[:, 1],
                "class": self.defect_class,
                "sublattice": _named(self.sublattice_names, self.defect_sublattice_codes),
                "removed": _contents(self.defect_removed),
                "added": _contents(self.defect_added),
                "n_atoms": changed.astype(np.int64),
                "z_angstrom": self.defect_z,
                "column": self.defect_columns,
            }
        )

    @cached_property
    def atoms(self) -> Atoms:
        """The atoms as ase object (not periodic); its cell is the field of view and the thickness."""
        from ase import Atoms

        height, width = self.field_of_view
        return Atoms(
            numbers=self.numbers, positions=self.positions, cell=[width, height, max(self.thickness, 1.0)], pbc=False
        )

    def record(self) -> dict[str, Any]:
        """Plain values for provenance."""
        return {
            "crystal": self.crystal.name,
            "zone_axis": list(self.crystal.zone_axis),
            "settings": self.settings.record(),
            "seed": self.seed,
            "drawn": dict(self.drawn),
            "n_atoms": len(self),
        }


def _named(names: tuple[str, ...], codes: NDArray[np.int64]) -> NDArray[Any]:
    """Names of codes; works without names too."""
    return np.array([*names, ""], dtype=object)[codes]


def _contents(numbers: NDArray[np.uint8]) -> NDArray[Any]:
    """Text of each row of atomic numbers."""
    known: dict[bytes, str] = {}
    found = np.empty(len(numbers), dtype=object)
    for row, values in enumerate(numbers):
        key = values.tobytes()
        if key not in known:
            known[key] = content_text(values)
        found[row] = known[key]
    return found
