"""How often the mean unit cell tells which columns are the heavy ones: on simulated frames whose orientation is known.

python benchmarks/cell_orientation.py --frames 60

Aberrations, scan, carbon and contrast are drawn as in the imaging preset `to_translate`, with its contrast and with
that of low detector angles; rotation, tilt and pixel size are drawn as well. The peer of the same run is what the fit
with all aberrations and tilt would have said.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.learning.cell_fit import orientation
from napari_stemlearn.learning.experiment import Experiment
from napari_stemlearn.learning.lattice_alignment import Alignment, alignments
from napari_stemlearn.learning.likeness import perfect_crystal
from napari_stemlearn.learning.matched_settings import EXTENT, HIGHEST, LOWEST, measured_cell
from napari_stemlearn.learning.settings import MixtureSettings
from napari_stemlearn.learning.simulation_pool import simulated_images
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.structures.build import build
from napari_stemlearn.structures.settings import StructureSettings

CONTRASTS = {"high angle": "normal(-0.1, 0.2)", "low angle": "uniform(-1.2, -0.4)"}
"""What is known of the contrast."""

DEFECTS = [{"kind": "vacancy1", "probability": 0.03}, {"kind": "vacancy2", "probability": 0.001}]
SIDE, NOISE, TILT = 448, 0.1, 2.5


def frame(contrast: str, seed: int) -> tuple[Experiment, MixtureSettings, ImagingSettings, float]:
    """A frame, what is known of it, and how its crystal lies."""
    rng = np.random.default_rng(seed)
    known = MixtureSettings(structure=StructureSettings.checked({"crystal": "WSe2", "defects": DEFECTS}))
    contrasts = {"adf.z_contrast_change": contrast, "adf.column_coherence": 0.0}
    imaging = ImagingSettings.preset("to_translate").changed(**contrasts)
    rotation, pixel_size = float(rng.uniform(0, 360)), float(rng.choice([0.2, 0.26, 0.38]))
    tilt = {"tilt": abs(float(rng.normal(0, TILT))), "tilt_axis": float(rng.uniform(0, 360))}
    true = known.model_copy(update={"structure": known.structure.changed(rotation=rotation, **tilt)})
    (made,) = simulated_images((true,), imaging, pixel_size=pixel_size, side=SIDE, count=1, seed=seed)
    image = made.image + rng.normal(0, NOISE * made.image.std(), made.image.shape)
    return Experiment([Micrograph(image.astype(np.float32), pixel_size)], 192), known, imaging, rotation


def answers(contrast: str, seed: int) -> dict[str, bool | None] | None:
    """Whether each way of asking is right, None where it does not tell; None for a frame whose spots tell nothing."""
    experiment, known, imaging, rotation = frame(contrast, seed)
    found = alignments(experiment, known)
    if not found:
        return None
    (image, alignment), *_ = found
    true = half_turned(rotation, alignment)
    if true is None:
        return None
    specimen = build(perfect_crystal(known.structure, "WSe2", EXTENT), 0)
    said = {}
    for name, highest, plain in (("plain probe", LOWEST, True), ("all aberrations", HIGHEST, False)):
        limit = min(highest, 0.45 / experiment.pixel_size)
        measured = measured_cell(image, alignment, specimen, imaging, experiment.pixel_size, limit, plain=plain)
        answer = orientation(*measured) if measured else None
        said[name] = None if answer is None else answer == true
    return said


def half_turned(rotation: float, alignment: Alignment) -> bool | None:
    """Whether a crystal of threefold symmetry lies half a turn from an alignment; None where it is another one."""
    steps = (rotation - alignment.rotation) / 60
    return None if abs(steps - round(steps)) > 0.08 else bool(round(steps) % 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=50, help="frames for each contrast")
    parser.add_argument("--seed", type=int, default=0, help="of the first frame")
    parser.add_argument("--out", type=Path, help="write the figures to this file")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    for name, contrast in CONTRASTS.items():
        said = [answers(contrast, seed) for seed in range(chosen.seed, chosen.seed + chosen.frames)]
        seen = [entry for entry in said if entry is not None]
        for way in seen[0] if seen else ():
            values = [entry[way] for entry in seen]
            row = {"right": values.count(True), "wrong": values.count(False), "undecided": values.count(None)}
            figures[f"{name}, {way}"] = row
            print(f"{name:<11} {way:<16}", ", ".join(f"{count} {word}" for word, count in row.items()))
    if chosen.out:
        chosen.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
