"""What the watermark survives, how rarely it is seen where it is not, and how little it changes.

    python benchmarks/watermark.py                      on the measured images of STEMLEARN_DATA and on simulations
    python benchmarks/watermark.py --out FILE.json      and keep the figures
    python benchmarks/watermark.py --figure FILE.png    and draw an image before and after
    python benchmarks/watermark.py --list               with the score of every file

Measured images, their first 512 by 512 pixels, stand for generated ones, which are to look like them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))

from labelled_sets import data_folder

from napari_stemlearn.errors import StemlearnError
from napari_stemlearn.finding.gaussians import fit_gaussians
from napari_stemlearn.formats import read_micrographs
from napari_stemlearn.imaging import ImagingSettings
from napari_stemlearn.imaging.simulate import simulate
from napari_stemlearn.marking import draw_visible_mark, embed_watermark, find_watermark
from napari_stemlearn.marking.watermark import THRESHOLD, _noise, false_positive_rate
from napari_stemlearn.structures import StructureSettings, build

Image = NDArray[Any]
PIECE = 512
SIMULATED = ("wse2", "graphene", "srtio3", "silicon", "gold")
PIXEL_SIZES = (0.1, 0.2, 0.35)
DOSES = (0.0, 3e3)
"""Electrons per square angstrom; 0 without noise."""


# --- images -----------------------------------------------------------------------------------------------------------


def measured(folder: Path) -> Iterator[tuple[str, Image]]:
    """Every image and stack in the TIFF files of a folder; class maps and masks are images too, as hard ones."""
    for file in sorted(folder.rglob("*.tif")):
        try:
            found = read_micrographs(file)
        except StemlearnError:
            continue
        for micrograph in found:
            yield str(file.relative_to(folder)), micrograph.data


def simulations() -> Iterator[tuple[str, Any, float]]:
    """Simulated micrographs of several crystals, pixel sizes and doses, with their pixel size."""
    for preset in SIMULATED:
        for pixel_size in PIXEL_SIZES:
            side = PIECE * pixel_size
            specimen = build(StructureSettings.preset(preset, field_of_view=(side, side)), seed=2)
            for dose in DOSES:
                detector = {"dose": dose or 1e4, "counting_noise": dose > 0, "bits": 0}
                settings = ImagingSettings(shape=(PIECE, PIECE), pixel_size=pixel_size, detector=detector)
                yield f"{preset} {pixel_size} A {dose:g} e/A2", simulate(specimen, settings, seed=2), pixel_size


# --- what people do to images -----------------------------------------------------------------------------------------


def stretched(image: Image, low: float = 0.0, high: float = 100.0) -> Image:
    """In 8 bits, from one percentile to another."""
    bottom, top = (float(level) for level in np.percentile(image, (low, high)))
    return np.clip(np.round((image.astype(float) - bottom) / (top - bottom or 1) * 255), 0, 255).astype(np.uint8)


def cropped(image: Image, side: int) -> Image:
    """A crop that begins at an odd place."""
    y, x = (min(length - side, 37 + (length - side) // 3) for length in image.shape)
    if min(y, x) < 0:
        raise ValueError("too small")
    return image[y : y + side, x : x + side]


def noisier(image: Image) -> Image:
    """With white noise as strong as what there is in the watermark's band."""
    level = float(np.median(_noise(image.astype(float))))
    return image + np.random.default_rng(3).normal(scale=2 * level, size=image.shape)


def jpeg(image: Image, quality: int) -> Image:
    """Through a JPEG of a quality."""
    import imagecodecs

    return np.asarray(imagecodecs.jpeg_decode(imagecodecs.jpeg_encode(stretched(image), level=quality)))


