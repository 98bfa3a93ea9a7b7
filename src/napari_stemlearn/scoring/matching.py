"""Which found site is which true one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from napari_stemlearn.errors import SitesError
from napari_stemlearn.scoring.assignment import Pairs, assign, assign_edges, candidate_pairs
from napari_stemlearn.scoring.counted import Counted, what_counts
from napari_stemlearn.scoring.outside import outside_notes
from napari_stemlearn.scoring.rule import RuleOptions, ScoringRule
from napari_stemlearn.scoring.searched import RecordedSites, SearchedSites, with_labels, with_search
from napari_stemlearn.sites import implied_pixel_size, inside

TOLERANCE_ANGSTROM = 0.6
"""Default upper bound of the tolerance in angstrom."""

OUTCOMES = ("true positive", "false positive", "false negative", "ignored", "border")
"""What can become of a site; found sites are never false negatives, true sites never false positives."""

ALL = "all"
"""Name of the row of a score table that counts every class together."""

NOTHING = "nothing"
"""Row and column of the confusion matrix for found sites without truth and true sites without find."""


@dataclass(frozen=True)
class Matches:
    """Found and true sites with what became of them.

    Parameters
    ----------
    found, truth
        The site tables with their classes mapped and two more columns: ``outcome`` (one of `OUTCOMES`) and ``partner``
        (row position in the other table, -1 without).
    pairs
        One row a pair of the same class: ``found, truth`` (row positions), ``frame, class, score, dy_angstrom,
        dx_angstrom`` (found minus true), ``distance_angstrom, counted`` (False where the true site lies in the border).
    mistaken
        Pairs of the rest of another class: ``found, truth, found_class, true_class, distance_angstrom``.
    classes, frames
        What was scored.
    rule
        `ScoringRule` as plain values, for the record; nothing in it is left open.
    left_out, left_out_found
        How many true and how many found sites of the scored frames each class has that was not scored.
    notes
        Full sentences on frames and classes that were left out, and on sites outside the image.
    """

    found: pd.DataFrame
    truth: pd.DataFrame
    pairs: pd.DataFrame
    mistaken: pd.DataFrame
    classes: tuple[str, ...]
    frames: tuple[int, ...]
    rule: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    left_out_found: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def tolerance_angstrom(self) -> float:
        """The tolerance that was used, in angstrom."""
        return float(self.rule["tolerance_angstrom"])


def default_tolerance(truth: pd.DataFrame, pixel_size: float) -> float:
    """Tolerance in angstrom: half the median nearest-neighbour distance of the true sites, at most 0.6.

    Parameters
    ----------
    truth
        Site table; neighbours are sought in the same frame, among all classes.
    pixel_size
        In angstrom.
    """
    distances = []
    for _, rows in truth.groupby("frame"):
        points = rows[["y", "x"]].to_numpy(dtype=float) * pixel_size
        if len(points) > 1:
            nearest = cKDTree(points).query(points, k=2)[0][:, 1]
            distances.append(nearest[nearest > 0])
    every = np.concatenate(distances) if distances else np.empty(0)
    return min(TOLERANCE_ANGSTROM, 0.5 * float(np.median(every))) if len(every) else TOLERANCE_ANGSTROM


def match(
    found: pd.DataFrame | SearchedSites | RecordedSites,
    truth: pd.DataFrame | RecordedSites,
    tolerance_angstrom: float | None = None,
    pixel_size: float | None = None,
    **options: Unpack[RuleOptions],
) -> Matches:
    """Match found sites one to one with true sites, per frame and class, as well as any assignment can.

    The number of pairs within the tolerance comes first, the sum of their squared distances second.

    Parameters
    ----------
    found, truth
        Site tables in pixels of the same micrograph. What `finding.find` gives back can stand in place of the found
        table, and what `formats.read_recorded` gives back in place of both: then shape, ``searched_border``,
        ``searched_classes`` and ``searched_frames`` are those of the search, ``labelled_frames`` those marked as done.
    tolerance_angstrom, pixel_size
        Of `ScoringRule`, both in angstrom.
    **options
        Further fields of `ScoringRule`: border, class_map, shape, truth_class_map, ignore, classes, frames,
        searched_border, searched_classes, searched_frames, labelled_classes, labelled_frames.

    Raises
    ------
    SitesError
        If a table lacks columns, the pixel size is not known, or the tolerance, border or shape make no sense.
    """
    found, options = with_search(found, options)
    truth, options = with_labels(truth, options)
    return prepare(found, truth, ScoringRule(tolerance_angstrom, pixel_size, **options)).matches()


def prepare(found: pd.DataFrame, truth: pd.DataFrame, rule: ScoringRule) -> Matcher:
    """Check the tables, settle what the rule leaves open, and find the candidate pairs; errors as of `match`."""
    for name, table in (("The found table", found), ("The truth table", truth)):
        if not isinstance(table, pd.DataFrame):
            raise SitesError(
                f"{name} is a value of type {type(table).__name__}; a site table is a DataFrame as of make_sites."
            )
        missing = [column for column in ("frame", "y", "x", "class") if column not in table.columns]
        if missing:
            raise SitesError(f"{name} lacks the column {missing[0]}.")
        _check_positions(table, name)
    scale = float(rule.pixel_size if rule.pixel_size is not None else _pixel_size_of(truth, found))
    found = _renamed(found, rule.class_map)
    truth = _renamed(truth, rule.truth_class_map)
    counted = what_counts(found, truth, rule)
    frames, classes = counted.frames, counted.classes
    found, truth = (table[table["frame"].isin(frames)].reset_index(drop=True) for table in (found, truth))
    for name in sorted({ALL, NOTHING} & set(classes)):
        raise SitesError(f"A class cannot be called '{name}', which has a meaning of its own in scores; rename it.")
    tolerance = default_tolerance(truth, scale) if rule.tolerance_angstrom is None else float(rule.tolerance_angstrom)
    taking_part = truth["class"].isin([*classes, *rule.ignore]).to_numpy(dtype=bool)
    border = rule.border_at(tolerance, scale)
    return Matcher(
        found[found["class"].isin(classes)].reset_index(drop=True),
        truth[taking_part].reset_index(drop=True),
        replace(rule, tolerance_angstrom=tolerance, pixel_size=scale, border=border, classes=classes, frames=frames),
        tolerance,
        scale,
        counted,
    )


class Matcher:
    """The candidate pairs of two checked tables, found once, so that many thresholds can be matched quickly."""

    def __init__(
        self,
        found: pd.DataFrame,
        truth: pd.DataFrame,
        rule: ScoringRule,
        tolerance: float,
        pixel_size: float,
        counted: Counted,
    ) -> None:
        self.found, self.truth, self.rule, self.counted = found, truth, rule, counted
        self.classes, self.frames = counted.classes, counted.frames
        self.tolerance = tolerance
        self.found_points = found[["y", "x"]].to_numpy(dtype=float) * pixel_size
        self.truth_points = truth[["y", "x"]].to_numpy(dtype=float) * pixel_size
        self.found_class = found["class"].to_numpy(dtype=object)
        self.truth_class = truth["class"].to_numpy(dtype=object)
        self.found_frame = found["frame"].to_numpy(dtype=np.int64)
        self.truth_frame = truth["frame"].to_numpy(dtype=np.int64)
        self.undecided = np.isin(self.truth_class.astype(str), list(rule.ignore))
        self.found_inside = np.ones(len(found), bool)
        self.truth_inside = np.ones(len(truth), bool)
        if rule.shape is not None and rule.border:
            self.found_inside = inside(found, rule.shape, rule.border).to_numpy(dtype=bool)
            self.truth_inside = inside(truth, rule.shape, rule.border).to_numpy(dtype=bool)
        self.groups: list[tuple[str, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Pairs, Pairs]] = []
        for frame in self.frames:
            here_found, here_truth = self.found_frame == frame, self.truth_frame == frame
            undecided = np.flatnonzero(here_truth & self.undecided)
            for name in self.classes:
                of_found = np.flatnonzero(here_found & (self.found_class == name))
                of_truth = np.flatnonzero(here_truth & (self.truth_class == name) & ~self.undecided)
                edges = candidate_pairs(self.found_points[of_found], self.truth_points[of_truth], tolerance)
                doubtful = candidate_pairs(self.found_points[of_found], self.truth_points[undecided], tolerance)
                self.groups.append((name, of_found, of_truth, undecided, edges, doubtful))

    def clusters(self) -> NDArray[np.int64]:
        """Number of the cluster of each found site: only those of one cluster can take true sites from each other."""
        n_found, n_truth = len(self.found), len(self.truth)
        begins, ends = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for name, of_found, of_truth, undecided, edges, doubtful in self.groups:
            # every class has undecided sites of its own to take
            own = n_found + n_truth * (1 + self.classes.index(name))
            begins += [of_found[edges[0]], of_found[doubtful[0]]]
            ends += [n_found + of_truth[edges[1]], own + undecided[doubtful[1]]]
        begin, end = np.concatenate(begins), np.concatenate(ends)
        size = n_found + n_truth * (1 + len(self.classes))
        graph = coo_array((np.ones(len(begin)), (begin, end)), shape=(size, size))
        return np.asarray(connected_components(graph.tocsr(), directed=False)[1][:n_found], dtype=np.int64)

    def outcomes(
        self, kept: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]:
        """Partner of each found site (-1 none), whether it matches an undecided site, and the distance of its pair.

        Parameters
        ----------
        kept
            Mask of the found sites that take part; None for all.
        """
        partner = np.full(len(self.found), -1, dtype=np.int64)
        doubtful = np.zeros(len(self.found), dtype=bool)
        distance = np.full(len(self.found), np.nan)
        for _, of_found, of_truth, undecided, edges, doubtful_edges in self.groups:
            first, second, length = edges
            if kept is not None:
                use = kept[of_found[first]]
                first, second, length = first[use], second[use], length[use]
            row, column, value = assign_edges(first, second, length, len(of_found), len(of_truth))
            partner[of_found[row]] = of_truth[column]
            distance[of_found[row]] = value
            first, second, length = doubtful_edges
            if len(first):
                use = partner[of_found[first]] < 0
                if kept is not None:
                    use &= kept[of_found[first]]
                row, _, _ = assign_edges(first[use], second[use], length[use], len(of_found), len(undecided))
                doubtful[of_found[row]] = True
        return partner, doubtful, distance

    def matches(self) -> Matches:
        """Match everything and find which classes were mistaken for which."""
        partner, doubtful, distance = self.outcomes()
        paired = np.flatnonzero(partner >= 0)
        found_of = np.full(len(self.truth), -1, dtype=np.int64)
        found_of[partner[paired]] = paired
        counted = self.truth_inside[partner[paired]]
        outcome_found = np.full(len(self.found), "false positive", dtype=object)
        outcome_found[~self.found_inside] = "border"
        outcome_found[doubtful] = "ignored"
        outcome_found[paired] = np.where(counted, "true positive", "border")
        outcome_truth = np.full(len(self.truth), "false negative", dtype=object)
        outcome_truth[partner[paired]] = "true positive"
        outcome_truth[~self.truth_inside] = "border"
        outcome_truth[self.undecided] = "ignored"
        offset = self.found_points[paired] - self.truth_points[partner[paired]]
        scores = (
            self.found["score"].to_numpy(dtype=float) if "score" in self.found else np.full(len(self.found), np.nan)
        )
        pairs = pd.DataFrame(
            {
                "found": paired,
                "truth": partner[paired],
                "frame": self.found_frame[paired],
                "class": self.found_class[paired],
                "score": scores[paired],
                "dy_angstrom": offset[:, 0],
                "dx_angstrom": offset[:, 1],
                "distance_angstrom": distance[paired],
                "counted": counted,
            }
        )
        return Matches(
            found=self.found.assign(outcome=outcome_found, partner=partner),
            truth=self.truth.assign(outcome=outcome_truth, partner=found_of),
            pairs=pairs,
            mistaken=self._mistaken(outcome_found == "false positive", outcome_truth == "false negative"),
            classes=self.classes,
            frames=self.frames,
            rule=self.rule.record(),
            left_out=self.counted.left_out,
            left_out_found=self.counted.left_out_found,
            notes=(*self.counted.notes, *outside_notes(self.found, self.truth, self.rule.shape)),
        )

    def _mistaken(self, spare_found: NDArray[np.bool_], spare_truth: NDArray[np.bool_]) -> pd.DataFrame:
        """Second matching, without class, of what the first one left over."""
        tables = []
        for frame in self.frames:
            of_found = np.flatnonzero(spare_found & (self.found_frame == frame))
            of_truth = np.flatnonzero(spare_truth & (self.truth_frame == frame))
            row, column, length = assign(self.found_points[of_found], self.truth_points[of_truth], self.tolerance)
            tables.append(
                pd.DataFrame(
                    {
                        "found": of_found[row],
                        "truth": of_truth[column],
                        "found_class": self.found_class[of_found[row]],
                        "true_class": self.truth_class[of_truth[column]],
                        "distance_angstrom": length,
                    }
                )
            )
        if not tables:
            return pd.DataFrame(columns=["found", "truth", "found_class", "true_class", "distance_angstrom"])
        return pd.concat(tables, ignore_index=True)


def _check_positions(table: pd.DataFrame, name: str) -> None:
    """Refuse positions that are no finite numbers."""
    for column in ("y", "x"):
        values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            value = table[column].iloc[bad[0]]
            raise SitesError(f"{name} has {column} = {value} in row {bad[0] + 1}, which is no position.")


def _renamed(table: pd.DataFrame, class_map: Mapping[str, str] | None) -> pd.DataFrame:
    renamed = table.reset_index(drop=True)
    return renamed.assign(**{"class": renamed["class"].replace(dict(class_map))}) if class_map else renamed


def _pixel_size_of(*tables: pd.DataFrame) -> float:
    """Pixel size in angstrom from the first table that implies one."""
    for table in tables:
        implied = implied_pixel_size(table)
        if implied is not None:
            return implied
    raise SitesError("The pixel size of the site tables is not known; give it in angstrom.")
