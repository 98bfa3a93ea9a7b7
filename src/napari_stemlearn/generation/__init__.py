"""Labelled micrographs in bulk: simulated, given the look of the day by a trained generator, marked, stored.

What is named here loads on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