CHANGES: dict[str, Callable[[Image], Image]] = {
    "nothing": lambda image: image,
    "crop of 256²": lambda image: cropped(image, 256),
    "crop of 256², 8 bits (minimum to maximum)": lambda image: stretched(cropped(image, 256)),
    "crop of 256², 8 bits (0.5 % cut off at both ends)": lambda image: stretched(cropped(image, 256), 0.5, 99.5),
    "crop of 128², 8 bits": lambda image: stretched(cropped(image, 128)),
    "crop of 96², 8 bits": lambda image: stretched(cropped(image, 96)),
    "8 bits (minimum to maximum)": stretched,
    "contrast inverted": lambda image: -image.astype(float),
    "mirrored and turned by 90°": lambda image: np.rot90(np.fliplr(image)),
    "as much noise again": noisier,
    "visible mark": draw_visible_mark,
    "JPEG, quality 95": lambda image: jpeg(image, 95),
    "JPEG, quality 80": lambda image: jpeg(image, 80),
    "moved by half a pixel": lambda image: ndimage.shift(image.astype(float), 0.5, order=1, mode="nearest"),
    "blurred, 0.5 px": lambda image: ndimage.gaussian_filter(image.astype(float), 0.5),
    "blurred, 1 px": lambda image: ndimage.gaussian_filter(image.astype(float), 1),
    "median of 3 by 3": lambda image: ndimage.median_filter(image.astype(float), 3),
    "scaled to 98 %": lambda image: ndimage.zoom(image.astype(float), 0.98, order=1),
    "turned by 1°": lambda image: ndimage.rotate(image.astype(float), 1, order=1, reshape=False, mode="nearest"),
    "binned 2 by 2": lambda image: (
        image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
        .astype(float)
        .reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2)
        .mean(axis=(1, 3))
    ),
}


def survived(images: list[Image]) -> list[dict[str, Any]]:
    """For every change: how many marked images still show the watermark."""
    marked = [embed_watermark(image) for image in images]
    rows = []
    for name, change in CHANGES.items():
        scores = []
        for image in marked:
            try:
                changed = change(image)
            except ValueError:
                continue
            scores.append(find_watermark(changed).score)
        rows.append(
            {
                "change": name,
                "images": len(scores),
                "found": int(sum(score >= THRESHOLD for score in scores)),
                "lowest_score": min(scores),
                "median_score": float(np.median(scores)),
            }
        )
    return rows


def unmarked_scores(images: dict[str, Image], crops: int) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Scores of unmarked images, and of crops drawn from them at random."""
    whole = {name: find_watermark(image).score for name, image in images.items()}
    rng = np.random.default_rng(6)
    frames = [image[0] if image.ndim == 3 else image for image in images.values()]
    drawn = []
    while len(drawn) < crops:
        frame = frames[int(rng.integers(len(frames)))]
        side = int(rng.choice((96, 128, 192, 256)))
        if min(frame.shape) < side:
            continue
        y, x = (int(rng.integers(length - side + 1)) for length in frame.shape)
        drawn.append(find_watermark(np.asarray(frame[y : y + side, x : x + side])).score)
    return whole, np.array(drawn)


def moved(labelled: Any, pixel_size: float) -> dict[str, float]:
    """How far the fitted places of the brightest columns move, beside the error that the noise gives them; pixels."""
    image = np.asarray(labelled.micrograph.data)
    columns = labelled.columns
    heavy = columns[columns["y"].between(8, PIECE - 9) & columns["x"].between(8, PIECE - 9)]
    levels = image[heavy["y"].round().astype(int), heavy["x"].round().astype(int)]
    brightness = heavy.assign(level=levels).groupby("class")["level"].agg(["mean", "size"])
    heavy = heavy[heavy["class"] == brightness[brightness["size"] >= 10]["mean"].idxmax()]
    places = heavy["y"].to_numpy(float), heavy["x"].to_numpy(float)
    before, after = (
        fit_gaussians(each.astype(float), *places, max(0.45 / pixel_size, 1.0))
        for each in (image, embed_watermark(image))
    )
    well = before.converged & after.converged
    distance = np.hypot(after.y - before.y, after.x - before.x)[well]
    return {
        "atoms": int(well.sum()),
        "rms_moved": float(np.sqrt(np.mean(distance**2))),
        "p99_moved": float(np.percentile(distance, 99)),
        "median_error": float(np.median(before.error[well])),
    }


def strength(image: Image) -> dict[str, float]:
    """Standard deviation relative to the image, and the ratio of the image's range to it in decibels."""
    difference = embed_watermark(image).astype(float) - image
    extent = float(np.ptp(np.percentile(image, (0.1, 99.9))))
    return {
        "relative_std": float(difference.std() / image.std()),
        "psnr_db": float(20 * np.log10(extent / difference.std())),
    }


