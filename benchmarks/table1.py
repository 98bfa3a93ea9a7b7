"""Table 1 of Khan et al. (npj Comput. Mater. 2023) again: what a CycleGAN brings, on virtual days with exact truth.

python benchmarks/table1.py --out benchmarks/results/table1.json

Trains one small network from clean simulations, from simulations with hand-set noise, and from simulations that a
CycleGAN gave the look of the day (without and with critics on Fourier amplitudes), each with three seeds, and scores
`vacancy1` on the labelled frames, which nothing else sees. In the last two rows each seed has a generator of its own.
What is done already is read from --work and not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))

from labelled_sets import SETS, LabelledSet, data_folder

DAYS = {"A": ("day_a",), "B": ("day_b",), "A+B": ("day_a", "day_b")}
"""Data sets of the table and the days in each."""

NO_DAY = "none"
"""What a network is trained on that sees no day."""

PIXEL_SIZE = 0.2074
"""Of both days, in angstrom."""

MICROSCOPE = {"beam_energy": 80.0, "convergence_semiangle": 25.2, "source_fwhm": 0.9}
"""What an operator knows of both days."""

ATOMS_ADD_UP = {"adf": {"column_coherence": 0.0}}
"""The program that made the days adds up what each atom of a column scatters; real detectors see a little more."""

CLEAN = {"probe": MICROSCOPE, "detector": {"counting_noise": False}}
"""Simulations without noise, all with one probe."""

NETWORK = {
    "targets": {"classes": {"vacancy1": ["vacancy1"]}, "radius": 0.55, "min_distance": 1.2},
    "pixel_size": PIXEL_SIZE,
    "acquisition_pixel_size": PIXEL_SIZE,
    "network": {"width": 16, "levels": 4, "stem": 2},
    "optimisation": {"steps": 300, "batch_size": 16, "crop": 128},
    "augmentation": {"gamma": 1.0, "contrast": 1.0},
    "validation": {"every": 150, "images": 16, "threshold_images": 64, "held_out_style": "unchanged"},
    "data": {"workers": 1},
}
"""The small network of all rows but the last."""

FINE_TUNED = {
    "optimisation": {"steps": 160, "learning_rate": 1e-3, "crop": 128},
    "validation": {"every": 80, "images": 16, "threshold_images": 64, "held_out_style": "unchanged"},
    "start_from": "tmd-defects",
}
"""The last row: the shipped model goes on for a few steps, on the translated images."""

TRANSLATED = {"number": 120, "shape": (384, 384)}
"""Images that each generator makes for the networks."""

OURS = "drawn, Fourier"
"""The kind of generator of the last two rows."""

AS_PUBLISHED = {"imaging": CLEAN, "turns": "all", "align_lattice": False, "fit_cell": False}
"""Clean simulations at any rotation, and crops of both sides turned by quarters."""

GENERATORS: dict[str, dict[str, Any]] = {
    OURS: {"imaging": ATOMS_ADD_UP},
    "clean, Fourier": AS_PUBLISHED,
    "clean": {**AS_PUBLISHED, "critic": {"fourier": False}},
}
"""What the generators of the rows have in place of the preset `quick`."""

AS_SHIPPED = "tmd-defects as shipped, no training on the day"
"""The row below those of `rows`."""

ALWAYS_KEPT = {"survival": {"recall": 0.0, "displacement": 100.0}}
"""For the two rows of the paper: a generator is kept whatever it does to the labels, which is only measured."""


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Parameters
    ----------
    name
        As in the table.
    generator
        Key of `GENERATORS`; empty for none.
    settings
        Of the network, beside `NETWORK`.
    fine_tuned
        Whether the shipped model is the start.
    """

    name: str
    generator: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    fine_tuned: bool = False


def rows() -> tuple[Row, ...]:
    """The rows, in the order of the table."""
    from napari_stemlearn.imaging.settings import ImagingSettings

    return (
        Row("clean simulations", settings={"imaging": CLEAN}),
        Row("hand-set noise", settings={"imaging": merged(ImagingSettings.presets["varied"], ATOMS_ADD_UP)}),
        Row("CycleGAN without Fourier critics", "clean"),
        Row("CycleGAN with Fourier critics", "clean, Fourier"),
        Row("the same, lattices and unit cells matched", OURS),
        Row("the same, starting from the shipped model", OURS, fine_tuned=True),
    )


