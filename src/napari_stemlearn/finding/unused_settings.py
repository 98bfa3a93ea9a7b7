"""Settings that were changed, but that a search with this finder does not use."""

from __future__ import annotations

from napari_stemlearn.finding.settings import FindSettings

OF_NETWORKS = ("test_time_augmentation", "precision")
"""What the classical finder does not use."""

OF_FITS = ("refine_max_shift",)
"""What only Gaussian fits to the image use."""

OF_FITS_AND_CLASSICAL = ("polarity", "column_radius")
"""What the classical finder uses, and Gaussian fits."""


def unused_settings_note(settings: FindSettings, name: str, *, is_network: bool) -> tuple[str, ...]:
    """One sentence that names the changed settings without effect; nothing where there are none.

    Parameters
    ----------
    settings
        Of the search.
    name
        Of the model, or ``log``.
    is_network
        Whether it is a network.
    """
    fits = settings.refine == "image" or (settings.refine == "auto" and not is_network)
    unused = (() if is_network else OF_NETWORKS) + (() if fits else OF_FITS)
    if is_network and not fits:
        unused += OF_FITS_AND_CLASSICAL
    fresh = FindSettings()
    named = [setting for setting in unused if getattr(settings, setting) != getattr(fresh, setting)]
    if not named:
        return ()
    words = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    without_fits = "" if set(named) <= set(OF_NETWORKS) else " without refine=image"
    return (f"Without effect: '{name}' does not use {words}{without_fits}.",)
