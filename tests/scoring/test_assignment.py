"""The assignment against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_stemlearn.scoring import assignment
from napari_stemlearn.scoring.assignment import assign


def brute_force(first, second, tolerance):
    """Most pairs first, least sum of squares second, over all ways to pair."""
    swap = len(first) > len(second)
    few, many = (second, first) if swap else (first, second)
    distance = np.linalg.norm(few[:, None] - many[None], axis=2)
    best = (0, 0.0)
    for size in range(len(few), 0, -1):
        costs = [
            sum(distance[row, column] ** 2 for row, column in zip(rows, columns, strict=True))
            for rows in itertools.combinations(range(len(few)), size)
            for columns in itertools.permutations(range(len(many)), size)
            if all(distance[row, column] <= tolerance for row, column in zip(rows, columns, strict=True))
        ]
        if costs:
            return size, min(costs)
    return best


@pytest.mark.parametrize("dense_limit", [250_000, 0])
def test_equals_brute_force(monkeypatch, dense_limit):
    monkeypatch.setattr(assignment, "DENSE_LIMIT", dense_limit)
    rng = np.random.default_rng(1)
    for _ in range(120):
        first = rng.uniform(0, 2, (rng.integers(0, 6), 2))
        second = rng.uniform(0, 2, (rng.integers(0, 6), 2))
        tolerance = rng.uniform(0.2, 1.5)
        row, column, distance = assign(first, second, tolerance)
        count, cost = brute_force(first, second, tolerance)
        assert len(row) == count
        assert np.sum(distance**2) == pytest.approx(cost)
        assert len(set(row)) == len(row)
        assert len(set(column)) == len(column)
        assert np.all(distance <= tolerance)
        np.testing.assert_allclose(distance, np.linalg.norm(first[row] - second[column], axis=1))


def test_dense_and_sparse_agree_on_a_large_crowded_table(monkeypatch):
    rng = np.random.default_rng(2)
    first, second = rng.uniform(0, 30, (900, 2)), rng.uniform(0, 30, (800, 2))
    sums = []
    for limit in (10**9, 0):
        monkeypatch.setattr(assignment, "DENSE_LIMIT", limit)
        row, _, distance = assign(first, second, 1.2)
        sums.append((len(row), np.sum(distance**2)))
    assert sums[0][0] == sums[1][0]
    assert sums[0][1] == pytest.approx(sums[1][1])


def test_crossing_pairs_where_greedy_fails():
    # greedy takes the pair at 0.1 and leaves the other two alone; both pairs fit within the tolerance
    first = np.array([[0.0, 0.0], [0.0, 0.9]])
    second = np.array([[0.0, 0.8], [0.0, 1.7]])
    row, column, _ = assign(first, second, 0.85)
    assert list(zip(row, column, strict=True)) == [(0, 0), (1, 1)]


def test_two_detections_of_one_truth():
    row, column, distance = assign(np.array([[0, 0.3], [0, 0.1]]), np.array([[0.0, 0.0]]), 0.5)
    assert row.tolist() == [1]
    assert column.tolist() == [0]
    assert distance[0] == pytest.approx(0.1)


def test_coincident_points_and_inclusive_tolerance():
    points = np.zeros((3, 2))
    row, _, distance = assign(points, points[:2], 0.5)
    assert len(row) == 2
    assert np.all(distance == 0)
    assert len(assign(np.zeros((1, 2)), np.array([[0.0, 0.5]]), 0.5)[0]) == 1


def test_large_lattice_is_solved_in_small_pieces():
    yy, xx = np.mgrid[:150, :150]
    truth = np.stack([yy.ravel(), xx.ravel()], axis=1) * 2.0
    rng = np.random.default_rng(3)
    found = rng.permutation(truth + rng.normal(0, 0.1, truth.shape))
    row, column, distance = assign(found, truth, 0.6)
    assert len(row) == len(truth)
    assert distance.max() < 0.6
    np.testing.assert_allclose(found[row], truth[column], atol=0.6)
