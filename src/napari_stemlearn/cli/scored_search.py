"""What a search left out at the edge, for ``stemlearn score``, and sentences on what nobody looked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stemlearn.errors import StemlearnError

if TYPE_CHECKING:
    from napari_stemlearn.scoring import Matches
    from napari_stemlearn.scoring.rule import RuleOptions


def searched_border(
    search: RuleOptions, shape_of: Callable[[Path | None], tuple[int, int]], image: Path | None
) -> tuple[float, tuple[int, int] | None]:
    """The border that a search left out in pixels, and the shape of its frames.

    Parameters
    ----------
    search
        As `scoring.search_of_record` gives it.
    shape_of
        Gives the shape (y, x) of a frame in pixels, where an image is given by its file, or of the only one.
    image
        As the user gave it: a file, or only the name of one.

    Returns
    -------
    border : float
        0 where it is not known, or the size of the frames is not.
    shape : tuple of int or None
        None where there is no border.
    """
    from napari_stemlearn.cli.printing import note

    border = search.get("searched_border", 0.0)
    if not border > 0:
        return 0.0, None
    try:
        return border, shape_of(image if image is not None and image.exists() else None)
    except StemlearnError:
        note(
            f"Warning: the search left out what is nearer than {border:.3g} px to the edge, which counts as missed, "
            "since the size of the image is not known; give --shape Y,X or --image FILE."
        )
        return 0.0, None


def tell_never_found(matches: Matches, found_name: str) -> None:
    """Say which true classes count as missed and never occur among the found ones: perhaps nobody looked for them."""
    from napari_stemlearn.cli.printing import note

    ours, theirs = set(matches.found["class"]), set(matches.truth["class"])
    never = sorted(str(name) for name in (theirs & set(matches.classes)) - ours)
    # where no name is in common, that is said
    if ours & theirs and never:
        one = len(never) == 1
        note(
            f"Warning: the true class{'' if one else 'es'} {', '.join(never)} {'is' if one else 'are'} nowhere in "
            f"{found_name} and count{'s' if one else ''} as missed; choose what to score with --class."
        )