@dataclass(frozen=True)
class Task:
    """One training with what it needs."""

    name: str
    kind: str
    settings: dict[str, Any]
    needs: str = ""


def tasks(data: Path, work: Path, seeds: int, preset: str) -> Iterator[Task]:
    """All trainings, the first seed of every row before the second of any."""
    for seed in range(seeds):
        for row in rows():
            if not row.generator:
                yield from _networks(row, work, seed)
        for kind, changes in GENERATORS.items():
            if seed < seeds_of(kind, seeds):
                yield from _generators(kind, changes, data, work, seed, preset)
            for row in rows():
                if row.generator == kind:
                    yield from _networks(row, work, seed, seeds_of(kind, seeds))


def seeds_of(kind: str, seeds: int) -> int:
    """Generators of a kind: the rows of the paper share one, the last two rows have one for each seed."""
    return seeds if kind == OURS else 1


def _generators(kind: str, changes: dict[str, Any], data: Path, work: Path, seed: int, preset: str) -> Iterator[Task]:
    """Generators of a kind, one for each data set, and what they translate for the networks."""
    from napari_stemlearn.imaging.settings import ImagingSettings
    from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings

    for label, days in DAYS.items():
        name = generator_name(kind, label, seed)
        given = {
            "experiment": [str(data / "wse2-virtual" / day / "stack.tif") for day in days],
            "pixel_size": PIXEL_SIZE,
            "seed": seed,
            **({} if kind == OURS else ALWAYS_KEPT),
        }
        usual = {"imaging": ImagingSettings.presets["to_translate"]} if kind == OURS else {}
        yield Task(name, "cyclegan", merged(merged(merged(usual, CycleGANSettings.presets[preset]), changes), given))
        folder = str(work / name / "result" / "generator")
        made = {**TRANSLATED, "name": "set", "generator": folder, "workers": 0, "seed": seed}
        yield Task(_set_name(kind, label, seed), "generate", made, name)


def _networks(row: Row, work: Path, seed: int, generators: int = 1) -> Iterator[Task]:
    """The networks of a row: one for each data set, or one for all where no generator looks at one."""
    number = [entry.name for entry in rows()].index(row.name) + 1
    for label in DAYS if row.generator else (NO_DAY,):
        needs = _set_name(row.generator, label, min(seed, generators - 1)) if row.generator else ""
        settings = merged(FINE_TUNED if row.fine_tuned else NETWORK, {**row.settings, "seed": seed})
        if row.generator:
            folder = str(work / needs / "result" / "set.stemset")
            settings = merged(settings, {"data": {"source": "folder", "folder": folder, "workers": 0}})
        if row.fine_tuned:
            settings["recipe"] = "tmd-defects"
        else:
            settings = merged({"structures": [{"structure": _wse2()}]}, settings)
        yield Task(f"network-{number}-{label}-{seed}", "train", settings, needs)


def _wse2() -> dict[str, Any]:
    from napari_stemlearn.structures.settings import StructureSettings

    return StructureSettings.presets["wse2"]


def generator_name(kind: str, label: str, seed: int) -> str:
    return f"generator-{kind.replace(', ', '-')}-{label}-{seed}"


def _set_name(kind: str, label: str, seed: int) -> str:
    return generator_name(kind, label, seed).replace("generator", "set", 1)


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """`first` with the values of `second`, section by section."""
    together = dict(first)
    for key, value in second.items():
        both = isinstance(value, dict) and isinstance(together.get(key), dict)
        together[key] = merged(together[key], value) if both else value
    return together


def work_off(task: Task, folder: Path) -> None:
    """Train; the result and the time that it took lie in `folder`."""
    import torch

    from napari_stemlearn.events import Done, Metric
    from napari_stemlearn.generation.generate import generate_data_set
    from napari_stemlearn.generation.settings import GenerateSettings
    from napari_stemlearn.learning.cyclegan import train_cyclegan
    from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
    from napari_stemlearn.learning.recipes import load_recipe
    from napari_stemlearn.learning.segmentation import train_segmentation
    from napari_stemlearn.learning.settings import SegmentationSettings

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    started = time.perf_counter()
    settings = dict(task.settings)
    if task.kind == "cyclegan":
        events = train_cyclegan(CycleGANSettings.checked(settings), folder)
    elif task.kind == "generate":
        events = generate_data_set(GenerateSettings.checked(settings), folder)
    else:
        recipe = settings.pop("recipe", "")
        base = load_recipe(recipe).record() if recipe else {}
        events = train_segmentation(SegmentationSettings.checked(merged(base, settings)), folder)
    curve, done = [], None
    for event in events:
        if isinstance(event, Metric):
            curve.append({"step": event.step, **event.values})
        if isinstance(event, Done):
            done = event
    assert done is not None
    record = {"task": task.name, "seconds": time.perf_counter() - started, "result": done.result, "curve": curve}
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")


