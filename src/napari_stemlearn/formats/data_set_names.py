"""By what the folder of a data set is known, for all that reads it."""

from __future__ import annotations

CARD = "dataset.json"
"""File in the folder that tells what it is."""

KIND = "stemlearn data set"
"""What the card of our data sets has as its ``kind``; other programs name files of theirs like the card."""
