"""Find atoms and defects in atomic-resolution STEM images."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        """Look the version up when it is asked for: that takes longer than the rest of the import."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("napari-stemlearn")
        except PackageNotFoundError:  # running from a source tree that was never installed
            return "0.0.0"
