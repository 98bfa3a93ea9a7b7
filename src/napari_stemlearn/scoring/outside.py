"""Sites that cannot be of the scored image, since they lie outside it."""

from __future__ import annotations

import pandas as pd

from napari_stemlearn.sites import inside


def outside_notes(found: pd.DataFrame, truth: pd.DataFrame, shape: tuple[int, int] | None) -> tuple[str, ...]:
    """Say how many true and found sites lie outside the image: a sentence each, none where all lie inside.

    Parameters
    ----------
    found, truth
        Site tables in pixels.
    shape
        Shape (y, x) of a frame in pixels; None where it is not known.
    """
    if shape is None:
        return ()
    notes = []
    for name, whose, table in (("true", "labels", truth), ("found", "sites", found)):
        # the outermost pixels reach half a pixel beyond their centres
        count = int((~inside(table, shape, border=-0.5)).sum())
        if count:
            notes.append(
                f"{count} of {len(table)} {name} sites {'lies' if count == 1 else 'lie'} outside the {shape[0]} by "
                f"{shape[1]} pixels of the image; are y and x swapped, or are the {whose} of another image?"
            )
    return tuple(notes)
