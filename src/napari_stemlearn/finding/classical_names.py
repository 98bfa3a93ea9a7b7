"""What the classical finder is called, for all that names it without computing."""

from __future__ import annotations

CLASSICAL = "log"
"""Its name in place of a model."""

CLASSICAL_CLASS = "column"
"""What it calls everything that it finds."""
