"""Counts follow the Poisson distribution at every mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from scipy.stats import poisson as exact

from napari_stemlearn.imaging.counting import _from_the_top, poisson


@pytest.mark.parametrize("mean", [0.03, 3.0, 9.99, 13.7, 31.99, 32.0, 55.0, 700.0, 25000.0])
def test_counts_are_poisson(mean: float) -> None:
    n = 400_000
    counts = poisson(torch.full((n,), mean), torch.Generator().manual_seed(7)).numpy()
    assert (counts == np.round(counts)).all()
    assert counts.min() >= 0
    mean = float(np.float32(mean))
    edges = np.unique(np.linspace(exact.ppf(1e-3, mean), exact.ppf(1 - 1e-3, mean), 50).astype(int))
    observed = np.histogram(counts, [-np.inf, *(edges + 0.5), np.inf])[0]
    expected = np.diff([0, *exact.cdf(edges, mean), 1]) * n
    assert chi2.sf(((observed - expected) ** 2 / expected).sum(), len(edges)) > 1e-4


def test_mixed_means_keep_their_places() -> None:
    mean = torch.tensor([0.0, 2.0, 40.0, 5000.0]).repeat_interleave(50_000).view(4, -1)
    counts = poisson(mean, torch.Generator().manual_seed(3))
    few = poisson(mean[:2], torch.Generator().manual_seed(3))
    for found, value in ((counts, mean), (few, mean[:2])):
        sigma = (value[:, 0] / 50_000).sqrt()
        assert ((found.mean(dim=1) - value[:, 0]).abs() <= 5 * sigma).all()
        assert (found.var(dim=1) / value[:, 0].clamp_min(1e-9) - 1)[1:].abs().max() < 0.03
    assert counts[0].max() == 0


def test_same_seed_same_counts() -> None:
    mean = torch.rand(100, 300, generator=torch.Generator().manual_seed(1)) * 60
    first = poisson(mean, torch.Generator().manual_seed(5))
    assert torch.equal(first, poisson(mean, torch.Generator().manual_seed(5)))
    assert not torch.equal(first, poisson(mean, torch.Generator().manual_seed(6)))


def test_neighbours_are_independent() -> None:
    counts = poisson(torch.full((600, 600), 120.0), torch.Generator().manual_seed(2)).numpy()
    centred = counts - counts.mean()
    for axis in (0, 1):
        assert abs((centred * np.roll(centred, 1, axis)).mean() / centred.var()) < 0.01


def test_a_uniform_number_of_zero_is_a_large_count_and_no_endless_loop() -> None:
    counts = _from_the_top(np.array([0.1, 0.1249, 1e-9, 0.1]), np.array([0.0, 0.0, 0.0, 0.5]))
    assert (counts[:2] >= 4).all()
    assert (counts[:2] <= 8).all()
    assert counts[2:].tolist() == [0, 0]


def test_normal_numbers_serve_from_ten_on() -> None:
    # a block that holds larger means only makes all its numbers this way
    mean = torch.tensor([10.0, 90.0]).repeat_interleave(200_000)[torch.randperm(400_000)]
    counts = poisson(mean, torch.Generator().manual_seed(4))[mean == 10].numpy()
    observed = np.bincount(counts.astype(int), minlength=40)[:25]
    expected = exact.pmf(np.arange(25), 10.0) * len(counts)
    assert chi2.sf(((observed - expected) ** 2 / expected)[2:].sum(), 22) > 1e-4
