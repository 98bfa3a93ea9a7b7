"""The main job from end to end: acquired images, found defects, scores, a figure and a picture of napari.

With the shipped model, so that a first result takes minutes. Without the data folder it takes the simulated day that
comes with the package and, when the network allows, a public measured image.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
from labelled_sets import SETS, LabelledSet, data_folder

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.finding import find
from napari_stemlearn.formats import write_sites
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.models.store import Model, load_model
from napari_stemlearn.scoring import bootstrap, score, scores_figure, sweep, write_scores

MODEL = "tmd-defects"
SHOWN = ("ti2", "wse2-virtual day_a")
"""Sets of the demo, the measured one first."""


def sample_day() -> tuple[LabelledSet, Micrograph, pd.DataFrame]:
    """The labelled frame of the offline simulated day."""
    from napari_stemlearn.samples import simulated_day

    day = simulated_day()
    labelled = day.labelled
    chosen = LabelledSet("simulated day", "WSe2, simulated day of the samples", (), (), "vacancy1", "vacancy1", 0.9, 8)
    return chosen, labelled.micrograph, labelled.defects


def public_image() -> tuple[LabelledSet, Micrograph, pd.DataFrame] | None:
    """The measured Ti-doped WSe2 of the public samples, or None where the network does not allow it."""
    from napari_stemlearn.samples import load_public

    try:
        loaded = load_public("wse2-ti-doped")
    except StemlearnError as error:
        print(f"  {error}")
        return None
    micrograph, sites = loaded[-1]
    if sites is None:
        return None
    return LabelledSet("public Ti-doped WSe2", "measured", (), (), "vacancy1", "V_Se", 1.0, 10), micrograph, sites


def work(chosen: LabelledSet, micrograph: Micrograph, labels: pd.DataFrame, model: Model, out: Path) -> dict[str, Any]:
    """Find, score and write what was found; returns the figures."""
    name = chosen.name.replace(" ", "-")
    started = time.perf_counter()
    found = find(micrograph, model)
    seconds = time.perf_counter() - started
    for sentence in found.notes:
        print(f"  {sentence}")
    rule = chosen.rule(micrograph, labels)
    scores = score(found.sites, labels, **rule)
    row = scores.of(chosen.site_class)
    write_sites(out / f"{name}_found.csv", found.sites, micrograph=micrograph)
    candidates = find(micrograph, model, _everything()).sites
    swept = sweep(candidates, labels, **rule)
    intervals = bootstrap(scores.matches)
    write_scores(out / f"{name}_scores.json", scores, swept, intervals)
    figure = scores_figure(scores, swept, intervals, title=f"{chosen.what}: {chosen.site_class}")
    figure.savefig(out / f"{name}_scores.png", dpi=120)
    counts = found.sites["class"].value_counts().to_dict()
    print(f"  found {', '.join(f'{count} {what}' for what, count in counts.items()) or 'nothing'} in {seconds:.1f} s")
    print(
        f"  {chosen.site_class}: precision {row['precision']:.3f}, recall {row['recall']:.3f}, F1 {row['f1']:.3f}, "
        f"rms position error {row['rms_error_angstrom']:.2f} angstrom ({row['n_truth']} labelled)"
    )
    kept = ("precision", "recall", "f1", "rms_error_angstrom", "n_truth", "n_found")
    return {
        "set": chosen.name,
        "class": chosen.site_class,
        "seconds": seconds,
        **{key: float(row[key]) for key in kept},
        "_layers": (micrograph, found.sites, scores),
    }


def _everything() -> Any:
    from napari_stemlearn.finding import FindSettings

    return FindSettings.preset("everything")


def show(results: list[dict[str, Any]], picture: Path, stay: bool) -> None:
    """Open napari with the first set, its sites and the right, wrong and missed ones; keep a picture of it."""
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_stemlearn.scoring import match_table
    from napari_stemlearn.widgets.find_dock import FindDock
    from napari_stemlearn.widgets.layers import add_image, add_sites

    micrograph, sites, scores = results[0]["_layers"]
    viewer = napari.Viewer(title="napari-stemlearn demo", show=True)
    image = add_image(viewer, micrograph, name=results[0]["set"])
    predicted = add_sites(viewer, sites, source_layer=image, kind="predicted", name="found")
    predicted.visible = False
    add_sites(viewer, match_table(scores), source_layer=image, kind="matches", name="right, wrong, missed")
    dock = FindDock(viewer)
    dock.model.choose(MODEL)
    viewer.window.add_dock_widget(dock, name="Find", area="right")
    viewer.window.resize(1500, 950)
    viewer.reset_view()
    # napari 0.9 moved the camera
    getattr(viewer, "scene", viewer).camera.zoom *= 2.2
    for _ in range(40):  # let the window be drawn before it is photographed
        QApplication.processEvents()
        time.sleep(0.02)
    viewer.screenshot(str(picture), canvas_only=False, flash=False)
    print(f"picture: {picture}")
    if stay:
        napari.run()
    else:
        viewer.close()


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo-output"))
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--no-window", action="store_true", help="do not open napari")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    folder = data_folder()
    work_list: list[tuple[LabelledSet, Micrograph, pd.DataFrame]]
    if folder is None:
        print("No data folder: taking the simulated day of the samples, and a public measured image if it can be had.")
        public = public_image()
        work_list = [entry for entry in (public, sample_day()) if entry is not None]
    else:
        work_list = [(chosen, *chosen.load(folder)) for chosen in SETS if chosen.name in SHOWN]
        work_list.sort(key=lambda entry: SHOWN.index(entry[0].name))
    model = load_model(options.model)
    print(f"Model {model.card.name} on {model.device}: {', '.join(model.card.classes)}")
    results = []
    for chosen, micrograph, labels in work_list:
        print(f"{chosen.name}: {chosen.what}")
        results.append(work(chosen, micrograph, labels, model, options.out))
    summary = [{key: value for key, value in entry.items() if not key.startswith("_")} for entry in results]
    (options.out / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
    if not options.no_window:
        stay = sys.stdout.isatty() and not os.environ.get("STEMLEARN_VIRTUAL_SCREEN")
        show(results, options.out / "napari.png", stay)
    print(f"Everything is in {options.out}/")


if __name__ == "__main__":
    try:
        main()
    except StemlearnError as error:
        sys.exit(str(error))
