"""Where a simulated image leaves what the model holds for, in a sentence each."""

from __future__ import annotations

from collections.abc import Mapping

BRIGHTEST = 0.3
"""Fraction of the incident beam on one pixel up to which adding up what single atoms scatter makes sense."""


def exceeded_limits(drawn: Mapping[str, Mapping[str, float]], brightest: float) -> dict[str, str]:
    """What the user should know about one image.

    Parameters
    ----------
    drawn
        Values of the image by section, as of `LabelledMicrograph`.
    brightest
        Largest fraction of the incident beam that one of its pixels gets.

    Returns
    -------
    dict
        A full sentence by the name of the limit, ``brightness`` or ``inner_angle``; empty for most images.
    """
    notes = {}
    if brightest > BRIGHTEST:
        notes["brightness"] = (
            f"The brightest pixel gets {brightest:.0%} of the incident beam; the model adds up what single atoms "
            f"scatter, which holds to about {BRIGHTEST:.0%}: make the specimen thinner."
        )
    inner, semiangle = drawn["adf"]["inner_angle"], drawn["probe"]["convergence_semiangle"]
    if inner <= semiangle:
        notes["inner_angle"] = (
            f"The inner angle of {inner:.4g} mrad lies within the convergence semiangle of {semiangle:.4g} mrad; the "
            "image shows scattered electrons only, without the direct beam that would reach such a detector."
        )
    return notes
