"""How well found sites agree with the truth: matching, precision, recall, position error, sweeps, confidence."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
