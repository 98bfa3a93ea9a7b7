"""The model card: what a trained network finds, how its input is prepared, and what it scored on what."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_stemlearn.errors import ModelError
from napari_stemlearn.settings import explain

SYNTHETIC_NOTE = "Trained on simulated images only; no experimental image or hand label was used."
"""Default note of a card."""


class NormalisationRecord(BaseModel):
    """How grey levels are normalised before the network sees them, in training and in finding alike.

    Parameters
    ----------
    kind
        ``local``: less the local mean, by the local standard deviation. ``frame``: by mean and standard deviation of
        the whole frame.
    window_angstrom
        Full width at half maximum of the local window.
    floor
        The local standard deviation counts as at least this fraction of the frame's, so that vacuum stays quiet.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["local", "frame"] = "local"
    window_angstrom: float = Field(default=10.0, gt=0)
    floor: float = Field(default=0.25, ge=0, le=1)


class Score(BaseModel):
    """What a model reached on one class of one set of images.

    Parameters
    ----------
    measured_on
        The images in words, and whether they are simulated or measured.
    site_class
        Class, in the file called ``class``.
    precision, recall, f1
        Between 0 and 1; None where nothing was there to count.
    rms_angstrom
        Root mean square distance between found and true position.
    tolerance_angstrom, threshold, n_truth
        How it was matched, and how many true sites there were.
    """

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)

    measured_on: str
    site_class: str = Field(alias="class")
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    rms_angstrom: float | None = None
    tolerance_angstrom: float | None = None
    threshold: float | None = None
    n_truth: int | None = None


class ModelCard(BaseModel):
    """All that is needed to use a trained network and to judge it.

    Parameters
    ----------
    name, description
        Short name and one sentence.
    classes
        Output channels in order.
    pixel_size
        Side of a pixel in angstrom at which the network was trained; images are resampled to it.
    pixel_size_range
        Smallest and largest acquisition pixel size in angstrom seen in training.
    normalisation
        See `NormalisationRecord`.
    network
        Record for `networks.build.build_network`.
    target_radius
        Radius in angstrom of the discs, or standard deviation of the spots, that the network learnt to draw.
    thresholds
        Score from which a place counts as found, for every class, chosen on simulations of a held-out style.
    min_distance
        Two sites of one class are at least this far apart, in angstrom.
    exclusive
        Groups of classes of which a place holds only one.
    settings, seed, versions
        What trained it.
    scores
        What it reached, and on what.
    licence, created, note
        For whoever uses it.
    weights_sha256
        Of the weights file that belongs to the card; empty if not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    name: str = Field(min_length=1)
    description: str = ""
    classes: tuple[str, ...] = Field(min_length=1)
    pixel_size: float = Field(gt=0)
    pixel_size_range: tuple[float, float] | None = None
    normalisation: NormalisationRecord = NormalisationRecord()
    network: dict[str, Any]
    target_radius: float = Field(default=0.6, gt=0)
    thresholds: dict[str, float] = {}
    min_distance: float = Field(default=1.0, gt=0)
    exclusive: tuple[tuple[str, ...], ...] = ()
    settings: dict[str, Any] = {}
    seed: int | None = None
    versions: dict[str, str] = {}
    scores: tuple[Score, ...] = ()
    licence: str = "GPL-3.0-or-later"
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    note: str = SYNTHETIC_NOTE
    weights_sha256: str = ""

    @model_validator(mode="after")
    def _classes_fit(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is listed twice")
        known = set(self.classes)
        for where, names in (("thresholds", set(self.thresholds)), ("exclusive", set().union(*self.exclusive))):
            if names - known:
                raise ValueError(f"{where} names '{min(names - known)}', which is none of {', '.join(self.classes)}")
        channels = self.network.get("out_channels")
        if channels is not None and channels != len(self.classes):
            raise ValueError(f"the network has {channels} outputs for {len(self.classes)} classes")
        return self

    def threshold(self, site_class: str) -> float:
        """Score from which a place counts as `site_class`; 0.5 where the card has none."""
        return self.thresholds.get(site_class, 0.5)

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return self.model_dump(mode="json", by_alias=True)


def read_card(path: str | Path) -> ModelCard:
    """Read a model card.

    Raises
    ------
    ModelError
        If the file is missing, is no JSON, or does not hold a model card.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"There is no model card {path}.") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"The model card {path} cannot be read: {error}.") from error
    if not isinstance(values, dict):
        raise ModelError(f"The model card {path} holds no names and values.")
    try:
        return ModelCard(**values)
    except ValidationError as error:
        raise ModelError(f"The model card {path} is wrong: {explain(error)}") from error
