"""The whole way with small presets: simulate, train a small network, find, score, on the CPU in some ten minutes.

The result is compared with the shipped model on the same images.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from demo import work
from labelled_sets import SETS, data_folder

from napari_stemlearn import jobs
from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.events import Event, Metric
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.models.store import load_model


def train(out: Path, steps: int) -> Path:
    """Train the small network; returns the folder of the model."""
    settings = SegmentationSettings.preset("quick").changed(
        name="demo-vacancies", **{"optimisation.steps": steps, "validation.every": max(steps // 5, 1)}
    )

    def tell(event: Event) -> None:
        if isinstance(event, Metric) and "held_out_f1" in event.values:
            print(
                f"  step {event.step:5d}: F1 on simulations {event.values['same_style_f1']:.2f}, "
                f"of a style never trained on {event.values['held_out_f1']:.2f}",
                flush=True,
            )

    run = jobs.run_inline("train", settings, runs_folder=out / "runs", on_event=tell)
    if run.failure is not None:
        raise StemlearnError(run.failure.message)
    return Path((run.result or {})["model"])


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo-output/train"))
    parser.add_argument("--steps", type=int, default=600, help="batches to learn from")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    print(f"Training a small network on simulations, {options.steps} steps")
    folder = train(options.out, options.steps)
    print(f"  {(time.perf_counter() - started) / 60:.1f} minutes")
    data = data_folder()
    if data is None:
        from demo import sample_day

        work_list = [sample_day()]
    else:
        work_list = [(chosen, *chosen.load(data)) for chosen in SETS if chosen.name == "wse2-virtual day_a"]
    summary = []
    for name in (folder, "tmd-defects"):
        model = load_model(name)
        for chosen, micrograph, labels in work_list:
            print(f"{model.card.name} on {chosen.name}")
            (options.out / model.card.name).mkdir(exist_ok=True)
            result = work(chosen, micrograph, labels, model, options.out / model.card.name)
            summary.append(
                {"model": model.card.name, **{key: value for key, value in result.items() if not key.startswith("_")}}
            )
    (options.out / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
    print(f"Everything is in {options.out}/")


if __name__ == "__main__":
    try:
        main()
    except StemlearnError as error:
        sys.exit(str(error))
