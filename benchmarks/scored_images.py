"""F1 of the shipped models on labelled images that it never saw, at the thresholds of its card.

python benchmarks/scored_images.py --out benchmarks/results/scored_images.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))

from labelled_sets import SETS, data_folder

from napari_stemlearn.finding import FindSettings, find
from napari_stemlearn.models.store import load_model
from napari_stemlearn.scoring import bootstrap, score, sweep


def main() -> None:
    """Score every set and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME=FOLDER", help="take another model for NAME"
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tta", action="store_true", help="with test-time augmentation")
    options = parser.parse_args()
    folder = data_folder()
    if folder is None:
        sys.exit("No labelled images: set STEMLEARN_DATA to their folder.")
    instead = dict(entry.split("=", 1) for entry in options.model)
    models = {name: load_model(instead.get(name, name)) for name in dict.fromkeys(chosen.model for chosen in SETS)}
    settings = FindSettings(test_time_augmentation=options.tta)
    rows = []
    print(
        f"{'set':<20} {'P':>6} {'R':>6} {'F1':>6} {'95 % interval':>15} {'rms A':>6} {'n':>5} "
        f"{'all counted':>12} {'best of sweep':>14}"
    )
    for chosen in SETS:
        model = models[chosen.model]
        micrograph, labels = chosen.load(folder)
        rule = chosen.rule(micrograph, labels)
        started = time.perf_counter()
        found = find(micrograph, model, settings)
        seconds = time.perf_counter() - started
        scores = score(found.sites, labels, **rule)
        strict = score(found.sites, labels, **{**rule, "ignore": []}).of(chosen.site_class)
        row = scores.of(chosen.site_class)
        table = bootstrap(scores.matches).table
        interval = table[(table["class"] == chosen.site_class) & (table["metric"] == "f1")].iloc[0]
        everything = find(micrograph, model, settings.changed(threshold=0.02)).sites
        best = sweep(everything, labels, **rule).best.iloc[0]
        rows.append(
            {
                "set": chosen.name,
                "class": chosen.label_class or chosen.site_class,
                **{key: float(row[key]) for key in ("precision", "recall", "f1", "rms_error_angstrom", "n_truth")},
                "f1_low": float(interval["low"]),
                "f1_high": float(interval["high"]),
                "best_f1_of_sweep": float(best["best_f1"]),
                "f1_undecided_counted": float(strict["f1"]),
                "seconds": seconds,
            }
        )
        last = rows[-1]
        print(
            f"{chosen.name:<20} {last['precision']:6.3f} {last['recall']:6.3f} {last['f1']:6.3f} "
            f"{last['f1_low']:7.3f}–{last['f1_high']:.3f} {last['rms_error_angstrom']:6.2f} {int(last['n_truth']):5d} "
            f"{last['f1_undecided_counted']:12.3f} {last['best_f1_of_sweep']:14.3f}",
            flush=True,
        )
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "weights_sha256": {name: model.card.weights_sha256 for name, model in models.items()},
            "tta": options.tta,
            "rows": rows,
        }
        options.out.write_text(json.dumps(record, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
