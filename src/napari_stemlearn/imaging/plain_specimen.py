"""What a specimen must have to be imaged, and the plainest one."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class SpecimenLike(Protocol):
    """What is imaged, in angstrom: atoms as x, y, z, atomic numbers and columns, and sites as (y, x) and classes.

    The tables `columns` and `defects` have the same rows as the arrays; they are only read when a table is asked for.
    `margin` is how far (angstrom) the specimen goes on beyond the field of view, so that there is no empty rim.
    """

    @property
    def positions(self) -> NDArray[np.float64]: ...
    @property
    def numbers(self) -> NDArray[Any]: ...
    @property
    def atom_columns(self) -> NDArray[np.int64]: ...
    @property
    def column_positions(self) -> NDArray[np.float64]: ...
    @property
    def column_class(self) -> NDArray[Any]: ...
    @property
    def defect_positions(self) -> NDArray[np.float64]: ...
    @property
    def defect_class(self) -> NDArray[Any]: ...
    @property
    def margin(self) -> float: ...
    @property
    def columns(self) -> pd.DataFrame: ...
    @property
    def defects(self) -> pd.DataFrame: ...


@dataclass(frozen=True, eq=False)
class PlainSpecimen:
    """Atoms without a crystal: every atom is a column of its own, nothing is a defect, and there is no margin.

    Parameters
    ----------
    positions
        x, y, z in angstrom, shape (n, 3); the centre of the first pixel is (0, 0).
    numbers
        Atomic numbers, shape (n,).
    """

    positions: NDArray[np.float64]
    numbers: NDArray[Any]
    defect_positions: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)), init=False)
    defect_class: NDArray[Any] = field(default_factory=lambda: np.zeros(0, dtype=object), init=False)
    margin: float = field(default=0.0, init=False)

    @property
    def atom_columns(self) -> NDArray[np.int64]:
        """The column of every atom, shape (n,)."""
        return np.arange(len(self.numbers))

    @property
    def column_positions(self) -> NDArray[np.float64]:
        """y, x of every atom, shape (n, 2)."""
        return np.asarray(self.positions, dtype=float)[:, 1::-1]

    @cached_property
    def column_class(self) -> NDArray[Any]:
        """Chemical symbols, shape (n,)."""
        from ase.data import chemical_symbols

        return np.array(chemical_symbols, dtype=object)[np.asarray(self.numbers)]

    @property
    def columns(self) -> pd.DataFrame:
        """Every atom with its symbol."""
        return _plain_table(self.column_positions, self.column_class)

    @property
    def defects(self) -> pd.DataFrame:
        """None."""
        return _plain_table(self.defect_positions, self.defect_class)


def _plain_table(positions: NDArray[np.float64], classes: NDArray[Any]) -> pd.DataFrame:
    """Positions (y, x) in angstrom and classes as a table."""
    return pd.DataFrame({"y_angstrom": positions[:, 0], "x_angstrom": positions[:, 1], "class": classes})
