"""Counting electrons: Poisson numbers, fast for whole images."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from scipy.special import gammaln

TABLE_END = 64.0
"""Below this mean a Poisson number can be made from a table."""

NORMAL_START = 10.0
"""From this mean on a Poisson number can be made from a normal one."""

_BLOCK = 32768  # numbers made at once, so that all of them stay in the processor's cache
_LEVELS = 8  # tabulated means for each unit of the mean
_COLUMNS = 160  # counts in the table; the next one has a probability below 1e-21


def poisson(mean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Poisson numbers with the given means, single precision.

    On the CPU large means take the method PD of Ahrens and Dieter (ACM Trans. Math. Softw. 8 (1982) 163): a
    normal number is rounded down and, rarely, exchanged for a correction. Small means take Walker's alias method
    (ACM Trans. Math. Softw. 3 (1977) 253) for the next tabulated mean below and add a Poisson number of the small rest.
    Neither is an approximation at any count; single precision holds whole numbers up to 16,777,216. On other devices
    torch counts by itself.
    """
    if mean.device.type != "cpu":
        return torch.poisson(mean, generator=generator)
    flat = mean.reshape(-1)
    counts = torch.empty_like(flat)
    rests: list[torch.Tensor] = []
    doubts: list[torch.Tensor] = []
    for start in range(0, len(flat), _BLOCK):
        block, made = flat[start : start + _BLOCK], counts[start : start + _BLOCK]
        low, high = block.aminmax()
        if high < TABLE_END:
            index, rest = _from_table(block, made, generator)
            rests.append(torch.stack([start + index.double(), *rest]))
        elif low >= NORMAL_START:
            doubts.append(start + _round_down(block, made, generator))
        else:
            small = block < TABLE_END
            places = _where(small)
            part = torch.empty(len(places))
            index, rest = _from_table(block.index_select(0, places), part, generator)
            rests.append(torch.stack([start + places[index].double(), *rest]))
            made.index_copy_(0, places, part)
            places = _where(~small)
            part = torch.empty(len(places))
            doubts.append(start + places[_round_down(block.index_select(0, places), part, generator)])
            made.index_copy_(0, places, part)
    if rests:
        place, rest_of, below_of = torch.cat(rests, dim=1).unbind()
        counts[place.long()] += torch.from_numpy(_from_the_top(rest_of.numpy(), below_of.numpy())).float()
    index = torch.cat(doubts) if doubts else torch.zeros(0, dtype=torch.long)
    if len(index):
        seed = int(torch.randint(2**62, (1,), generator=generator))
        exact = _decide(flat[index].double().numpy(), counts[index].double().numpy(), np.random.default_rng(seed))
        counts[index] = torch.from_numpy(exact).float()
    return counts.view(mean.shape)


def _where(mask: torch.Tensor) -> torch.Tensor:
    """Places where a mask is set; numpy is several times faster than torch here."""
    return torch.from_numpy(np.flatnonzero(mask.numpy()))


def _from_table(
    mean: torch.Tensor, counts: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """Fill `counts` for means below 64; returns where more may have to be added, for which mean, and below what."""
    keep, other = _alias_table()
    level = (mean * _LEVELS).to(torch.int32)
    place = torch.empty_like(mean).uniform_(generator=generator).mul_(_COLUMNS)
    column = place.to(torch.int32)
    place -= column
    entry = (level * _COLUMNS).add_(column)
    counts.copy_(torch.where(place < keep.index_select(0, entry), column, other.index_select(0, entry)))
    rest = mean - level / _LEVELS
    below = torch.empty_like(mean).uniform_(generator=generator)
    # exp(-rest) >= 1 - rest is the chance of nothing more
    index = _where(below < rest)
    return index, (rest[index].double(), below[index].double())


def _from_the_top(mean: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Poisson numbers for small means: the largest count whose probability of being reached exceeds `uniform`."""
    # single uniform numbers are multiples of 2^-24, so that zero stands for half of that
    uniform = np.maximum(uniform, 2.0**-25)
    counts = np.zeros(len(mean))
    term = np.exp(-mean)
    reached = 1 - term
    left = np.flatnonzero(reached > uniform)
    while len(left):
        counts[left] += 1
        term = term * mean / np.maximum(counts, 1)
        reached = reached - term
        left = left[reached[left] > uniform[left]]
    return counts


@cache
def _alias_table() -> tuple[torch.Tensor, torch.Tensor]:
    """Walker's table for all tabulated means: chance to keep a column, and the count to take otherwise."""
    n_levels = int(TABLE_END * _LEVELS)
    keep = np.ones((n_levels, _COLUMNS))
    other = np.tile(np.arange(_COLUMNS), (n_levels, 1))
    for level in range(n_levels):
        share = _probability(np.full(_COLUMNS, max(level / _LEVELS, 1e-300)), np.arange(_COLUMNS)) * _COLUMNS
        poor = [k for k in range(_COLUMNS) if share[k] < 1]
        rich = [k for k in range(_COLUMNS) if share[k] >= 1]
        while poor and rich:
            small, large = poor.pop(), rich[-1]
            keep[level, small], other[level, small] = share[small], large
            share[large] -= 1 - share[small]
            if share[large] < 1:
                poor.append(rich.pop())
    return torch.from_numpy(keep.ravel()).float(), torch.from_numpy(other.ravel()).to(torch.int32)


def _round_down(mean: torch.Tensor, counts: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Fill `counts` with normal numbers rounded down, for means from 10; returns where to think again."""
    work = torch.empty_like(mean).normal_(generator=generator)
    torch.sqrt(mean, out=counts)
    counts.mul_(work).add_(mean).floor_()
    below = torch.sub(mean, counts, out=work)
    share = torch.empty_like(mean).uniform_(generator=generator).mul_(mean).mul_(mean).mul_(6)
    # the normal number is too frequent on the low side only, and there by little, so that few are left
    return _where((below * below * below > share).logical_and_(below > 1.1484))


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
