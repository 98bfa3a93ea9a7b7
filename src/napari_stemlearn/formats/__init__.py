"""Files in and out: micrographs of every common microscope format, calibrated TIFF, site tables with their sidecars."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