def draw(path: Path, image: Image, unmarked: NDArray[np.float64], marked: list[float]) -> None:
    """An image before and after, what was added, and the scores."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    after = embed_watermark(image)
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.4), layout="constrained")
    low, high = np.percentile(image, (0.5, 99.5))
    for axis, shown, title in (
        (axes[0], image, "simulated"),
        (axes[1], after, "with watermark"),
        (axes[2], 5 * (after - image) + (low + high) / 2, "difference, five times as strong"),
    ):
        axis.imshow(shown[:160, :160], cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axis.set(title=title, xticks=[], yticks=[])
    bins = np.linspace(3, 45, 85)
    axes[3].hist(unmarked, bins, color="#4477aa", label="without")
    axes[3].set_ylabel("images")
    axes[3].hist(marked, bins, color="#cc6677", label="with, 256² in 8 bits")
    axes[3].axvline(THRESHOLD, color="black", lw=1, ls="--", label="threshold")
    axes[3].set(title="scores", xlabel="standard deviations", yscale="log", yticks=[])
    axes[3].minorticks_off()
    axes[3].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=90)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--crops", type=int, default=1500)
    options = parser.parse_args()
    folder = data_folder()
    unmarked: dict[str, Image] = {}
    to_mark: list[Image] = []
    if folder is None:
        print("No measured images: set STEMLEARN_DATA to their folder.")
    else:
        for name, data in measured(folder):
            unmarked[name] = data
            if "_mask" not in name and "_classmap" not in name:
                to_mark.append(np.asarray(data[0] if data.ndim == 3 else data)[:PIECE, :PIECE])
    n_files, n_measured = len(unmarked), len(to_mark)
    changes: dict[str, list[dict[str, float]]] = {"noise": [], "clean": []}
    example = None
    for name, labelled, pixel_size in simulations():
        image = np.asarray(labelled.micrograph.data)
        unmarked[name] = image
        to_mark.append(image)
        example = image if name.startswith("wse2 0.2 A 3000") else example
        changes["clean" if name.endswith(" 0 e/A2") else "noise"].append(
            {"image": name, **strength(image), **moved(labelled, pixel_size)}  # type: ignore[dict-item]
        )
    whole, crops = unmarked_scores(unmarked, options.crops)
    if options.list:
        for name, score in whole.items():
            print(f"{score:6.2f}  {name}")
    rows = survived(to_mark)
    print(f"\nWithout watermark: {n_files} images of files, {len(whole) - n_files} simulations, {len(crops)} crops.")
    print(f"Highest score {max(max(whole.values()), crops.max()):.2f}; threshold {THRESHOLD}, ", end="")
    print(f"false positive rate below {false_positive_rate():.1g} a file.\n")
    print(f"With watermark: {n_measured} measured images, {len(to_mark) - n_measured} simulations.\n")
    print("| what was done | images | found | lowest score | median score |\n|---|---|---|---|---|")
    for row in rows:
        share = 100 * row["found"] / row["images"]
        print(
            f"| {row['change']} | {row['images']} | {share:.4g} % | {row['lowest_score']:.1f} "
            f"| {row['median_score']:.1f} |"
        )
    print("\n| simulation | std / image's | PSNR dB | atoms moved, rms px | 99 % px | their error px |")
    print("|---|---|---|---|---|---|")
    for entry in [*changes["clean"], *changes["noise"]]:
        print(
            f"| {entry['image']} | {entry['relative_std']:.3f} | {entry['psnr_db']:.0f} | {entry['rms_moved']:.4f} "
            f"| {entry['p99_moved']:.4f} | {entry['median_error']:.3f} |"
        )
    if options.out:
        record = {
            "threshold": THRESHOLD,
            "false_positive_rate_below": false_positive_rate(),
            "unmarked": {
                "files": n_files,
                "simulations": len(whole) - n_files,
                "crops": len(crops),
                "highest_score": float(max(max(whole.values()), crops.max())),
                "scores": {name: round(score, 3) for name, score in whole.items()},
            },
            "survived": rows,
            "changes": changes,
        }
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if options.figure and example is not None:
        pieces = [stretched(cropped(embed_watermark(image), 256)) for image in to_mark if min(image.shape) >= 256]
        scores = np.concatenate([crops, list(whole.values())])
        draw(options.figure, example, scores, [find_watermark(piece).score for piece in pieces])


if __name__ == "__main__":
    main()
