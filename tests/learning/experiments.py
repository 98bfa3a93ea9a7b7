"""Experiments made of a few frames."""

from __future__ import annotations

import numpy as np

from napari_stemlearn.learning.experiment import Experiment
from napari_stemlearn.micrograph import Micrograph

PIXEL_SIZE = 0.22
"""In angstrom."""


def experiment_of(*frames):
    """A stack of these frames, for crops of 64 pixels."""
    return Experiment([Micrograph(np.stack(frames), PIXEL_SIZE, "stack")], 64)
