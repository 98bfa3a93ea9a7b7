"""Find atoms and defects in atomic-resolution STEM and HRTEM images."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-stemlearn")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0.0.0"
