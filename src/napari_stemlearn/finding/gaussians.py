"""2D Gaussians fitted to all columns of an image at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

WIDTH_SPREAD = 0.3
"""Relative spread of widths that is expected where the noise leaves the width open."""

WIDTH_RANGE = 1.1
"""Widths may differ from the expected one by a factor of at most three (natural logarithm)."""

_CHUNK = 2048


@dataclass(frozen=True)
class GaussianFits:
    """Fitted round Gaussians on a constant background; shape (n,) each.

    Parameters
    ----------
    y, x
        Centres in pixels.
    amplitude, background
        In grey levels of the image given.
    sigma
        Standard deviation in pixels.
    error
        Standard error of the position along one axis in pixels, by the jackknife (HC3: MacKinnon & White 1985): from
        what the fit leaves of each pixel and how much that pixel pulls the position, so noise may grow with the signal.
        It is no bound. In simulated images of WSe2 at 0.1 to 0.3 angstrom a pixel the real scatter is 1.0 to 1.2 times
        as large at 3e3 electrons per square angstrom, where columns hardly stand out of the noise, 0.85 to 1.05 times
        from 3e4 to 3e5, and 0.65 to 0.9 times at 1e7, where what a Gaussian does not explain counts as noise. The noise
        of neighbouring pixels is taken as independent: with afterglow the scatter is 1.3 to 1.6 times as large across
        the scan lines, and along them all columns are shifted by up to a pixel, which no residual shows.
    converged
        Whether the fit ended at a sensible minimum.
    """

    y: FloatArray
    x: FloatArray
    amplitude: FloatArray
    background: FloatArray
    sigma: FloatArray
    error: FloatArray
    converged: NDArray[np.bool_]


def fit_gaussians(
    image: NDArray[np.floating],
    y: FloatArray,
    x: FloatArray,
    sigma: float,
    *,
    radius: float | None = None,
    polarity: str = "bright",
    iterations: int = 20,
) -> GaussianFits:
    """Fit a round Gaussian to each column by Levenberg-Marquardt (Marquardt 1963), all columns together.

    The width is held near the expected one as far as the noise of the patch leaves it open (a Gaussian prior on its
    logarithm).

    Parameters
    ----------
    image
        Shape (y, x).
    y, x
        Starting positions in pixels, shape (n,).
    sigma
        Starting standard deviation in pixels.
    radius
        Pixels within this distance of the start take part; default ``max(2 sigma, 2)``.
    polarity
        ``bright`` or ``dark`` columns.
    iterations
        At most so many steps.
    """
    radius = max(2 * sigma, 2.0) if radius is None else float(radius)
    sign = 1.0 if polarity == "bright" else -1.0
    count = len(y)
    parameters = np.zeros((count, 5))
    error, converged = np.full(count, np.nan), np.zeros(count, bool)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        parameters[part], error[part], converged[part] = _fit(image, y[part], x[part], sigma, radius, sign, iterations)
    background, amplitude, shift_y, shift_x, log_sigma = parameters.T
    return GaussianFits(y + shift_y, x + shift_x, amplitude, background, np.exp(log_sigma), error, converged)


def _fit(
    image: NDArray[np.floating],
    y: FloatArray,
    x: FloatArray,
    sigma: float,
    radius: float,
    sign: float,
    iterations: int,
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Parameters (background, amplitude, shift y, shift x, log sigma), position error, converged."""
    reach = int(np.ceil(radius))
    grid = np.arange(-reach, reach + 1)
    dy, dx = (axis.ravel() for axis in np.meshgrid(grid, grid, indexing="ij"))
    near = np.hypot(dy, dx) <= radius + 0.71
    dy, dx = dy[near], dx[near]
    middle_y, middle_x = np.rint(y).astype(int), np.rint(x).astype(int)
    rows, columns = middle_y[:, None] + dy, middle_x[:, None] + dx
    height, width = image.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    data = image[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)].astype(np.float64)
    place_y, place_x = dy - (y - middle_y)[:, None], dx - (x - middle_x)[:, None]
    # the disc follows the sub-pixel start with a soft rim, so that no pixel jumps in or out
    weight = np.clip(radius + 0.5 - np.hypot(place_y, place_x), 0, 1) * inside
    low = np.where(weight > 0, data, np.inf).min(axis=1)
    high = np.where(weight > 0, data, -np.inf).max(axis=1)
    usable = np.isfinite(low) & (high > low) & (weight.sum(axis=1) > 6)
    span = np.where(usable, high - low, 1.0)
    base = np.where(usable, low if sign > 0 else high, 0.0)
    # every patch between 0 and 1, the columns bright
    data = np.where(weight > 0, sign * (data - base[:, None]) / span[:, None], 0.0)
    start = np.tile([0.1, 0.8, 0.0, 0.0, np.log(sigma)], (len(y), 1))
    fit = _Fit(data, weight, place_y, place_x, radius, np.log(sigma))
    # first with the width held, which tells the noise; then the width free as far as the noise lets it be known
    theta, cost, done = fit.levenberg(start, np.full(len(y), 1e6), usable, iterations)
    freedom = np.maximum(weight.sum(axis=1) - 5, 1)
    theta, cost, done = fit.levenberg(theta, cost / freedom / WIDTH_SPREAD**2, usable, iterations)
    model, jacobian = _gaussian(theta, place_y, place_x)
    lowest, highest = np.log(sigma) - WIDTH_RANGE, np.log(sigma) + WIDTH_RANGE
    diagonal = np.arange(5)
    normal = np.matmul((jacobian * weight[:, :, None]).transpose(0, 2, 1), jacobian)
    normal[:, diagonal, diagonal] += 1e-12
    normal[:, 4, 4] += cost / freedom / WIDTH_SPREAD**2
    error = _position_error(jacobian, weight, data - model, np.linalg.inv(normal))
    converged = (
        usable
        & done
        & (theta[:, 1] > 0)
        & (np.hypot(theta[:, 2], theta[:, 3]) < 0.99 * radius)
        & (theta[:, 4] > lowest + 1e-6)
        & (theta[:, 4] < highest - 1e-6)
        & np.isfinite(error)
    )
    theta[:, 0] = base + sign * span * theta[:, 0]
    theta[:, 1] = sign * span * theta[:, 1]
    return theta, np.where(usable, error, np.nan), converged


