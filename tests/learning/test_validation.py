"""What a validation finds in score maps."""

from __future__ import annotations

import numpy as np

from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.targets import draw_targets
from napari_stemlearn.learning.validation import FEWEST_CANDIDATES, found_in


def test_every_site_of_a_full_crop_is_looked_at():
    settings = SegmentationSettings.preset("tiny")
    classes, radius = len(settings.targets.classes), settings.targets.radius / settings.pixel_size
    spacing = 2 * settings.targets.min_distance / settings.pixel_size
    count = int(np.sqrt(FEWEST_CANDIDATES)) + 4
    places = (np.arange(count) + 0.5) * spacing
    y, x = (axis.ravel() for axis in np.meshgrid(places, places, indexing="ij"))
    side = int(np.ceil(count * spacing))
    sites = np.column_stack([np.zeros_like(y), np.zeros_like(y), y, x])
    maps = draw_targets(sites, (1, classes, side, side), radius).maps.numpy()
    found = found_in(maps, settings)
    assert len(found) == count**2
    np.testing.assert_allclose(np.sort(found["y"]), np.sort(y), atol=0.2)
