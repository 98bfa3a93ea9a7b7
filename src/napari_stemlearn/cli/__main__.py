"""``python -m napari_stemlearn.cli``."""

from napari_stemlearn.cli import main

if __name__ == "__main__":
    main()
