"""What a search tells of itself, so that its sites are scored by what it looked for."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import pandas as pd

from napari_stemlearn.scoring.rule import RuleOptions


@runtime_checkable
class SearchedSites(Protocol):
    """Found sites that know their search, such as `napari_stemlearn.finding.Found`."""

    @property
    def sites(self) -> pd.DataFrame:
        """Site table in pixels of the searched micrograph."""

    @property
    def shape(self) -> tuple[int, int] | None:
        """Shape (y, x) of a searched frame in pixels; None where it is not known."""

    @property
    def border(self) -> float:
        """Within this many pixels of the edge no sites were given."""

    @property
    def frames(self) -> tuple[int, ...]:
        """Frames that were searched."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that were looked for."""


def with_search(found: pd.DataFrame | SearchedSites, options: RuleOptions) -> tuple[pd.DataFrame, RuleOptions]:
    """The found table, and the options with what its search tells; options that were given go first."""
    # what is neither is refused with the table
    if isinstance(found, pd.DataFrame) or not isinstance(found, SearchedSites):
        return found, options
    searched: RuleOptions = {
        "shape": found.shape,
        "frames": found.frames,
        "searched_border": found.border,
        "searched_classes": found.classes,
    }
    return found.sites, {**searched, **options}
