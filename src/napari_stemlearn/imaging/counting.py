"""Counting electrons: Poisson numbers, fast for whole images."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import gammaln

SMALLEST_FAST_MEAN = 10.0
"""From this mean on a Poisson number is made from a normal one."""

_BLOCK = 32768  # numbers made at once, so that all of them stay in the processor's cache


def poisson(mean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Poisson numbers with the given means, single precision.

    On the CPU means from 10 on take the method PD of Ahrens and Dieter (ACM Trans. Math. Softw. 8 (1982) 163): a
    normal number is rounded down and, rarely, exchanged for a correction. It is a method of rejection without a normal
    approximation at any count; single precision holds whole numbers up to 16,777,216. Elsewhere torch counts itself.
    """
    if mean.device.type != "cpu":
        return torch.poisson(mean, generator=generator)
    if float(mean.min()) >= SMALLEST_FAST_MEAN:
        return _many(mean, generator)
    few = mean < SMALLEST_FAST_MEAN
    if 2 * int(few.count_nonzero()) > mean.numel():
        return torch.poisson(mean, generator=generator)
    counts = _many(mean.clamp_min(SMALLEST_FAST_MEAN), generator)
    counts[few] = torch.poisson(mean[few], generator=generator)
    return counts


def _many(mean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Poisson numbers for means of at least 10."""
    flat = mean.reshape(-1)
    counts = torch.empty_like(flat)
    doubtful = [
        start + _round_down(flat[start : start + _BLOCK], counts[start : start + _BLOCK], generator)
        for start in range(0, len(flat), _BLOCK)
    ]
    index = torch.cat(doubtful)
    if len(index):
        seed = int(torch.randint(2**62, (1,), generator=generator))
        exact = _decide(flat[index].double().numpy(), counts[index].double().numpy(), np.random.default_rng(seed))
        counts[index] = torch.from_numpy(exact).float()
    return counts.view(mean.shape)


def _round_down(mean: torch.Tensor, counts: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Fill `counts` with normal numbers rounded down; returns where these may have to be exchanged."""
    work = torch.empty_like(mean).normal_(generator=generator)
    torch.sqrt(mean, out=counts)
    counts.mul_(work).add_(mean).floor_()
    below = torch.sub(mean, counts, out=work)
    share = torch.empty_like(mean).uniform_(generator=generator).mul_(mean).mul_(mean).mul_(6)
    # the normal number is too frequent on the low side only, and there by little, so that few are left
    return (below * below * below > share).logical_and_(below > 1.1484).nonzero()[:, 0]


def _decide(mean: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Accept a doubtful number or draw one from the difference of the Poisson and the normal distribution."""
    # a number is doubtful because its uniform one fell below this bound, so it is drawn again from there
    uniform = rng.uniform(size=len(mean)) * np.minimum((mean - counts) ** 3 / (6 * mean**2), 1)
    accepted = (counts >= 0) & (_normal(mean, counts) * (1 - uniform) <= _probability(mean, counts))
    result = np.where(accepted, counts, -1.0)
    left = np.flatnonzero(~accepted)
    while len(left):
        m = mean[left]
        exponential = rng.exponential(size=len(left))
        side = rng.uniform(-1, 1, size=len(left))
        deviate = 1.8 + np.copysign(exponential, side)
        trial = np.floor(m + np.sqrt(m) * deviate)
        inside = (deviate > -0.6744) & (trial >= 0)
        trial = np.where(inside, trial, 0)
        excess = (_probability(m, trial) - _normal(m, trial)) * np.exp(exponential)
        taken = inside & (0.1069 / m * np.abs(side) <= excess)
        result[left[taken]] = trial[taken]
        left = left[~taken]
    return result


def _probability(mean: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Poisson probability."""
    whole = np.maximum(counts, 0)
    return np.exp(whole * np.log(mean) - mean - gammaln(whole + 1))


def _normal(mean: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Probability that a normal number of equal mean and variance is rounded down to `counts`."""
    sigma = np.sqrt(mean)
    b1 = 1 / (24 * mean)
    b2 = 0.3 * b1**2
    c3 = b1 * b2 / 7
    squared = ((counts - mean + 0.5) / sigma) ** 2
    series = ((c3 * squared + b2 - 15 * c3) * squared + b1 - 6 * b2 + 45 * c3) * squared + 1 - b1 + 3 * b2 - 15 * c3
    return np.exp(-0.5 * squared) / (sigma * np.sqrt(2 * np.pi)) * series
