"""The best one-to-one assignment of two sets of points within a tolerance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array, hstack
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

DENSE_LIMIT = 250_000
"""Largest component (rows times columns) that is solved as a dense matrix."""

Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def assign(first: NDArray[np.float64], second: NDArray[np.float64], tolerance: float) -> Pairs:
    """Pair two sets of points one to one: as many pairs as possible, then the least sum of squared distances.

    Parameters
    ----------
    first, second
        Points (n, 2) and (m, 2) in the same unit.
    tolerance
        Largest distance of a pair, inclusive, in that unit.

    Returns
    -------
    first_index, second_index, distance
        One entry a pair, ordered by `first_index`.
    """
    return assign_edges(*candidate_pairs(first, second, tolerance), len(first), len(second))


def candidate_pairs(first: NDArray[np.float64], second: NDArray[np.float64], tolerance: float) -> Pairs:
    """All pairs of points of two sets that lie within the tolerance, with their distances."""
    if len(first) == 0 or len(second) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, float)
    reach = float(tolerance) * (1 + 1e-12)
    graph = cKDTree(first).sparse_distance_matrix(cKDTree(second), reach, output_type="ndarray")
    return graph["i"].astype(np.int64), graph["j"].astype(np.int64), graph["v"].astype(float)


def assign_edges(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    distance: NDArray[np.float64],
    n_first: int,
    n_second: int,
) -> Pairs:
    """Solve the assignment on a graph of allowed pairs, component by component.

    Parameters
    ----------
    first, second, distance
        Allowed pairs as from `candidate_pairs`.
    n_first, n_second
        Sizes of the two sets.
    """
    if len(first) == 0:
        return first, second, distance
    graph = coo_array((np.ones(len(first)), (first, n_first + second)), shape=(n_first + n_second,) * 2)
    _, label = connected_components(graph.tocsr(), directed=False)
    component = label[first]
    order = np.argsort(component, kind="stable")
    _, begin, size = np.unique(component[order], return_index=True, return_counts=True)
    kept = [order[begin[size == 1]]]
    kept.extend(
        _solve(first, second, distance, order[start : start + count])
        for start, count in zip(begin[size > 1], size[size > 1], strict=True)
    )
    chosen = np.concatenate(kept)
    chosen = chosen[np.argsort(first[chosen], kind="stable")]
    return first[chosen], second[chosen], distance[chosen]


def _solve(
    first: NDArray[np.int64], second: NDArray[np.int64], distance: NDArray[np.float64], edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Edges chosen in one connected component."""
    rows, row = np.unique(first[edges], return_inverse=True)
    columns, column = np.unique(second[edges], return_inverse=True)
    if len(rows) == 1 or len(columns) == 1:
        return edges[[int(np.argmin(distance[edges]))]]
    cost = distance[edges] ** 2
    # one pair more must always outweigh any change of the sum of squares
    forbidden = (float(cost.max()) + 1e-9) * (min(len(rows), len(columns)) + 1)
    number = csr_array((np.arange(1, len(edges) + 1), (row, column)), shape=(len(rows), len(columns)))
    if len(rows) * len(columns) <= DENSE_LIMIT:
        matrix = np.full((len(rows), len(columns)), forbidden)
        matrix[row, column] = cost
        pair_row, pair_column = linear_sum_assignment(matrix)
    else:
        # every row may stay single at the forbidden cost; the constant keeps the sparse weights away from zero
        weights = csr_array((cost + forbidden, (row, column)), shape=(len(rows), len(columns)))
        single = csr_array((np.full(len(rows), 2 * forbidden), (np.arange(len(rows)),) * 2))
        pair_row, pair_column = min_weight_full_bipartite_matching(hstack([weights, single]).tocsr())
        real = pair_column < len(columns)
        pair_row, pair_column = pair_row[real], pair_column[real]
    chosen = np.asarray(number[pair_row, pair_column]).ravel()
    return edges[chosen[chosen > 0] - 1]
