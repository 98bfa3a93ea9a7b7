from .column_radius import estimate_column_radius
from .found import Found, FrameFound
from .gaussians import fit_gaussians
from .peaks import keep_apart, local_maxima, spot_centres
from .rivals import strongest_of_rivals
from .search import find, find_frames, find_kept
from .settings import FindSettings

__all__ = [
    "FindSettings",
    "Found",
    "FrameFound",
    "estimate_column_radius",
    "find",
    "find_frames",
    "find_kept",
    "fit_gaussians",
    "keep_apart",
    "local_maxima",
    "spot_centres",
    "strongest_of_rivals",
]
