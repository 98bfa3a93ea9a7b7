"""Time and peak memory of finding on 1024² and 16,384² pixels, beside the bare network and a classical peer.

    python benchmarks/find_speed.py                  both sizes, with a network of the shipped architecture
    python benchmarks/find_speed.py --model NAME     with a trained model
    python benchmarks/find_speed.py --small          1024² only

Each size runs in a process of its own, so that the peak memory is that of the size. Seconds of the processor stand
beside those of the clock, since the clock also counts what others do on the computer.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

PIXEL_SIZE = 0.2


def honeycomb(side: int) -> np.ndarray:
    """A noisy honeycomb of columns as uint16; large sides repeat a block of 1024."""
    rng = np.random.default_rng(0)
    block = min(side, 1024)
    yy, xx = np.mgrid[:block, :block].astype(np.float32)
    wave = sum(
        np.cos(2 * np.pi / 12.4 * (yy * np.cos(angle) + xx * np.sin(angle)) + 1.0)
        for angle in (0.1, 0.1 + np.pi / 3, 0.1 + 2 * np.pi / 3)
    )
    counts = rng.poisson(60 * np.exp(0.5 * wave)).astype(np.uint16)
    return np.tile(counts, (side // block, side // block))


def untrained(pixel_size: float) -> Any:
    """A network of the shipped architecture; its weights answer to columns by chance only, which costs the same."""
    import torch

    from napari_stemlearn.devices import choose_device
    from napari_stemlearn.models.card import ModelCard
    from napari_stemlearn.models.store import Model
    from napari_stemlearn.networks.build import build_network

    classes = ("vacancy1", "vacancy2", "metal_vacancy", "antisite")
    torch.manual_seed(0)
    network = build_network(
        {"kind": "residual_unet", "out_channels": len(classes), "width": 16, "levels": 4, "stem": 2}
    )
    device = choose_device("auto")
    network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    card = ModelCard(
        name="untrained",
        classes=classes,
        pixel_size=pixel_size,
        network=network.record(),
        thresholds=dict.fromkeys(classes, 0.6),
    )
    return Model(card, network, device)


def timed(call: Any) -> tuple[float, float, Any]:
    """Seconds by the clock, seconds of the processor, and the result."""
    clock, cpu = time.perf_counter(), time.process_time()
    result = call()
    return time.perf_counter() - clock, time.process_time() - cpu, result


def one_size(side: int, folder: str, model_name: str | None, repeats: int) -> dict[str, Any]:
    """Measure one size in this process."""
    import torch

    from napari_stemlearn.finding import find
    from napari_stemlearn.micrograph import Micrograph
    from napari_stemlearn.models.store import load_model

    model = load_model(model_name) if model_name else untrained(PIXEL_SIZE)
    data = np.load(Path(folder) / f"{side}.npy", mmap_mode="r")
    micrograph = Micrograph(data, PIXEL_SIZE, f"{side}")
    record: dict[str, Any] = {"side": side, "device": str(model.device), "threads": torch.get_num_threads()}
    if side <= 1024:
        find(micrograph, model)
    runs = [timed(lambda: find(micrograph, model)) for _ in range(repeats)]
    record["seconds"], record["cpu_seconds"] = (min(run[index] for run in runs) for index in (0, 1))
    record["sites"] = len(runs[0][2].sites)
    if side <= 1024:
        image = torch.randn(1, 1, side, side).to(model.device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            model.network(image)
            bare = [timed(lambda: model.network(image).cpu()) for _ in range(repeats)]
        record["bare_network_seconds"], record["bare_network_cpu_seconds"] = (
            min(run[index] for run in bare) for index in (0, 1)
        )
        classical = [timed(lambda: find(micrograph, "log")) for _ in range(repeats)]
        record["classical_seconds"], record["classical_cpu_seconds"] = (
            min(run[index] for run in classical) for index in (0, 1)
        )
        record["classical_sites"] = len(classical[0][2].sites)
        from skimage.feature import blob_log

        peer = timed(lambda: blob_log(data.astype(float), min_sigma=1.5, max_sigma=3, num_sigma=3, threshold=3.0))
        record["scikit_image_blob_log_seconds"], record["scikit_image_blob_log_cpu_seconds"] = peer[:2]
    record["peak_memory_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return record


def main() -> None:
    """Run the sizes and print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        repeats = chosen.repeats if chosen.one <= 1024 else 1
        print(json.dumps(one_size(chosen.one, chosen.folder, chosen.model, repeats)))
        return
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for side in (1024,) if chosen.small else (1024, 16384):
            np.save(Path(folder) / f"{side}.npy", honeycomb(side))
            command = [
                sys.executable,
                __file__,
                "--one",
                str(side),
                "--folder",
                folder,
                "--repeats",
                str(chosen.repeats),
            ]
            command += ["--model", chosen.model] if chosen.model else []
            out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            record = json.loads(out.strip().splitlines()[-1])
            records.append(record)
            print(f"{side} x {side} on {record['device']}, {record['threads']} threads")
            for name, value in record.items():
                if name not in ("side", "device", "threads"):
                    print(f"  {name.replace('_', ' '):36s} {value:.3g}")
            if "bare_network_cpu_seconds" in record:
                ratio = record["cpu_seconds"] / record["bare_network_cpu_seconds"]
                print(f"  {'find to bare network (cpu)':36s} {ratio:.2f}")
                ratio = record["classical_cpu_seconds"] / record["scikit_image_blob_log_cpu_seconds"]
                print(f"  {'classical finder to blob_log (cpu)':36s} {ratio:.2f}")
    if chosen.out:
        chosen.out.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
