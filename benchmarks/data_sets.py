"""Images a second written into a data set, bytes an image, time of queries, crops a second read for training.

    python benchmarks/data_sets.py            120 images of 512² for each number of workers
    python benchmarks/data_sets.py --quick    24 images

The generator has the size of the default settings and is not trained. Seconds of the processor stand beside those of
the clock, since the clock also counts what others do on the computer.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

SIDE = 512
PIXEL_SIZE = 0.2
ROWS = 10_000
QUERY = "dose between 1e4 and 5e4 and class has vacancy1"


def write(folder: Path, workers: int, number: int, translated: bool) -> dict[str, Any]:
    """Generate a set; times by the clock and of the processors, bytes, memory."""
    from napari_stemlearn.datasets import open_data_set
    from napari_stemlearn.datasets.store import size_on_disk
    from napari_stemlearn.events import Progress
    from napari_stemlearn.generation import GenerateSettings, write_generated_set
    from napari_stemlearn.imaging.settings import ImagingSettings

    settings = GenerateSettings(
        number=number,
        shape=(SIDE, SIDE),
        workers=workers,
        device="cpu",
        imaging=ImagingSettings.preset("varied", pixel_size=PIXEL_SIZE),
        generator=str(untrained_generator(folder / "generator")) if translated else "",
    )
    start = time.perf_counter()
    events = write_generated_set(settings, folder / "set.stemset")
    marks = [
        (time.perf_counter() - start, processor_seconds(), event.done)
        for event in events
        if isinstance(event, Progress)
    ]
    total = time.perf_counter() - start
    # what comes before the first images is start-up
    (first, cpu_first, begun), (last, cpu_last, done) = marks[1], marks[-1]
    memory = [resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "a_second": (done - begun) / (last - first),
        "seconds_to_first": first,
        "seconds": total,
        "cpu_seconds_to_first": cpu_first,
        "cpu_seconds_an_image": (cpu_last - cpu_first) / (done - begun),
        "bytes_an_image": size_on_disk(folder / "set.stemset") / number,
        "label_bytes_an_image": sum(len(open_data_set(folder / "set.stemset").table.block(i)) for i in range(5)) / 5,
        "memory_gib": memory[0],
        "worker_memory_gib": memory[1],
    }


def processor_seconds() -> float:
    """Seconds of the processor that this process and those which it started have used."""
    me = psutil.Process()
    return sum(sum(one.cpu_times()[:4]) for one in (me, *me.children(recursive=True)))


def untrained_generator(folder: Path) -> Path:
    """A generator of the default size with the weights that it starts from."""
    import torch

    from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
    from napari_stemlearn.learning.grey_levels import GreyLevels
    from napari_stemlearn.learning.translators import Translator, save_translator
    from napari_stemlearn.networks.generators import build_generator

    settings = CycleGANSettings(pixel_size=PIXEL_SIZE)
    network = build_generator(settings.generator.network_record())
    levels = GreyLevels(0.0, 100.0), GreyLevels(0.0, 1000.0)
    noise = settings.simulation_noise
    translator = Translator(network, *levels, PIXEL_SIZE, noise, settings, torch.device("cpu"))
    return save_translator(folder, translator, settings, {})


def read(folder: Path) -> dict[str, float]:
    """Crops a second from a set, as training reads them, in one process."""
    import numpy as np

    from napari_stemlearn.learning.crops import TRAINING, random_numbers
    from napari_stemlearn.learning.loading import open_source
    from napari_stemlearn.learning.settings import SegmentationSettings

    settings = SegmentationSettings.preset("tiny").changed(
        **{"data.source": "folder", "data.folder": str(folder / "set.stemset"), "optimisation.crop": 128}
    )
    source = open_source(settings)
    times = []
    for number in range(200):
        start = time.process_time()
        source.crop(random_numbers(0, TRAINING, number), 128, stream=TRAINING)
        times.append(time.process_time() - start)
    return {"crop_ms": 1e3 * float(np.median(times))}


def query(folder: Path) -> dict[str, float]:
    """Processor times of questions to a table of many rows, made from a few real ones with drawn parameters."""
    import numpy as np

    from napari_stemlearn.datasets.creation import create_data_set
    from napari_stemlearn.datasets.entry import Entry
    from napari_stemlearn.datasets.image_table import Row
    from napari_stemlearn.datasets.store import open_data_set
    from napari_stemlearn.generation import GenerateSettings
    from napari_stemlearn.generation.recipe import make_image, recipe_of
    from napari_stemlearn.imaging.settings import ImagingSettings

    imaging = ImagingSettings.preset("varied", pixel_size=PIXEL_SIZE)
    recipe = recipe_of(GenerateSettings(shape=(SIDE, SIDE), imaging=imaging, device="cpu"))
    real: list[Entry] = [make_image(recipe, index) for index in range(4)]
    made = create_data_set(folder / "many.stemset", shape=(SIDE, SIDE), pixel_size=PIXEL_SIZE, synthetic=True)
    rng = np.random.default_rng(0)
    start = time.process_time()
    for begin in range(0, ROWS, 500):
        rows = {}
        for index in range(begin, begin + 500):
            row = real[index % len(real)].row
            dose = float(np.exp(rng.uniform(*np.log([5e3, 3e5]))))
            rows[index] = Row({**row.parameters, "imaging.detector.dose": dose}, row.counts, row.sites)
        made.table.add(rows)
    written = time.process_time() - start
    made.close()
    data_set = open_data_set(folder / "many.stemset")

    def best(function: Any) -> float:
        times = []
        for _ in range(5):
            begun = time.process_time()
            function()
            times.append(time.process_time() - begun)
        return 1e3 * min(times)

    return {
        "rows_a_second": ROWS / written,
        "parameters": len(data_set.vocabulary().parameters),
        "images_that_fulfil": len(data_set.indices(QUERY)),
        "indices_ms": best(lambda: data_set.indices(QUERY)),
        "table_ms": best(lambda: data_set.query(QUERY)),
        "whole_table_ms": best(data_set.query),
        "info_ms": best(data_set.info),
        "positions_ms": best(lambda: data_set.positions(ROWS // 2)),
        "sites_ms": best(lambda: data_set.sites(ROWS // 2)),
        "megabytes": (folder / "many.stemset" / "table.sqlite").stat().st_size / 1e6,
        "memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def one(task: dict[str, Any]) -> dict[str, Any]:
    """Do one measurement in this process."""
    with tempfile.TemporaryDirectory(prefix="stemlearn-") as name:
        folder = Path(name)
        if task["what"] == "query":
            return query(folder)
        found = write(folder, task["workers"], task["number"], task["translated"])
        if not task["translated"] and not task["workers"]:
            found |= read(folder)
        return found


def main() -> None:
    """Measure each case in a process of its own, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(one(json.loads(chosen.one))))
        return
    number = 24 if chosen.quick else 120
    os.environ["OMP_NUM_THREADS"] = "1"
    figures: dict[str, Any] = {"load_before": os.getloadavg()[0], "cores": os.cpu_count(), "number": number}
    tasks = {"query": {"what": "query"}}
    for translated in (False, True):
        for workers in (0, 1, 2):
            name = f"{'generator' if translated else 'plain'}, {workers} workers"
            tasks[name] = {"what": "write", "workers": workers, "number": number, "translated": translated}
    for name, task in tasks.items():
        command = [sys.executable, __file__, "--one", json.dumps(task)]
        figures[name] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        shown = "  ".join(f"{key} {value:.4g}" for key, value in figures[name].items())
        print(f"{name}: {shown}", flush=True)
    figures["load_after"] = os.getloadavg()[0]
    print(f"load {figures['load_before']:.1f} before, {figures['load_after']:.1f} after, {figures['cores']} cores")
    if chosen.out:
        chosen.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
