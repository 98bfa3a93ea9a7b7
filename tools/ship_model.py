"""Put a trained model among those that come with the package.

python tools/ship_model.py runs/tmd-defects/result
"""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_stemlearn.models.store import load_model, save_model, shipped_folder


def main() -> None:
    """Write the model, its kernels as float16, into the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with card.json and weights.safetensors")
    options = parser.parse_args()
    model = load_model(options.folder, device="cpu")
    folder = shipped_folder() / model.card.name
    save_model(folder, model.network, model.card, half_precision=True)
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    print(f"{folder}: {size:.1f} MB")


if __name__ == "__main__":
    main()