def run_all(wanted: list[Task], work: Path, processes: int, arguments: list[str], *, script: str = __file__) -> None:
    """Run what is not done yet, `processes` at a time, each in a process of its own."""
    waiting = [task for task in wanted if not (work / task.name / "record.json").exists()]
    running: dict[subprocess.Popen[bytes], Task] = {}
    failed: list[str] = []
    while waiting or running:
        for task in list(waiting):
            if task.needs in failed:
                waiting.remove(task)
                failed.append(task.name)
            elif len(running) < processes and (not task.needs or (work / task.needs / "record.json").exists()):
                (work / task.name).mkdir(parents=True, exist_ok=True)
                log = (work / task.name / "log.txt").open("wb")
                command = [sys.executable, script, *arguments, "--task", task.name]
                running[subprocess.Popen(command, stdout=log, stderr=log)] = task
                waiting.remove(task)
        time.sleep(1.0)
        for process, task in list(running.items()):
            if process.poll() is not None:
                del running[process]
                good = process.returncode == 0
                if not good:
                    failed.append(task.name)
                print(f"{task.name}: {'done' if good else 'failed, see its log.txt'}", flush=True)


def scored(wanted: list[Task], work: Path, data: Path) -> dict[str, Any]:
    """Score every trained network and the shipped one on both days, and collect what the generators did."""
    sets = {day: next(entry for entry in SETS if entry.name == f"wse2-virtual {day}") for day in ("day_a", "day_b")}
    loaded = {day: (entry, *entry.load(data)) for day, entry in sets.items()}
    generators, networks = {}, []
    for task in wanted:
        path = work / task.name / "record.json"
        if not path.exists():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        if task.kind == "generate":
            continue
        if task.kind == "cyclegan":
            generators[task.name] = {"seconds": record["seconds"], **record["result"]}
            generators[task.name].pop("generator", None)
            continue
        cached = work / task.name / "scores.json"
        if not cached.exists():
            counts = counted(work / task.name / "result", loaded)
            cached.write_text(json.dumps(counts), encoding="utf-8")
        _, number, label, seed = task.name.rsplit("-", 3)
        networks.append(
            {
                "row": int(number),
                "trained_on": label,
                "seed": int(seed),
                "seconds": record["seconds"],
                "counts": json.loads(cached.read_text(encoding="utf-8")),
            }
        )
    names = [*(row.name for row in rows()), AS_SHIPPED]
    shipped = {"row": len(names), "trained_on": NO_DAY, "seed": 0, "seconds": 0.0}
    networks.append({**shipped, "counts": counted("tmd-defects", loaded)})
    return {"rows": names, "generators": generators, "networks": networks}


def counted(model: str | Path, loaded: dict[str, tuple[LabelledSet, Any, Any]]) -> dict[str, dict[str, float]]:
    """What a model finds on each day: true positives, false positives, false negatives, position error."""
    from napari_stemlearn.finding import FindSettings, find
    from napari_stemlearn.models.store import load_model
    from napari_stemlearn.scoring import score

    network, counts = load_model(model), {}
    for day, (chosen, micrograph, labels) in loaded.items():
        found = find(micrograph, network, FindSettings()).sites
        row = score(found, labels, **chosen.rule(micrograph, labels)).of("vacancy1")
        counts[day] = {name: float(row[name]) for name in ("tp", "fp", "fn", "rms_error_angstrom")}
    return counts


def precision_recall_f1(counts: list[dict[str, float]]) -> tuple[float, float, float]:
    """Of true positives, false positives and false negatives, added up."""
    tp, fp, fn = (sum(entry[name] for entry in counts) for name in ("tp", "fp", "fn"))
    return tp / max(tp + fp, 1), tp / max(tp + fn, 1), 2 * tp / max(2 * tp + fp + fn, 1)


