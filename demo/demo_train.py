"""The whole way with small presets: from an unlabelled stack to a network that knows its look, on the CPU in minutes.

A CycleGAN learns the look of the day from the unlabelled stack, translates simulations, and a small network learns
from them. The same network learns from clean simulations too, so that the gain shows; the shipped model is scored
beside them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
from demo import sample_day, work
from labelled_sets import SETS, LabelledSet, data_folder

from napari_stemlearn import jobs
from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.events import Event, Log, Metric
from napari_stemlearn.formats import read_micrograph, write_tiff
from napari_stemlearn.generation.settings import GenerateSettings
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.models.store import load_model
from napari_stemlearn.settings import Settings

ATOMS_ADD_UP = {"imaging.adf.column_coherence": 0.0}
"""Both days are simulated by programs that add up what each atom of a column scatters."""


def the_day(out: Path) -> tuple[Path, tuple[LabelledSet, Micrograph, pd.DataFrame]]:
    """The unlabelled stack of a day, and labelled frames of it that nothing learns from."""
    data = data_folder()
    if data is None:
        from napari_stemlearn.samples import simulated_day

        print("No data folder: taking the simulated day of the samples.")
        return write_tiff(out / "stack.tif", simulated_day().stack), sample_day()
    chosen = next(entry for entry in SETS if entry.name == "wse2-virtual day_a")
    return data / "wse2-virtual" / "day_a" / "stack.tif", (chosen, *chosen.load(data))


def learn_the_look(stack: Path, out: Path, steps: int) -> Path:
    """Train a CycleGAN on the stack; returns the folder of its generator."""
    settings = CycleGANSettings.preset("quick").changed(
        name="demo-look", experiment=[str(stack)], steps=steps, every=max(steps // 6, 1), **ATOMS_ADD_UP
    )

    def tell(event: Event) -> None:
        if isinstance(event, Metric) and "labels_recall" in event.values:
            print(
                f"  step {event.step:5d}: atoms found again {100 * event.values['labels_recall']:.1f} %, moved by "
                f"{event.values['labels_displacement']:.3f} angstrom; spectra differ by "
                f"{event.values['realism_spectrum']:.2f} decades",
                flush=True,
            )
        elif isinstance(event, Log):
            print(f"  {event.message}", flush=True)

    return Path(_run("cyclegan", settings, out, tell)["generator"])


def translated_set(generator: Path, out: Path, number: int) -> Path:
    """Generate labelled images with the look of the day."""
    settings = GenerateSettings(name="demo", generator=str(generator), number=number, shape=(384, 384))
    return Path(_run("generate", settings, out)["data_set"])


def train(name: str, changes: dict[str, Any], out: Path, steps: int, pixel_size: float) -> Path:
    """Train a small network; returns the folder of the model."""
    settings = SegmentationSettings.checked(
        {
            "name": name,
            "pixel_size": pixel_size,
            "acquisition_pixel_size": pixel_size,
            "structures": [{"structure": "wse2"}],
            "targets": {"classes": {"vacancy1": ["vacancy1"]}, "radius": 0.55},
            "network": {"width": 16},
            "optimisation": {"steps": steps},
            "validation": {
                "every": max(steps // 3, 1),
                "images": 16,
                "threshold_images": 64,
                "held_out_style": "unchanged",
            },
            **changes,
        }
    )

    def tell(event: Event) -> None:
        if isinstance(event, Metric) and "held_out_f1" in event.values:
            print(
                f"  step {event.step:5d}: F1 on images of its own style {event.values['held_out_f1']:.2f}", flush=True
            )

    return Path(_run("train", settings, out, tell)["model"])


def _run(kind: str, settings: Settings, out: Path, tell: Any = None) -> dict[str, Any]:
    started = time.perf_counter()
    run = jobs.run_inline(kind, settings, runs_folder=out / "runs", on_event=tell)
    if run.failure is not None:
        raise StemlearnError(run.failure.message)
    print(f"  {(time.perf_counter() - started) / 60:.1f} minutes")
    return dict(run.result or {})


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo-output/train"))
    parser.add_argument("--gan-steps", type=int, default=600, help="batches for the CycleGAN")
    parser.add_argument("--steps", type=int, default=300, help="batches for each network")
    parser.add_argument("--images", type=int, default=120, help="translated images to learn from")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    stack, (chosen, micrograph, labels) = the_day(options.out)
    pixel_size = read_micrograph(stack).require_pixel_size()
    print(f"A CycleGAN learns the look of {stack.name}, without labels")
    generator = learn_the_look(stack, options.out, options.gan_steps)
    print("It translates simulations; every label stays in place")
    data_set = translated_set(generator, options.out, options.images)
    print("A small network learns from the translated images")
    translated = train(
        "demo-translated",
        {"data": {"source": "folder", "folder": str(data_set)}},
        options.out,
        options.steps,
        pixel_size,
    )
    print("The same network learns from clean simulations")
    clean = train(
        "demo-clean",
        {"imaging": {"probe": {"beam_energy": 80, "convergence_semiangle": 25}, "detector": {"counting_noise": False}}},
        options.out,
        options.steps,
        pixel_size,
    )
    summary = []
    for name in (clean, translated, "tmd-defects"):
        model = load_model(name)
        print(f"{model.card.name} on {chosen.name}")
        (options.out / model.card.name).mkdir(exist_ok=True)
        result = work(chosen, micrograph, labels, model, options.out / model.card.name)
        summary.append(
            {"model": model.card.name, **{key: value for key, value in result.items() if not key.startswith("_")}}
        )
    gain = summary[1]["f1"] - summary[0]["f1"]
    print(
        f"F1 of single vacancies: {summary[0]['f1']:.3f} from clean simulations, {summary[1]['f1']:.3f} from "
        f"translated ones ({gain:+.3f}), {summary[2]['f1']:.3f} with the shipped model"
    )
    (options.out / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
    print(f"Everything is in {options.out}/")


if __name__ == "__main__":
    try:
        main()
    except StemlearnError as error:
        sys.exit(str(error))
