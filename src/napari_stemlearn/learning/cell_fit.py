"""What the mean cell of a frame tells of the microscope: contrast of the elements, blur, aberrations.

A maximum of the posterior: settings that are drawn are fitted, and how they are drawn is what was known before.
Settings that are numbers stay. The model of the cell is that of the simulations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from napari_stemlearn.learning.cell_model import CellModel
from napari_stemlearn.learning.mean_cell import MeanCell

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

MODEL_ERROR = 0.02
"""What the model is trusted to, as a part of the strongest reflection: trusted more, it takes carbon and bent scans for
aberrations."""

STARTS = (0.0, -1.0)
"""Contrast in standard deviations where fits begin, for light and heavy may change places."""

CLEARLY = 2.0
"""The other orientation is ruled out where its cost is larger by this factor."""

_STEP = 1e-3
_ALIKE = 1e-2


@dataclass(frozen=True)
class CellFit:
    """Settings that explain a mean cell.

    Parameters
    ----------
    probe, adf
        A value for each setting that is drawn: the fitted one, else the mean.
    scan
        The fitted jitter of the lines, if it is drawn.
    half_turn
        Whether the crystal lies turned by 180 degree from how its spots were matched.
    misfit
        What is not explained, as a part of the root of the sum of squares.
    error
        The like for the standard errors of the cell.
    decided
        Whether the orientation was known (see `orientation`).
    """

    probe: dict[str, float]
    adf: dict[str, float]
    scan: dict[str, float]
    half_turn: bool
    misfit: float
    error: float
    decided: bool


def orientation(cell: MeanCell, model: CellModel) -> bool | None:
    """Tell whether a crystal lies turned by 180 degree from how its spots were matched.

    Aberrations of many orders explain either orientation nearly as well; what is looked at here is what an eye sees,
    which columns are the bright ones. So the cell is taken from the lowest reflections and the model with a
    plain probe (see `CellModel`).

    Parameters
    ----------
    cell
        Of the lowest reflections.
    model
        Of the same reflections.

    Returns
    -------
    bool or None
        None where both explain the cell, within a factor of `CLEARLY`; False for a crystal that is the same again
        after half a turn.
    """
    fitting = _Fitting(cell, model)
    if fitting.same_after_half_turn():
        return False
    costs = [float(fitting.best(half_turn).cost) for half_turn in (False, True)]
    half_turn = costs[1] < costs[0]
    return half_turn if max(costs) > CLEARLY * min(costs) else None


def fit_cell(cell: MeanCell, model: CellModel, half_turn: bool | None) -> CellFit:
    """Fit the settings of a microscope to a measured mean cell.

    Parameters
    ----------
    cell
        The measured one.
    model
        What it is fitted with.
    half_turn
        The orientation (see `orientation`); where it is None, both are tried and the better one is taken.
    """
    fitting = _Fitting(cell, model)
    tried = {turn: fitting.best(turn) for turn in ((False, True) if half_turn is None else (half_turn,))}
    turn = min(tried, key=lambda one: tried[one].cost)
    place = tried[turn].x
    off = fitting.differences(place[None], turn)[0]
    values = {name: float(of[0]) for name, of in model.values(place[None]).items()}
    probe, adf = model.probe_at(values), dict(model.known["adf"])
    if "contrast" in values:
        adf["z_contrast_change"] = values["contrast"]
    return CellFit(
        probe={name: probe.get(name, model.known["probe"][name]) for name in model.drawn("probe")},
        adf={name: adf[name] for name in model.drawn("adf")},
        scan={"line_jitter_x": abs(values["line_jitter_x"])} if "line_jitter_x" in values else {},
        half_turn=turn,
        misfit=_part(off, cell.coefficients),
        error=_part(cell.errors, cell.coefficients),
        decided=half_turn is not None,
    )


def _part(what: NDArray[Any], whole: ComplexArray) -> float:
    return float(np.sqrt((np.abs(what) ** 2).sum() / (np.abs(whole) ** 2).sum()))


class _Fitting:
    """Least squares between a measured cell and those of a model."""

    def __init__(self, cell: MeanCell, model: CellModel) -> None:
        self.cell, self.model = cell, model
        self.error = np.hypot(cell.errors, MODEL_ERROR * np.abs(cell.coefficients).max())

    def differences(self, places: FloatArray, half_turn: bool) -> ComplexArray:
        """What the model does not explain at places, shape (batch, n)."""
        made = self.cell.placed(self.model.cells(places, half_turn))
        # grey levels have any unit
        product = (made.conj() * self.cell.coefficients / self.error**2).sum(axis=1).real
        scale = product / (np.abs(made) ** 2 / self.error**2).sum(axis=1)
        return scale[:, None] * made - self.cell.coefficients

    def same_after_half_turn(self) -> bool:
        """Whether the cells of both orientations are one."""
        middle = np.zeros((1, len(self.model.free)))
        one, other = (self.cell.placed(self.model.cells(middle, half_turn)) for half_turn in (False, True))
        return bool(np.abs(one - other).max() < _ALIKE * np.abs(one).max())

    def best(self, half_turn: bool) -> Any:
        """The fit of an orientation: result of `scipy.optimize.least_squares`."""
        starts = {tuple(self.model.begin(contrast)) for contrast in STARTS}
        return min((self._from(np.array(start), half_turn) for start in sorted(starts)), key=lambda fit: fit.cost)

    def _from(self, start: FloatArray, half_turn: bool) -> Any:
        return least_squares(
            lambda place: self._residuals(place[None], half_turn)[0],
            np.clip(start, *self.model.bounds),
            jac=lambda place: self._slopes(place, half_turn),
            bounds=self.model.bounds,
            max_nfev=40,
            xtol=1e-4,
            ftol=1e-5,
        )

    def _residuals(self, places: FloatArray, half_turn: bool) -> FloatArray:
        off = self.differences(places, half_turn) / self.error
        return np.concatenate([off.real, off.imag, places], axis=1)

    def _slopes(self, place: FloatArray, half_turn: bool) -> FloatArray:
        around = place + np.concatenate([_STEP * np.eye(len(place)), -_STEP * np.eye(len(place))])
        values = self._residuals(around, half_turn)
        return (values[: len(place)] - values[len(place) :]).T / (2 * _STEP)
