"""Class names of published label files that mean one of ours."""

from __future__ import annotations

PUBLISHED_NAMES: dict[str, str] = {
    "V_Se": "vacancy1",
    "V_Se2": "vacancy2",
    "V_W": "metal_vacancy",
    "w_antisite": "antisite",
}
"""Names of others and ours."""
