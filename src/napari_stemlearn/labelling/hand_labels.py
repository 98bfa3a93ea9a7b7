"""Hand labels of one micrograph: sites, refused predictions and finished frames, with undo, review and promotion."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.errors import SitesError

if TYPE_CHECKING:
    import pandas as pd

SAME_PLACE = 1.0
"""Two marks closer than this, in angstrom, are the same place: well below any distance of two columns."""
SAME_PLACE_PIXELS = 5.0
"""The same in pixels, where the pixel size is not known."""
UNDO_STEPS = 300

ORDERS = ("most doubtful first", "best score first", "along the frame")
"""Orders in which predictions can be reviewed."""


@dataclass(frozen=True)
class LabelState:
    """One moment of a labelling; tables in it are never changed, only replaced."""

    sites: pd.DataFrame
    rejected: pd.DataFrame
    done: frozenset[int] = frozenset()


def changed_frames(before: LabelState, after: LabelState) -> list[int]:
    """Frames in which two moments differ."""
    from napari_stemlearn.sites import concat_sites

    frames = set(before.done ^ after.done)
    for one, other in ((before.sites, after.sites), (before.rejected, after.rejected)):
        if one is not other:
            both = concat_sites([one, other])[["frame", "y", "x", "class", "origin"]]
            frames |= set(both.drop_duplicates(keep=False)["frame"])
    return sorted(int(frame) for frame in frames)


def same_labels(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two site tables hold the same labels on the same pixels, in the same order."""
    return len(one) == len(other) and all(
        one[column].equals(other[column]) for column in ("frame", "y", "x", "class", "score", "origin")
    )


@dataclass(frozen=True)
class Promotion:
    """How many predictions became labels, and how many did not because a label or a refusal is there already."""

    added: int
    kept: int
    refused: int

    def __str__(self) -> str:
        added = f"{self.added} prediction{'' if self.added == 1 else 's'} added"
        parts = [f"{self.kept} left out beside a label" if self.kept else ""]
        parts.append(f"{self.refused} left out because rejected" if self.refused else "")
        return "; ".join([added, *(part for part in parts if part)]) + "."


