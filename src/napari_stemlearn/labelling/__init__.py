"""Labels by hand: what is labelled, with undo and review; where it lies on disk; clicks that go to columns."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