def _position_error(jacobian: FloatArray, weight: FloatArray, residual: FloatArray, inverse: FloatArray) -> FloatArray:
    """Standard error of the position along one axis: by how much each pixel pulls it, were that pixel left out."""
    influence = np.matmul(jacobian, inverse)
    leverage = weight * (influence * jacobian).sum(axis=2)
    # a pixel that determines a parameter alone says nothing of its own noise
    pull = influence[:, :, 2:4] * (weight * residual / np.maximum(1 - leverage, 0.05))[:, :, None]
    return np.asarray(np.sqrt(0.5 * (pull**2).sum(axis=(1, 2))))


@dataclass(frozen=True)
class _Fit:
    """Patches (n, p) to which Gaussians are fitted; parameters (n, 5) as of `_fit`."""

    data: FloatArray
    weight: FloatArray
    place_y: FloatArray
    place_x: FloatArray
    radius: float
    log_sigma: float

    def cost(self, theta: FloatArray, model: FloatArray, prior: FloatArray, rows: NDArray[np.int64]) -> FloatArray:
        """Weighted sum of squares plus what the width's departure costs."""
        squares = np.einsum("np,np->n", self.weight[rows], (self.data[rows] - model) ** 2)
        return squares + prior * (theta[:, 4] - self.log_sigma) ** 2

    def levenberg(
        self, theta: FloatArray, prior: FloatArray, usable: NDArray[np.bool_], iterations: int
    ) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """Parameters, sum of squares without prior, and whether each fit came to rest."""
        theta = theta.copy()
        everything = np.arange(len(theta))
        model, jacobian = _gaussian(theta, self.place_y, self.place_x)
        cost = self.cost(theta, model, prior, everything)
        damping = np.full(len(theta), 1e-2)
        done = ~usable
        lowest, highest = self.log_sigma - WIDTH_RANGE, self.log_sigma + WIDTH_RANGE
        diagonal = np.arange(5)
        for _ in range(iterations):
            live = np.flatnonzero(~done)
            if not len(live):
                break
            weighted = jacobian[live] * self.weight[live, :, None]
            normal = np.matmul(weighted.transpose(0, 2, 1), jacobian[live])
            gradient = np.matmul(weighted.transpose(0, 2, 1), (self.data[live] - model[live])[:, :, None])
            normal[:, 4, 4] += prior[live]
            gradient[:, 4, 0] -= prior[live] * (theta[live, 4] - self.log_sigma)
            normal[:, diagonal, diagonal] *= 1 + damping[live, None]
            normal[:, diagonal, diagonal] += 1e-12
            trial = theta[live] + np.linalg.solve(normal, gradient)[:, :, 0]
            trial[:, 2:4] = np.clip(trial[:, 2:4], -self.radius, self.radius)
            trial[:, 4] = np.clip(trial[:, 4], lowest, highest)
            trial_model, trial_jacobian = _gaussian(trial, self.place_y[live], self.place_x[live])
            trial_cost = self.cost(trial, trial_model, prior[live], live)
            better = trial_cost <= cost[live]
            small = np.hypot(trial[:, 2] - theta[live, 2], trial[:, 3] - theta[live, 3]) < 5e-4
            taken = live[better]
            theta[taken], cost[taken] = trial[better], trial_cost[better]
            model[taken], jacobian[taken] = trial_model[better], trial_jacobian[better]
            damping[live] *= np.where(better, 0.2, 8.0)
            done[live[(better & small) | (damping[live] > 1e6)]] = True
        return theta, self.cost(theta, model, np.zeros(len(theta)), everything), done


def _gaussian(theta: FloatArray, place_y: FloatArray, place_x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Model (n, p) and its derivatives (n, p, 5)."""
    off_y, off_x = place_y - theta[:, 2:3], place_x - theta[:, 3:4]
    precision = np.exp(-2 * theta[:, 4:5])
    distance = (off_y**2 + off_x**2) * precision
    shape = np.exp(-0.5 * distance)
    scaled = theta[:, 1:2] * shape
    slope = scaled * precision
    jacobian = np.stack([np.ones_like(shape), shape, slope * off_y, slope * off_x, scaled * distance], axis=-1)
    return theta[:, 0:1] + scaled, jacobian