class HandLabels:
    """The labels of one micrograph.

    Parameters
    ----------
    pixel_size
        In angstrom; None where it is not known.
    n_frames
        Number of frames of the micrograph.
    sites, rejected, done
        What was labelled before.
    """

    def __init__(
        self,
        *,
        pixel_size: float | None,
        n_frames: int = 1,
        sites: pd.DataFrame | None = None,
        rejected: pd.DataFrame | None = None,
        done: Iterable[int] = (),
    ) -> None:
        from napari_stemlearn.sites import empty_sites

        self.pixel_size = pixel_size
        self.n_frames = n_frames
        empty = empty_sites()
        self._state = LabelState(
            empty if sites is None else sites.reset_index(drop=True),
            empty if rejected is None else rejected.reset_index(drop=True),
            frozenset(int(frame) for frame in done),
        )
        self._past: list[tuple[str, LabelState]] = []
        self._future: list[tuple[str, LabelState]] = []
        self.on_change: list[Callable[[], None]] = []

    def calibrate(self, pixel_size: float | None) -> None:
        """Take another pixel size: labels stay on their pixels, their places in angstrom follow; no step to undo."""
        from napari_stemlearn.sites import recalibrated

        def follow(state: LabelState) -> LabelState:
            sites, rejected = (recalibrated(table, pixel_size) for table in (state.sites, state.rejected))
            return replace(state, sites=sites, rejected=rejected)

        self.pixel_size = pixel_size
        self._past = [(what, follow(state)) for what, state in self._past]
        self._future = [(what, follow(state)) for what, state in self._future]
        self._state = follow(self._state)
        self._tell()

    # -- what is there

    @property
    def state(self) -> LabelState:
        """The present moment."""
        return self._state

    @property
    def sites(self) -> pd.DataFrame:
        """Site table of the labels; do not change it in place."""
        return self._state.sites

    @property
    def rejected(self) -> pd.DataFrame:
        """Predictions that were refused."""
        return self._state.rejected

    @property
    def done(self) -> frozenset[int]:
        """Frames in which every site is labelled."""
        return self._state.done

    @property
    def same_place(self) -> float:
        """Distance in pixels below which two marks are one."""
        return SAME_PLACE / self.pixel_size if self.pixel_size else SAME_PLACE_PIXELS

    @property
    def undo_name(self) -> str:
        """What undo would take back, or an empty text."""
        return self._past[-1][0] if self._past else ""

    @property
    def redo_name(self) -> str:
        """What redo would do again, or an empty text."""
        return self._future[-1][0] if self._future else ""

    def count_by_frame(self) -> NDArray[np.int64]:
        """Number of labels in each frame."""
        return np.bincount(self.sites["frame"].to_numpy(dtype=np.int64), minlength=self.n_frames)[: self.n_frames]

    def count_by_class(self) -> dict[str, int]:
        """Number of labels of each class."""
        return {str(name): int(count) for name, count in self.sites["class"].value_counts().items()}

    def unreviewed_labels(self) -> int:
        """Number of labels that are promoted predictions nobody looked at."""
        return int((self.sites["origin"] == "predicted").sum())

    def nearest(self, frame: int, y: float, x: float, reach: float | None = None) -> int | None:
        """Row of the label next to a position (pixels) and within `reach` of it."""
        rows = np.flatnonzero(self.sites["frame"].to_numpy() == frame)
        if len(rows) == 0:
            return None
        here = self.sites.iloc[rows]
        distance = np.hypot(here["y"].to_numpy() - y, here["x"].to_numpy() - x)
        best = int(np.argmin(distance))
        return int(rows[best]) if distance[best] <= (self.same_place if reach is None else reach) else None

    # -- changes, each one step of undo

    def add(
        self, frame: int, y: float, x: float, site_class: str, *, origin: str = "hand", score: float = np.nan
    ) -> bool:
        """Add a label; one that lies on another label gives that one the class instead.

        Returns
        -------
        bool
            False where that same label was there already.
        """
        from napari_stemlearn.sites import concat_sites

        there = self.nearest(frame, y, x)
        if there is not None:
            if self.sites["class"].iloc[there] == site_class:
                return False
            self.set_class([there], site_class)
            return True
        row = self._rows(frame, y, x, site_class, origin=origin, score=score)
        self._change(f"add {site_class}", sites=concat_sites([self.sites, row]))
        return True

    def remove(self, rows: Iterable[int]) -> int:
        """Remove labels by row; returns how many."""
        gone = sorted(set(rows))
        if gone:
            what = "remove a label" if len(gone) == 1 else f"remove {len(gone)} labels"
            self._change(what, sites=self.sites.drop(index=gone).reset_index(drop=True))
        return len(gone)

    def remove_at(self, frame: int, y: float, x: float) -> bool:
        """Remove the label under a position; False where there is none."""
        row = self.nearest(frame, y, x)
        return row is not None and self.remove([row]) == 1

    def set_class(self, rows: Iterable[int], site_class: str) -> int:
        """Give labels another class; returns how many had another before."""
        rows = [row for row in set(rows) if self.sites["class"].iloc[row] != site_class]
        if rows:
            sites = self.sites.copy()
            sites.loc[rows, "class"] = site_class
            sites.loc[rows, "origin"] = sites.loc[rows, "origin"].replace("predicted", "edited")
            self._change(f"make {site_class}", sites=sites)
        return len(rows)

    def rename_class(self, old: str, new: str) -> int:
        """Give every label of a class another class, as one step; returns how many there were."""
        rows = self.sites["class"] == old
        if old != new and rows.any():
            self._change(
                f"rename {old} to {new}", sites=self.sites.assign(**{"class": self.sites["class"].mask(rows, new)})
            )
        return int(rows.sum())

    def replace_sites(self, sites: pd.DataFrame, what: str = "edit") -> None:
        """Take over a table that was changed elsewhere, for example with napari's own tools."""
        self._change(what, sites=sites.reset_index(drop=True))

    def set_done(self, frame: int, done: bool) -> None:
        """Mark a frame as completely labelled, or not."""
        wanted = self.done | {frame} if done else self.done - {frame}
        if wanted != self.done:
            self._change(f"mark frame {frame} {'done' if done else 'open'}", done=wanted)

    def accept(self, prediction: pd.Series) -> bool:
        """Make a prediction a label, reviewed by hand (origin ``edited``), with its score kept.

        Returns
        -------
        bool
            False where the same label was there already.
        """
        frame, y, x = int(prediction["frame"]), float(prediction["y"]), float(prediction["x"])
        there = self.nearest(frame, y, x)
        name = str(prediction["class"])
        if there is None:
            return self.add(frame, y, x, name, origin="edited", score=float(prediction["score"]))
        same = self.sites["class"].iloc[there] == name
        if same and self.sites["origin"].iloc[there] != "predicted":
            return False
        sites = self.sites.copy()
        sites.loc[there, ["class", "origin"]] = [name, "edited"]
        self._change(f"accept {name}", sites=sites)
        return True

    def reject(self, prediction: pd.Series) -> None:
        """Remember that a prediction is wrong; a promoted label nobody looked at goes with it, other labels stay."""
        from napari_stemlearn.sites import concat_sites

        frame, y, x = int(prediction["frame"]), float(prediction["y"]), float(prediction["x"])
        name = str(prediction["class"])
        row = self._rows(frame, y, x, name, origin="predicted", score=float(prediction["score"]))
        there = self.nearest(frame, y, x)
        sites = self.sites
        if there is not None and sites["origin"].iloc[there] == "predicted":
            sites = sites.drop(index=there).reset_index(drop=True)
        self._change(f"reject {name}", sites=sites, rejected=concat_sites([self.rejected, row]))

    def promote(self, predictions: pd.DataFrame) -> Promotion:
        """Add predictions where no label is near; labels are never changed or removed, and refusals are respected.

        Predictions enter with origin ``predicted`` until they are accepted or edited.

        Parameters
        ----------
        predictions
            Site table in pixels of the same micrograph.
        """
        from napari_stemlearn.sites import concat_sites, make_sites

        beside = self._near(predictions, self.sites)
        refused = self._near(predictions, self.rejected, same_class=True) & ~beside
        chosen = predictions[~beside & ~refused]
        if len(chosen):
            fresh = make_sites(
                chosen["y"],
                chosen["x"],
                chosen["class"].to_numpy(dtype=object),
                pixel_size=self.pixel_size,
                frame=chosen["frame"],
                score=chosen["score"],
                origin="predicted",
            )
            self._change(f"promote {len(chosen)} predictions", sites=concat_sites([self.sites, fresh]))
        return Promotion(len(chosen), int(beside.sum()), int(refused.sum()))

    def undo(self) -> str:
        """Take the last change back; says what it was, or nothing where there is none."""
        return self._step(self._past, self._future)

    def redo(self) -> str:
        """Do again what was taken back."""
        return self._step(self._future, self._past)

    # -- review

    def open_predictions(
        self, predictions: pd.DataFrame, order: str = ORDERS[0], thresholds: dict[str, float] | None = None
    ) -> pd.DataFrame:
        """Predictions that nobody has judged yet, in the order in which to look at them.

        Parameters
        ----------
        predictions
            Site table in pixels of the same micrograph.
        order
            One of `ORDERS`. Doubtful are those whose score lies near the threshold of their class.
        thresholds
            Threshold of each class; 0.5 where it has none.

        Raises
        ------
        SitesError
            If the order is unknown.
        """
        if order not in ORDERS:
            raise SitesError(f"Predictions cannot be reviewed '{order}'; allowed: {', '.join(ORDERS)}.")
        judged = self.sites[self.sites["origin"] != "predicted"]
        seen = self._near(predictions, judged) | self._near(predictions, self.rejected, same_class=True)
        left = predictions[~seen]
        left = left[~left["frame"].isin(self.done)]
        score = left["score"].fillna(0.0)
        if order == ORDERS[0]:
            threshold = left["class"].map(thresholds or {}).astype(float).fillna(0.5)
            return left.loc[(score - threshold).abs().sort_values(kind="stable").index]
        if order == ORDERS[1]:
            return left.loc[score.sort_values(ascending=False, kind="stable").index]
        stripe = (left["y"] // (8 * self.same_place)).astype(int)
        return left.assign(_stripe=stripe).sort_values(["frame", "_stripe", "x"], kind="stable").drop(columns="_stripe")

    # -- inside

    def _rows(self, frame: int, y: float, x: float, site_class: str, *, origin: str, score: float) -> pd.DataFrame:
        from napari_stemlearn.sites import make_sites

        return make_sites([y], [x], site_class, pixel_size=self.pixel_size, frame=frame, score=score, origin=origin)

    def _near(self, table: pd.DataFrame, others: pd.DataFrame, *, same_class: bool = False) -> NDArray[np.bool_]:
        """Mask of the rows of `table` that lie on a row of `others` in the same frame."""
        from scipy.spatial import cKDTree

        near = np.zeros(len(table), dtype=bool)
        frames, names = table["frame"].to_numpy(), table["class"].to_numpy(dtype=object)
        places = table[["y", "x"]].to_numpy(dtype=float)
        keys = ["frame", "class"] if same_class else ["frame"]
        for key, rows in others.groupby(keys):
            here = frames == key[0]
            if same_class:
                here &= names == key[1]
            if here.any():
                tree = cKDTree(rows[["y", "x"]].to_numpy(dtype=float))
                near[here] = np.isfinite(tree.query(places[here], distance_upper_bound=self.same_place)[0])
        return near

    def _change(self, what: str, **changes: object) -> None:
        self._past.append((what, self._state))
        del self._past[:-UNDO_STEPS]
        self._future.clear()
        self._state = replace(self._state, **changes)  # type: ignore[arg-type]
        self._tell()

    def _step(self, source: list[tuple[str, LabelState]], target: list[tuple[str, LabelState]]) -> str:
        if not source:
            return ""
        what, state = source.pop()
        target.append((what, self._state))
        self._state = state
        self._tell()
        return what

    def _tell(self) -> None:
        for call in list(self.on_change):
            call()