def table(results: dict[str, Any]) -> list[dict[str, Any]]:
    """One entry for each row and scored data set: means and standard deviations over the seeds."""
    import numpy as np

    entries = []
    for number, name in enumerate(results["rows"], start=1):
        for trained_on in (NO_DAY, *DAYS):
            of_row = [
                entry for entry in results["networks"] if (entry["row"], entry["trained_on"]) == (number, trained_on)
            ]
            for scored_on, days in DAYS.items() if of_row else ():
                values = np.array([precision_recall_f1([entry["counts"][day] for day in days]) for entry in of_row])
                spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(3, np.nan)
                entries.append(
                    {
                        "row": name,
                        "trained_on": trained_on,
                        "scored_on": scored_on,
                        "seeds": len(values),
                        **dict(zip(("precision", "recall", "f1"), values.mean(axis=0).tolist(), strict=True)),
                        **dict(zip(("precision_sd", "recall_sd", "f1_sd"), spread.tolist(), strict=True)),
                    }
                )
    return entries


def print_table(entries: list[dict[str, Any]]) -> None:
    """Rows against data sets; a generator's row is scored on the days that its generator saw, then across days."""
    print(f"{'row':<46} {'trained':>7} {'scored':>6} {'P':>6} {'R':>6} {'F1':>6} {'sd':>6} {'seeds':>5}")
    for entry in entries:
        print(
            f"{entry['row']:<46} {entry['trained_on']:>7} {entry['scored_on']:>6} {entry['precision']:6.3f} "
            f"{entry['recall']:6.3f} {entry['f1']:6.3f} {entry['f1_sd']:6.3f} {entry['seeds']:5d}"
        )


def draw(entries: list[dict[str, Any]], path: Path) -> None:
    """F1 of every row on each data set, with the spread over the seeds."""
    import matplotlib
    import numpy as np

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(entry["row"] for entry in entries))
    figure, axes = plt.subplots(figsize=(10, 4), layout="constrained")
    colours = ("#88ccee", "#ddcc77", "#44aa99")
    for shift, label in enumerate(DAYS):
        of_label = [e for e in entries if e["scored_on"] == label and e["trained_on"] in (NO_DAY, label)]
        places = [names.index(entry["row"]) + 0.25 * (shift - 1) for entry in of_label]
        spread = np.nan_to_num([e["f1_sd"] for e in of_label])
        style = {"color": colours[shift], "error_kw": {"ecolor": "#555555"}, "label": f"day {label}"}
        axes.bar(places, [e["f1"] for e in of_label], 0.24, yerr=spread, **style)
    published = {"A": (0.25, 0.82), "B": (0.74, 0.89), "A+B": (0.35, 0.74)}
    for shift, label in enumerate(DAYS):
        for row, value in zip((0, 3), published[label], strict=True):
            words = None if row or shift else "published"
            axes.plot(row + 0.25 * (shift - 1), value, "D", color="#cc3311", markersize=5, label=words)
    axes.set_xticks(range(len(names)), [textwrap.fill(name, 16) for name in names], fontsize=8)
    axes.set_ylabel("F1 of single vacancies")
    axes.set_ylim(0, 1)
    figure.legend(*axes.get_legend_handles_labels(), ncols=4, fontsize=8, loc="outside upper center", frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Train, score, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/table1"), help="folder of the trainings")
    parser.add_argument("--out", type=Path, help="JSON file; a figure is written beside it")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--preset", default="quick", help="preset of the generators")
    parser.add_argument("--processes", type=int, default=max((os.cpu_count() or 2) // 2, 1), help="trainings at a time")
    parser.add_argument("--only", default="", metavar="EXPRESSION", help="train only tasks whose names match")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--score-only", action="store_true", help="train nothing, score what is there")
    options = parser.parse_args()
    data = data_folder()
    if data is None:
        sys.exit("No virtual days: set STEMLEARN_DATA to the folder of the data.")
    work = options.work.resolve()
    wanted = list(tasks(data, work, options.seeds, options.preset))
    if options.task:
        work_off(next(task for task in wanted if task.name == options.task), work / options.task)
        return
    if not options.score_only:
        arguments = ["--work", str(work), "--seeds", str(options.seeds), "--preset", options.preset]
        chosen = [task for task in wanted if re.search(options.only, task.name)]
        run_all(chosen, work, options.processes, arguments)
    results = scored(wanted, work, data)
    results["table"] = table(results)
    print_table(results["table"])
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
        draw(results["table"], options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
