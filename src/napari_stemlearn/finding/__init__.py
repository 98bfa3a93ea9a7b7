"""From a micrograph to sites: a trained network or the classical finder, tile by tile, frame by frame."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
