"""How like the virtual days simulations look: clean, with hand-set noise, and after each CycleGAN of Table 1.

python benchmarks/table1.py --work runs/table1
python benchmarks/realism.py --work runs/table1 --out benchmarks/results/realism.json

Compares patches of every kind with those of the unlabelled stack by the measures of `learning.realism_report`
(see docs/how-to/realism-and-labels.md). Other frames of the same day are the floor.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from table1 import ATOMS_ADD_UP, CLEAN, DAYS, GENERATORS, OURS, PIXEL_SIZE, generator_name, merged

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))

from labelled_sets import data_folder

SIDE, COUNT = 128, 72
"""Images of either set: their side in pixels and their number."""

WORDS = {
    "clean": "CycleGAN without Fourier critics",
    "clean, Fourier": "CycleGAN with Fourier critics",
    OURS: "the same, lattices and unit cells matched",
}
"""The kinds of generators, as in Table 1."""


def patches_of(frames: NDArray[np.generic], seed: int) -> NDArray[np.float32]:
    """Windows at random places of frames (n, y, x)."""
    from napari_stemlearn.learning.experiment import Experiment
    from napari_stemlearn.micrograph import Micrograph

    experiment = Experiment([Micrograph(frames, PIXEL_SIZE)], crop=SIDE)
    return experiment.patches(np.random.default_rng(seed), COUNT, SIDE)


def kinds(frames: NDArray[np.generic], day: str, work: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Images of each kind, by its name in the table."""
    from napari_stemlearn.imaging.settings import ImagingSettings
    from napari_stemlearn.learning.simulation_pool import simulated_images
    from napari_stemlearn.learning.translators import load_translator

    ours = load_translator(folder_of(work, OURS, day), "cpu").settings
    given = {"clean simulations": CLEAN, "hand-set noise": merged(ImagingSettings.presets["varied"], ATOMS_ADD_UP)}
    options = {"pixel_size": PIXEL_SIZE, "side": SIDE, "count": COUNT}
    yield "other frames of the day", patches_of(frames[1::2], 1)
    for name, imaging in given.items():
        # the crystal lies as it does in the experiment, so that its orientation makes no difference
        made = simulated_images(ours.structures, ImagingSettings.checked(imaging), seed=2, **options)
        yield name, np.stack([entry.image for entry in made])
    for kind, words in WORDS.items():
        translator = load_translator(folder_of(work, kind, day), "cpu")
        settings = translator.settings
        made = simulated_images(settings.structures, settings.imaging, seed=3, **options)
        images = np.stack([entry.image for entry in made])
        yield words, translator.translate_stack(images, np.random.default_rng(0))


def folder_of(work: Path, kind: str, day: str) -> Path:
    """Where Table 1 keeps the first generator of a kind."""
    return work / generator_name(kind, day, 0) / "result" / "generator"


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/table1"), help="folder of the trainings of table1.py")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    data = data_folder()
    if data is None:
        sys.exit("No virtual days: set STEMLEARN_DATA to the folder of the data.")
    days = [label for label, folders in DAYS.items() if len(folders) == 1]
    missing = [
        str(path) for day in days for kind in GENERATORS if not (path := folder_of(options.work, kind, day)).is_dir()
    ]
    if missing:
        sys.exit(f"There is no generator in {missing[0]}; run benchmarks/table1.py --work {options.work} first.")
    results = measured(data, days, options.work)
    for row in results:
        fid = "  –  " if row["fid"] is None else f"{row['fid']:.3f}"
        print(
            f"{row['day']}  {row['images']:<44} spectrum {row['spectrum']:5.2f}  grey levels {row['grey_levels']:.3f}  "
            f"noise {row['noise']:.3f}  KID {row['kid']:7.4f} ± {row['kid_error']:.4f}  FID {fid}"
        )
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=1), encoding="utf-8")


def measured(data: Path, days: list[str], work: Path) -> list[dict[str, Any]]:
    """Every measure of every kind on each day."""
    from napari_stemlearn.formats import read_micrograph
    from napari_stemlearn.learning.features import load_features
    from napari_stemlearn.learning.realism_report import compare_looks

    network, results = load_features(), []
    for day in days:
        stack = read_micrograph(data / "wse2-virtual" / DAYS[day][0] / "stack.tif")
        frames = np.stack([stack.frame(index) for index in range(stack.n_frames)])
        experiment = patches_of(frames[::2], 0)
        for name, images in kinds(frames, day, work):
            report = compare_looks(experiment, images, PIXEL_SIZE, network=network)
            results.append({"day": day, "images": name, **report.record()})
    return results


if __name__ == "__main__":
    main()
