"""Data to try everything on: a day at the microscope simulated without a network, and measured public sets."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
