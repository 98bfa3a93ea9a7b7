"""How well a network does on images that it never learns from: loss, found sites, best thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from napari_stemlearn.finding.peaks import keep_apart, local_maxima, spot_centres
from napari_stemlearn.finding.rivals import strongest_of_rivals
from napari_stemlearn.learning.crops import Crop, LabelledBatch, as_batch
from napari_stemlearn.learning.losses import mixed_loss
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.targets import Targets, draw_targets
from napari_stemlearn.models.card import Score
from napari_stemlearn.scoring.matching import match
from napari_stemlearn.scoring.scores import summarise
from napari_stemlearn.scoring.thresholds import sweep
from napari_stemlearn.sites import inside, make_sites

LOWEST_SCORE = 0.05
"""Maxima below are not even candidates."""

FEWEST_CANDIDATES = 400
"""At least so many maxima of one class in one image are looked at, if there are, and as many sites as can lie in it."""


@dataclass(frozen=True)
class Validation:
    """What a network reached on one set of images.

    Parameters
    ----------
    loss
        The training's loss.
    best
        One row a class: as `Sweep.best`.
    maps
        Scores (image, class, y, x).
    candidates, truth
        Site tables; candidates down to the lowest score, those of exclusive classes beside each other.
    absent
        Classes of which no image holds a site that counts: their F1 says nothing.
    """

    loss: float
    best: pd.DataFrame
    maps: NDArray[np.float32]
    candidates: pd.DataFrame
    truth: pd.DataFrame
    absent: tuple[str, ...] = ()

    @property
    def f1_of_classes(self) -> dict[str, float]:
        """Best F1 of every class that is there; 0 where nothing was found."""
        pairs = zip(self.best["class"], self.best["best_f1"], strict=True)
        return {name: float(np.nan_to_num(f1)) for name, f1 in pairs if name not in self.absent}

    @property
    def f1(self) -> float:
        """Mean of the best F1 of the classes that are there; 0 where none is."""
        values = list(self.f1_of_classes.values())
        return sum(values) / len(values) if values else 0.0

    def thresholds(self, of_start: Mapping[str, float] | None = None) -> dict[str, float]:
        """Middle of the best thresholds of every class; 0.5 where there is none.

        Parameters
        ----------
        of_start
            Thresholds of the model that the training started from; those of absent classes stay.
        """
        pairs = zip(self.best["class"], self.best["central_threshold"], strict=True)
        chosen = {name: 0.5 if math.isnan(value) else round(float(value), 4) for name, value in pairs}
        return chosen | {name: value for name, value in (of_start or {}).items() if name in self.absent}


def evaluate(
    network: nn.Module, crops: Sequence[Crop], settings: SegmentationSettings, device: torch.device
) -> Validation:
    """Run a network (in eval mode, in float32) over validation images and score what it finds.

    Parameters
    ----------
    network
        Without any wrapper for mixed precision, so that it gives what finding will give.
    crops
        From `crops.validation_crops`.
    """
    batch, targets = as_batch(crops, settings), settings.targets
    losses, maps = [], []
    size, step = batch.images.shape[-1], settings.optimisation.batch_size
    with torch.inference_mode():
        for start in range(0, len(crops), step):
            images = torch.from_numpy(batch.images[start : start + step, None]).to(device)
            rows = _rows_of(batch, start, len(images))
            shape = (len(images), len(targets.classes), size, size)
            radius = targets.radius / settings.pixel_size
            wanted = draw_targets(rows, shape, radius, kind=targets.shape, device=device)
            logits = network(images.contiguous(memory_format=torch.channels_last))
            losses.append(float(loss_of(logits, wanted, settings)) * len(images))
            maps.append(logits.float().sigmoid().cpu().numpy())
    every_map = np.concatenate(maps)
    candidates, truth = candidates_in(every_map, settings), true_sites(batch, settings)
    # one threshold is tried at a time, so every candidate takes its place here
    rule = matching_rule(settings, len(crops))
    best = sweep(without_rivals(candidates, settings), truth, **rule).best
    names = list(targets.classes)
    best = best.set_index("class").reindex(names).reset_index()
    absent = absent_classes(truth, settings)
    return Validation(sum(losses) / len(crops), best, every_map, candidates, truth, absent)


def loss_of(logits: torch.Tensor, targets: Targets, settings: SegmentationSettings) -> torch.Tensor:
    """The loss that the settings name."""
    optimisation = settings.optimisation
    return mixed_loss(
        logits,
        targets,
        optimisation.loss,
        focal_gamma=optimisation.focal_gamma,
        positive_weight=optimisation.positive_weight,
    )


def candidates_in(maps: NDArray[np.float32], settings: SegmentationSettings) -> pd.DataFrame:
    """Sites at the maxima of score maps (image, class, y, x), those of a class at least `min_distance` apart."""
    targets, pixel_size = settings.targets, settings.pixel_size
    names = list(targets.classes)
    apart, radius = targets.min_distance / pixel_size, targets.radius / pixel_size
    # a network that knows nothing has thousands; sites at least so far apart are at most as many as in a hexagonal net
    height, width = (side / max(apart, 1) + 1 for side in maps.shape[-2:])
    most = max(FEWEST_CANDIDATES, math.ceil(2 / math.sqrt(3) * height * width))
    tables = []
    for image, image_maps in enumerate(maps):
        sites: list[pd.DataFrame] = []
        for name, values in zip(names, image_maps, strict=True):
            rows, columns = local_maxima(values, LOWEST_SCORE)
            highest = np.sort(np.argsort(-values[rows, columns], kind="stable")[:most])
            rows, columns = rows[highest], columns[highest]
            y, x = spot_centres(values, rows, columns, radius, iterations=12)
            scores = values[rows, columns].astype(float)
            kept = keep_apart(y, x, scores, apart)
            sites.append(
                make_sites(
                    y[kept], x[kept], name, pixel_size=pixel_size, frame=image, score=scores[kept], origin="predicted"
                )
            )
        tables.extend(sites)
    return pd.concat(tables, ignore_index=True)


def without_rivals(sites: pd.DataFrame, settings: SegmentationSettings) -> pd.DataFrame:
    """Of the classes of an exclusive group a place holds only the one with the highest score."""
    targets, apart = settings.targets, settings.targets.min_distance / settings.pixel_size
    tables = []
    for _, table in sites.groupby("frame", sort=True):
        y, x = (table[axis].to_numpy(dtype=float) for axis in ("y", "x"))
        tables.append(table[strongest_of_rivals(y, x, table["score"], table["class"], targets.exclusive, apart)])
    return pd.concat(tables, ignore_index=True) if tables else sites


def true_sites(batch: LabelledBatch, settings: SegmentationSettings) -> pd.DataFrame:
    """The marked sites of a batch as a site table."""
    names = np.array(list(settings.targets.classes), dtype=object)
    image, site_class, y, x = batch.sites.T
    return make_sites(
        y, x, names[site_class.astype(int)], pixel_size=settings.pixel_size, frame=image.astype(int), origin="truth"
    )


def absent_classes(truth: pd.DataFrame, settings: SegmentationSettings) -> tuple[str, ...]:
    """Classes without any true site that counts."""
    rule = matching_rule(settings, 0)
    there = set(truth["class"][inside(truth, rule["shape"], rule["border"])])
    return tuple(name for name in settings.targets.classes if name not in there)


def matching_rule(settings: SegmentationSettings, n_images: int) -> dict[str, Any]:
    """How sites of validation images are matched."""
    size = settings.optimisation.crop
    return {
        "tolerance_angstrom": settings.validation.tolerance,
        "pixel_size": settings.pixel_size,
        "border": min(settings.validation.border / settings.pixel_size, size / 4),
        "shape": (size, size),
        "classes": list(settings.targets.classes),
        "frames": list(range(n_images)),
    }


def card_scores(
    validation: Validation,
    thresholds: dict[str, float],
    settings: SegmentationSettings,
    n_images: int,
    measured_on: str,
) -> list[Score]:
    """Scores of a model card at given thresholds."""
    candidates = validation.candidates
    # as finding does: what lies below its threshold takes no place from others
    found = without_rivals(candidates[candidates["score"] >= candidates["class"].map(thresholds)], settings)
    matches = match(found, validation.truth, **matching_rule(settings, n_images))
    table = summarise(matches).table.set_index("class")
    scores = []
    for name in settings.targets.classes:
        row = table.loc[name]
        scores.append(
            Score(
                measured_on=measured_on,
                **{"class": name},
                precision=_rounded(row["precision"]),
                recall=_rounded(row["recall"]),
                f1=_rounded(row["f1"]),
                rms_angstrom=_rounded(row["rms_error_angstrom"]),
                tolerance_angstrom=settings.validation.tolerance,
                threshold=thresholds[name],
                n_truth=int(row["n_truth"]),
            )
        )
    return scores


def scores_of_styles(
    settings: SegmentationSettings, thresholds: dict[str, float], held_out: Validation, same: Validation
) -> list[dict[str, Any]]:
    """Scores of a model card on the held-out and on the training's own style, as plain values."""
    style_name = settings.validation.held_out_style
    scores = []
    what = "simulated" if settings.data.source == "simulation" else "stored"
    for validation, style in (
        (
            held_out,
            f"of the held-out style '{style_name}', on which the thresholds were chosen",
        ),
        (same, "of the training's own style, not learnt from"),
    ):
        count = len(validation.maps)
        scores += card_scores(validation, thresholds, settings, count, f"{count} {what} images {style}")
    return [entry.model_dump(mode="json", by_alias=True) for entry in scores]


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)


def _rows_of(batch: LabelledBatch, start: int, count: int) -> NDArray[np.float64]:
    rows = batch.sites[(batch.sites[:, 0] >= start) & (batch.sites[:, 0] < start + count)].copy()
    rows[:, 0] -= start
    return rows
