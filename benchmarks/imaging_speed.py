"""Labelled frames and crops a second, beside the plainest convolution that numpy and scipy can do.

    python benchmarks/imaging_speed.py                  frames on one thread, crops on one and two processes
    python benchmarks/imaging_speed.py --device cuda    batches of crops and frames on a GPU
    python benchmarks/imaging_speed.py --quick          fewer repetitions

A frame has 1130² pixels and 17,500 atoms of WSe2, a crop 256² pixels of 0.2 angstrom. Everything is on: aberrations,
focal spread, vibration, drift, shear, jitter, wobble, flyback, carbon, background, counting, flicker, afterglow and
read-out. The peer puts atoms on the nearest pixel, convolves with one fixed probe and draws Poisson numbers; it has
no scan, carbon or labels. Seconds of the processor stand beside those of the clock, since the clock also counts what
others do on the computer.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

DOSES = {"low dose": "log_uniform(5e3, 2e4)", "high dose": "log_uniform(5e4, 3e5)"}


def imaging(shape: tuple[int, int], pixel_size: float, dose: str) -> Any:
    """The microscope of all runs."""
    from napari_stemlearn.imaging.settings import ImagingSettings

    settings = ImagingSettings.preset("varied", shape=shape, pixel_size=pixel_size)
    return settings.changed(**{"detector.dose": dose, "probe.beam_energy": 80.0, "adf.z_contrast_change": 0.0})


def structure(shape: tuple[int, int], pixel_size: float) -> Any:
    """WSe2 with vacancies over the frame."""
    from napari_stemlearn.structures.settings import StructureSettings

    field_of_view = tuple(side * pixel_size for side in shape)
    return StructureSettings.preset("wse2", field_of_view=field_of_view)


def run(shape: tuple[int, int], pixel_size: float, dose: str, repeats: int, tables: bool) -> dict[str, float]:
    """Build, image and label one at a time on one thread; seconds for each, the best and the mean."""
    import torch

    from napari_stemlearn.imaging.simulate import simulate_batch
    from napari_stemlearn.structures.build import build

    torch.set_num_threads(1)
    microscope, crystal = imaging(shape, pixel_size, dose), structure(shape, pixel_size)
    simulate_batch([build(crystal, 0)], microscope, [0])
    times = []
    for seed in range(1, repeats + 1):
        start = time.perf_counter(), time.process_time()
        specimen = build(crystal, seed)
        built = time.perf_counter(), time.process_time()
        batch = simulate_batch([specimen], microscope, [seed])
        if tables:
            batch.columns, batch.defects  # noqa: B018
        end = time.perf_counter(), time.process_time()
        times.append(
            [*(e - b for e, b in zip(end, built, strict=True)), *(b - s for b, s in zip(built, start, strict=True))]
        )
    best, mean = np.min(times, axis=0), np.mean(times, axis=0)
    return {
        "atoms": len(specimen.numbers),
        "seconds": best[0],
        "cpu_seconds": best[1],
        "mean_cpu_seconds": mean[1],
        "build_cpu_seconds": best[3],
        "mean_build_cpu_seconds": mean[3],
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def peer(shape: tuple[int, int], pixel_size: float, atoms: int, dose: float, repeats: int) -> float:
    """Processor seconds of a convolution of nearest pixels with Poisson noise."""
    import scipy.fft

    rng = np.random.default_rng(0)
    places = rng.uniform(0, 1, (atoms, 2)) * shape
    strengths = rng.choice([0.0149, 0.0397], atoms)
    y, x = (np.fft.fftfreq(n, pixel_size) for n in shape)
    probe = np.exp(-3.5 * (y[:, None] ** 2 + x[: shape[1] // 2 + 1] ** 2)).astype(np.float32)
    times = []
    for _ in range(repeats):
        start = time.process_time()
        grid = np.zeros(shape, np.float32)
        np.add.at(grid, tuple(places.astype(int).T), strengths)
        image = scipy.fft.irfft2(scipy.fft.rfft2(grid) * probe, s=shape) / pixel_size**2
        rng.poisson(np.maximum(image, 0) * dose * pixel_size**2)
        times.append(time.process_time() - start)
    return min(times)


def crops(seeds: range) -> tuple[float, float]:
    """Worker: make labelled crops; seconds by the clock and of the processor."""
    import torch

    from napari_stemlearn.imaging.simulate import simulate_batch
    from napari_stemlearn.structures.build import build

    torch.set_num_threads(1)
    shape, pixel_size = (256, 256), 0.2
    microscope, crystal = imaging(shape, pixel_size, "log_uniform(5e3, 3e5)"), structure(shape, pixel_size)
    simulate_batch([build(crystal, 0)], microscope, [0])
    start = time.perf_counter(), time.process_time()
    for seed in seeds:
        simulate_batch([build(crystal, seed)], microscope, [seed])
    return time.perf_counter() - start[0], time.process_time() - start[1]


def on_device(device: str, repeats: int) -> dict[str, dict[str, float]]:
    """Batches on one device, a second and memory: specimens are built before, since the processor makes them."""
    import torch

    from napari_stemlearn.imaging.simulate import simulate_batch
    from napari_stemlearn.structures.build import build

    figures = {}
    for name, shape, pixel_size, count in (("crops", (256, 256), 0.2, 256), ("frames", (1130, 1130), 0.2074, 8)):
        microscope, crystal = imaging(shape, pixel_size, "log_uniform(5e3, 3e5)"), structure(shape, pixel_size)
        specimens = [build(crystal, seed) for seed in range(8)] * (count // 8)
        times = []
        for repeat in range(repeats + 1):
            start = time.perf_counter()
            images = simulate_batch(specimens, microscope, range(repeat * count, (repeat + 1) * count), device).images
            float(images[-1, 0, 0])
            times.append(time.perf_counter() - start)
        memory = torch.cuda.max_memory_allocated() / 2**30 if torch.device(device).type == "cuda" else 0.0
        a_second = count / min(times[1:])
        print(f"{name} on {device}: {a_second:.0f} a second in batches of {count}, {memory:.2f} GiB")
        figures[f"{name} on {device}"] = {"a_second": a_second, "batch": count, "memory_gib": memory}
    return figures


def write(figures: dict[str, dict[str, float]], out: Path | None) -> None:
    """Keep the figures, where a file was asked for."""
    if out is not None:
        out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(run(*json.loads(chosen.one))))
        return
    if chosen.device != "cpu":
        write(on_device(chosen.device, 2 if chosen.quick else 5), chosen.out)
        return
    figures = {}
    os.environ["OMP_NUM_THREADS"] = "1"
    for name, shape, pixel_size, repeats in (("frame", (1130, 1130), 0.2074, 12), ("crop", (256, 256), 0.2, 60)):
        repeats = 3 if chosen.quick else repeats
        for dose_name, dose in DOSES.items():
            arguments = json.dumps([shape, pixel_size, dose, repeats, name == "frame"])
            command = [sys.executable, __file__, "--one", arguments]
            record = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            plain = peer(shape, pixel_size, record["atoms"], 1e4 if "low" in dose_name else 1e5, 5)
            figures[f"{name}, {dose_name}"] = {**record, "plain_convolution_cpu_seconds": plain}
            print(f"{name} {shape[0]}², {record['atoms']} atoms, {dose_name}, one thread")
            print(f"  imaging and labels   best {record['cpu_seconds'] * 1e3:7.1f} ms of the processor")
            print(f"                       mean {record['mean_cpu_seconds'] * 1e3:7.1f} ms")
            print(f"                       best {record['seconds'] * 1e3:7.1f} ms by the clock")
            print(f"  building the atoms   best {record['build_cpu_seconds'] * 1e3:7.1f} ms of the processor")
            print(f"  a second             {1 / record['cpu_seconds']:.1f} imaged, ", end="")
            print(f"{1 / (record['mean_cpu_seconds'] + record['mean_build_cpu_seconds']):.1f} built and imaged (mean)")
            print(f"  plain convolution    {plain * 1e3:7.1f} ms, without scan, carbon and labels")
            print(f"  ratio to it          {record['cpu_seconds'] / plain:7.2f}")
            print(f"  peak memory          {record['peak_memory_gib']:7.2f} GiB")
    count = 20 if chosen.quick else 150
    for workers in (1, 2):
        seeds = [range(1000 * worker, 1000 * worker + count) for worker in range(workers)]
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            seconds = pool.map(crops, seeds, chunksize=1)
        clock = workers * count / max(clock for clock, _ in seconds)
        processor = sum(count / cpu for _, cpu in seconds)
        print(f"crops with {workers} processes: {clock:.1f} a second by the clock, {processor:.1f} by processor time")
        figures[f"crops, {workers} processes"] = {"a_second": clock, "a_second_by_processor_time": processor}
    write(figures, chosen.out)


if __name__ == "__main__":
    main()
