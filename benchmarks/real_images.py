"""A CycleGAN for each measured image: what it brings on labelled ones, and pictures of the others.

python benchmarks/real_images.py --out benchmarks/results/real_images.json

The generator sees one image and never its labels; the shipped model goes on for a few steps on what it translates and
is scored on that image, as shipped and after. For images without labels there is a gallery: simulation, translated
simulation and measured image with their Fourier amplitudes (as Figure 2 of Khan et al., npj Comput. Mater. 2023).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from table1 import FINE_TUNED, TRANSLATED, Task, merged, run_all, work_off

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))

from labelled_sets import SETS, data_folder

SEEDS = 3
"""Networks for each labelled image, all from one generator: what a few steps more or less do is chance."""

VACANCIES = [
    {"kind": "vacancy1", "probability": 0.03},
    {"kind": "vacancy2", "probability": 0.001},
]


@dataclass(frozen=True)
class Image:
    """A measured image and what its owner knows of it.

    Parameters
    ----------
    name
        Short; that of the labelled set where there is one.
    file
        Below the data folder.
    structure, imaging
        Settings of the simulations.
    labelled
        Whether there are labels to score against.
    """

    name: str
    file: str
    structure: dict[str, Any]
    imaging: dict[str, Any]
    labelled: bool = False


def _wse2(dopant: str, part: float) -> dict[str, Any]:
    doped = {"kind": "substitution", "sublattice": "metal", "elements": [dopant], "probability": part}
    return {"crystal": "WSe2", "defects": [*VACANCIES, doped]}


LOW_ANGLE = {
    "adf": {"inner_angle": "uniform(30, 50)", "z_contrast_change": "uniform(-0.8, 0)", "column_coherence": 1.0}
}
"""Detectors whose images show Se2 brighter than W."""

IMAGES = (
    Image("ti2", "wse2-ti-doped-labelled/ti2_adf2.tif", _wse2("Ti", 0.02), LOW_ANGLE, labelled=True),
    Image("ti25", "wse2-ti-doped-labelled/ti25_adf2.tif", _wse2("Ti", 0.02), LOW_ANGLE, labelled=True),
    Image("cr9", "wse2-cr-doped-labelled/cr9_adf2.tif", _wse2("Cr", 0.03), LOW_ANGLE, labelled=True),
    Image("V-doped WSe2", "wse2-v-doped-adf/adf_7978.tif", _wse2("V", 0.02), {}),
    Image("graphene", "graphene-atoms-nn-labelled/gb_6nm.tif", {"crystal": "graphene"}, {"probe": {"beam_energy": 60}}),
    Image(
        "SrTiO3",
        "srtio3-haadf/sto_team05.tif",
        {"crystal": "SrTiO3"},
        {"probe": {"beam_energy": 200}, "contamination": {"thickness": 0.0}},
    ),
)
"""All images."""


def tasks(data: Path, work: Path) -> Iterator[Task]:
    """A generator for each image; for labelled ones a set and a network as well."""
    from napari_stemlearn.imaging.settings import ImagingSettings
    from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings

    for image in IMAGES:
        short = image.name.replace(" ", "-")
        settings = merged(
            CycleGANSettings.presets["one-image"],
            {
                "experiment": [str(data / image.file)],
                "structures": [{"structure": image.structure}],
                "imaging": merged(ImagingSettings.presets["to_translate"], image.imaging),
            },
        )
        yield Task(f"generator-{short}", "cyclegan", settings)
        if image.labelled:
            generator = str(work / f"generator-{short}" / "result" / "generator")
            made = {**TRANSLATED, "name": "set", "generator": generator, "workers": 0}
            yield Task(f"set-{short}", "generate", made, f"generator-{short}")
            folder = str(work / f"set-{short}" / "result" / "set.stemset")
            for seed in range(SEEDS):
                learnt_from = {"data": {"source": "folder", "folder": folder, "workers": 0}, "seed": seed}
                settings = {**merged(FINE_TUNED, learnt_from), "recipe": "tmd-defects"}
                yield Task(f"network-{short}-{seed}", "train", settings, f"set-{short}")


def scored(work: Path, data: Path) -> list[dict[str, Any]]:
    """F1 as shipped and after the training on translated images, at the thresholds of the cards."""
    results = []
    for image in IMAGES:
        record = work / f"generator-{image.name.replace(' ', '-')}" / "record.json"
        if not record.exists():
            continue
        generator = json.loads(record.read_text(encoding="utf-8"))
        entry: dict[str, Any] = {"image": image.name, "seconds": generator["seconds"], **generator["result"]}
        entry.pop("generator", None)
        models = [work / f"network-{image.name}-{seed}" for seed in range(SEEDS)]
        models = [model / "result" for model in models if (model / "record.json").exists()]
        if image.labelled and models:
            entry["shipped"] = reached("tmd-defects", image.name, data)
            entry["after"] = [reached(model, image.name, data) for model in models]
            values = [after["f1"] for after in entry["after"]]
            entry["f1_after"] = float(np.mean(values))
            entry["f1_after_sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
        results.append(entry)
    return results


def reached(model: str | Path, image: str, data: Path) -> dict[str, Any]:
    """Scores of a model on a labelled image: undecided sites left out, and with every label counted."""
    from napari_stemlearn.finding import FindSettings, find
    from napari_stemlearn.models.store import load_model
    from napari_stemlearn.scoring import bootstrap, score

    chosen = next(candidate for candidate in SETS if candidate.name == image)
    micrograph, labels = chosen.load(data)
    rule = chosen.rule(micrograph, labels)
    found = find(micrograph, load_model(model), FindSettings()).sites
    scores = score(found, labels, **rule)
    row = scores.of(chosen.site_class)
    table = bootstrap(scores.matches).table
    of_f1 = table[(table["class"] == chosen.site_class) & (table["metric"] == "f1")].iloc[0]
    every = score(found, labels, **{**rule, "ignore": []}).of(chosen.site_class)
    return {
        **{name: float(row[name]) for name in ("precision", "recall", "f1")},
        "interval": [float(of_f1["low"]), float(of_f1["high"])],
        "f1_every_label": float(every["f1"]),
    }


def draw_gallery(work: Path, data: Path, path: Path) -> None:
    """Simulation, translated simulation and measured image, with their Fourier amplitudes below."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from napari_stemlearn.formats import read_micrograph
    from napari_stemlearn.learning.simulation_pool import simulated_images
    from napari_stemlearn.learning.translators import load_translator

    shown = [image for image in IMAGES if (work / f"generator-{image.name.replace(' ', '-')}" / "record.json").exists()]
    side = 192
    figure, axes = plt.subplots(2 * len(shown), 3, figsize=(7.5, 5 * len(shown)), layout="constrained", squeeze=False)
    for number, image in enumerate(shown):
        folder = work / f"generator-{image.name.replace(' ', '-')}" / "result" / "generator"
        translator = load_translator(folder, "cpu")
        settings = translator.settings
        (made,) = simulated_images(
            settings.structures, settings.imaging, pixel_size=translator.pixel_size, side=side, count=1, seed=5
        )
        measured = np.asarray(read_micrograph(data / image.file).frame(0), dtype=float)
        height, width = measured.shape
        top, left = (height - side) // 2, (width - side) // 2
        measured = measured[max(top, 0) :, max(left, 0) :][:side, :side]
        translated = translator.translate(made.image, np.random.default_rng(0))
        for column, (title, picture) in enumerate(
            (("simulated", made.image), ("translated", translated), (f"measured: {image.name}", measured))
        ):
            low, high = np.quantile(picture, [0.002, 0.998])
            axes[2 * number, column].imshow(picture, cmap="gray", vmin=low, vmax=high)
            axes[2 * number, column].set_title(title, fontsize=9)
            window = np.outer(*(np.hanning(length) for length in picture.shape))
            amplitude = np.abs(np.fft.fftshift(np.fft.fft2((picture - picture.mean()) / picture.std() * window)))
            axes[2 * number + 1, column].imshow(np.log10(amplitude + 0.1), cmap="magma", vmin=0, vmax=3.2)
    for axis in axes.ravel():
        axis.set_axis_off()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Train, score, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/real_images"), help="folder of the trainings")
    parser.add_argument("--out", type=Path, help="JSON file; a gallery is written beside it")
    parser.add_argument("--processes", type=int, default=max((os.cpu_count() or 2) // 2, 1), help="trainings at a time")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--score-only", action="store_true", help="train nothing, score what is there")
    options = parser.parse_args()
    data = data_folder()
    if data is None:
        sys.exit("No measured images: set STEMLEARN_DATA to the folder of the data.")
    work = options.work.resolve()
    wanted = list(tasks(data, work))
    if options.task:
        work_off(next(task for task in wanted if task.name == options.task), work / options.task)
        return
    if not options.score_only:
        run_all(wanted, work, options.processes, ["--work", str(work)], script=__file__)
    results = scored(work, data)
    for entry in results:
        f1 = ""
        if "after" in entry:
            each = ", ".join(f"{after['f1']:.3f}" for after in entry["after"])
            f1 = f"F1 {entry['shipped']['f1']:.3f} as shipped, {entry['f1_after']:.3f} after ({each})"
        print(f"{entry['image']:<14} {entry['seconds'] / 60:5.1f} min  spectrum {entry['spectrum']:.3f}  {f1}")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
        draw_gallery(work, data, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
