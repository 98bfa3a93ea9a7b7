"""Counting rules of older codes, for comparison with their published numbers only; both flatter a finder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from napari_stemlearn.scoring.scores import precision_recall_f1, ratio


def first_hit_counts(found: pd.DataFrame, truth: pd.DataFrame, radius: float = 7.5) -> dict[str, Any]:
    """Each true site takes the first found site in table order within the radius, near or not (stem-learning).

    The result depends on the order of the tables. Classes are not looked at: give tables of one class.

    Parameters
    ----------
    found, truth
        Site tables; frames are counted one by one.
    radius
        In pixels; 7.5 px were 1.56 angstrom in the published evaluation.
    """
    tp = 0
    for frame, rows in truth.groupby("frame"):
        here = found[found["frame"] == frame]
        points = here[["y", "x"]].to_numpy(dtype=float)
        if not len(points):
            continue
        free = np.ones(len(points), bool)
        for near in cKDTree(points).query_ball_point(
            rows[["y", "x"]].to_numpy(dtype=float), radius, return_sorted=True
        ):
            hit = next((index for index in near if free[index]), None)
            if hit is not None:
                free[hit] = False
                tp += 1
    precision, recall, f1 = precision_recall_f1(tp, len(found) - tp, len(truth) - tp)
    return {
        "rule": "first hit",
        "tp": tp,
        "fp": len(found) - tp,
        "fn": len(truth) - tp,
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def nearest_neighbour_counts(found: pd.DataFrame, truth: pd.DataFrame, radius: float) -> dict[str, Any]:
    """A found site is right when any true site lies within the radius, however many share it (AtomAI).

    Parameters
    ----------
    found, truth
        Site tables of one class; frames are counted one by one.
    radius
        In pixels.
    """
    right = seen = 0
    for frame, rows in found.groupby("frame"):
        points = rows[["y", "x"]].to_numpy(dtype=float)
        targets = truth[truth["frame"] == frame][["y", "x"]].to_numpy(dtype=float)
        if len(targets):
            right += int((cKDTree(targets).query(points)[0] <= radius).sum())
            seen += int((cKDTree(points).query(targets)[0] <= radius).sum())
    precision, recall = ratio(right, len(found)), ratio(seen, len(truth))
    return {
        "rule": "nearest neighbour, many to one",
        "right": right,
        "seen": seen,
        "precision": precision,
        "recall": recall,
        "f1": ratio(2 * precision * recall, precision + recall),
    }
