"""What a validation finds in score maps."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.targets import draw_targets
from napari_stemlearn.learning.validation import FEWEST_CANDIDATES, Validation, candidates_in, card_scores
from napari_stemlearn.sites import make_sites


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
    found = candidates_in(maps, settings)
    assert len(found) == count**2
    np.testing.assert_allclose(np.sort(found["y"]), np.sort(y), atol=0.2)


def test_what_lies_below_its_threshold_takes_no_place_in_the_scores_of_a_card():
    settings = SegmentationSettings.preset("tiny").changed(**{"targets.exclusive": [["vacancy1", "vacancy2"]]})
    candidates = make_sites(
        [10.0, 10.0], [10.0, 10.4], ["vacancy1", "vacancy2"], pixel_size=0.2, score=[0.5, 0.6], origin="predicted"
    )
    truth = make_sites([10.0], [10.0], "vacancy1", pixel_size=0.2, origin="truth")
    nothing = np.zeros((1, 2, 32, 32), np.float32)
    validation = Validation(0.0, pd.DataFrame(), nothing, candidates, truth)
    thresholds = {"vacancy1": 0.4, "vacancy2": 0.7}
    scores = {score.site_class: score for score in card_scores(validation, thresholds, settings, 1, "one image")}
    assert scores["vacancy1"].f1 == 1
    below = {"vacancy1": 0.4, "vacancy2": 0.5}
    scores = {score.site_class: score for score in card_scores(validation, below, settings, 1, "one image")}
    assert scores["vacancy1"].recall == 0
