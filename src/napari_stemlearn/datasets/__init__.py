"""Many labelled micrographs on disk, with all that is known about them.

Sets that can be queried are in `napari_stemlearn.datasets.store`, folders of TIFF and CSV files in
`napari_stemlearn.datasets.simulated`; what is named here loads on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
