"""From a specimen and the settings of a microscope to a labelled micrograph.

The functions are in `napari_stemlearn.imaging.simulate`; what is named here loads on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
