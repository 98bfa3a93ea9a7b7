"""What can go wrong in a training, as sentences."""

from __future__ import annotations

from napari_stemlearn.errors import StemlearnError


class TrainingError(StemlearnError, RuntimeError):
    """A training cannot begin, go on or be resumed."""


class WorkerDiedError(TrainingError):
    """A process that makes training images died."""
