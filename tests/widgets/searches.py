"""Searches of the Find dock whose messages a test makes up."""

from __future__ import annotations

import threading

import numpy as np
from sites_and_images import PIXEL_SIZE

from napari_stemlearn.finding.found import FrameFound
from napari_stemlearn.sites import make_sites

WAIT = 120_000


def found(frame, scores, site_class="vacancy1"):
    places = 10.0 * np.arange(1, len(scores) + 1)
    table = make_sites(places, places, site_class, pixel_size=PIXEL_SIZE, frame=frame, score=scores, origin="predicted")
    return FrameFound(frame, table, notes=(f"Frame {frame}: 1 of {len(scores)} Gaussian fits were refused.",))


def answer_with(dock, messages):
    """Let the dock hear these messages instead of those of a search."""
    dock.process.search = lambda _request, _micrograph: iter(messages)


def run(qtbot, dock):
    dock.find_button.button.click()
    qtbot.waitUntil(lambda: dock.worker is None, timeout=WAIT)


def waiting_search(*, stopped):
    """A search that finds a column and then waits for the event that comes with it."""
    go_on = threading.Event()

    def search(_request, _micrograph):
        yield "found", found(0, [0.9], "column")
        go_on.wait(20)
        yield "end", stopped

    return search, go_on
