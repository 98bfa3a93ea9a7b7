"""A micrograph with the truth about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from napari_stemlearn.micrograph import Micrograph


@dataclass(frozen=True)
class LabelledMicrograph:
    """A simulated micrograph, all columns and defects in it, and the parameters that were drawn for it.

    Parameters
    ----------
    micrograph
        The image, with settings and seed in its provenance.
    columns, defects
        Site tables of what lies inside the image.
    drawn
        Drawn values by section: ``drawn["probe"]["C10"]``. ``drawn["detector"]`` holds the gain and offset that were in
        effect, also where stretching chose them: ``(grey level - offset) / gain`` are electrons, but for rounding and
        clipped pixels.
    notes
        What the user should know, as full sentences by the name of the limit that is exceeded; mostly empty.
    """

    micrograph: Micrograph
    columns: pd.DataFrame
    defects: pd.DataFrame
    drawn: dict[str, Any]
    notes: dict[str, str] = field(default_factory=dict)
