"""Crystals from CIF files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_stemlearn.errors import FormatError
from napari_stemlearn.structures.elements import NUMBERS

if TYPE_CHECKING:
    from ase import Atoms

Mixture = tuple[tuple[int, float], ...]


def read_cif(path: str | Path) -> tuple[Atoms, list[Mixture]]:
    """Read the first crystal of a CIF file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    atoms, mixtures
        The conventional cell, and for each of its atoms the (atomic number, occupancy) pairs of a shared or partly
        vacant site; empty where one element fills it.

    Raises
    ------
    FormatError
        If the file is missing, unreadable, holds no cell or no atoms, or an element beyond Lr.
    """
    import ase.io

    path = Path(path).expanduser()
    if not path.is_file():
        raise FormatError(f"The CIF file {path} does not exist.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms = ase.io.read(path, index=0, format="cif", fractional_occupancies=True)
    except Exception as error:
        # ase's parser raises whatever it stumbles over, from IndexError to StopIteration
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(f"The file {path} cannot be read as CIF: {cause.rstrip('.')}.") from error
    if isinstance(atoms, list) or not len(atoms):
        raise FormatError(f"The CIF file {path} holds no atoms.")
    if atoms.cell.rank < 3 or abs(np.linalg.det(atoms.cell)) < 1e-3:
        raise FormatError(f"The CIF file {path} holds no unit cell with three axes.")
    if int(atoms.numbers.max()) > len(NUMBERS) or int(atoms.numbers.min()) < 1:
        raise FormatError(f"The CIF file {path} holds an element that is none of H to Lr.")
    return atoms, _mixtures(atoms)


def _mixtures(atoms: Atoms) -> list[Mixture]:
    """Occupancies of each atom's site where it is not one full element."""
    occupancy = atoms.info.get("occupancy")
    kinds = atoms.arrays.get("spacegroup_kinds")
    if not occupancy or kinds is None:
        return [() for _ in range(len(atoms))]
    found: list[Mixture] = []
    for kind in kinds:
        shares = occupancy.get(str(int(kind)), {})
        full = len(shares) == 1 and abs(next(iter(shares.values())) - 1) < 1e-6
        found.append(() if full else tuple((NUMBERS[symbol], float(share)) for symbol, share in shares.items()))
    return found
