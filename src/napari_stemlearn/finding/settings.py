"""Settings of a search for sites."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from napari_stemlearn.settings import Settings, quantity


class FindSettings(Settings):
    """How a micrograph is searched, by a network or by the classical finder."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        "careful": {"test_time_augmentation": True},
        "everything": {"threshold": 0.02},
    }

    threshold: float | None = quantity(
        None, "1", "Lowest score that counts as found, for all classes; empty takes that of the model.",
        minimum=0.0, maximum=1.0, empty="as the model",
    )  # fmt: skip
    thresholds: dict[str, float] = quantity(
        {}, "1", "Lowest score of single classes, by name; goes before the one for all.",
        minimum=0.0, maximum=1.0, advanced=True,
    )  # fmt: skip
    classes: tuple[str, ...] = quantity((), "1", "Classes to look for; none means all of the model.", advanced=True)
    min_distance: float | None = quantity(
        None, "angstrom", "Two sites of one class are at least this far apart; empty takes that of the model.",
        minimum=0.05, maximum=50.0, advanced=True, empty="as the model",
    )  # fmt: skip
    border: float | None = quantity(
        None, "px",
        "Sites nearer than this to the edge of the frame are left out; empty leaves out what a network marks within "
        "its target radius, where half of the site is not in the image.",
        minimum=0.0, maximum=4096.0, empty="target radius",
    )  # fmt: skip
    refine: Literal["auto", "map", "image"] = quantity(
        "auto", "1",
        "Where a position comes from: the centre of its spot in the score map, or a 2D Gaussian fitted to the image; "
        "auto means map for networks and image for the classical finder.",
    )  # fmt: skip
    refine_max_shift: float = quantity(
        0.5, "angstrom", "A Gaussian fit that moves a site farther than this is refused.",
        minimum=0.01, maximum=5.0, advanced=True,
    )  # fmt: skip
    polarity: Literal["bright", "dark"] = quantity(
        "bright", "1", "Whether columns are brighter or darker than what lies between them.", advanced=True
    )
    column_radius: float | None = quantity(
        None, "angstrom",
        "Radius of a column (1.4 standard deviations of its Gaussian); empty measures it on the image.",
        minimum=0.05, maximum=20.0, advanced=True, empty="measured",
    )  # fmt: skip
    test_time_augmentation: bool = quantity(
        False,
        "1",
        "Average the network over the eight rotations and mirrorings of each tile: better, eight times slower.",
    )
    tile: int = quantity(
        1024, "px", "Largest side of a tile at the network's pixel size; a smaller one takes less memory.",
        minimum=16, maximum=8192, advanced=True,
    )  # fmt: skip
    precision: Literal["float32", "bfloat16", "float16"] = quantity(
        "float32", "1", "Number type of the network; the shorter ones are faster on some devices.", advanced=True
    )
    skip_bad_frames: bool = quantity(
        False, "1", "Leave out frames that are constant or hold NaN, with a note, instead of refusing the stack.",
        advanced=True,
    )  # fmt: skip
