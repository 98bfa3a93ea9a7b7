"""The watermark survives what people do to images, is seen nowhere else, and leaves the atoms where they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from synthetic_images import lattice

from data_folder import data_folder
from napari_stemlearn.errors import MicrographError
from napari_stemlearn.marking import embed_watermark, find_watermark
from napari_stemlearn.marking.watermark import THRESHOLD, TILE, _finding, _folded, _tile, false_positive_rate

RNG = np.random.default_rng(5)
TILE_CORNER = [0.4448616888, 0.5676265678, 1.9748849833, 1.3655359826, -0.1805290388, -0.4136234279]


@pytest.fixture(scope="module")
def marked() -> np.ndarray:
    """A marked image of 400 by 420 pixels."""
    return embed_watermark(lattice((400, 420)))


def eight_bits(image: np.ndarray, low: float = 0.0, high: float = 100.0) -> np.ndarray:
    """Stretched from one percentile to another."""
    bottom, top = np.percentile(image, (low, high))
    return np.clip(np.round((image - bottom) / (top - bottom) * 255), 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda image: image,
    "crop": lambda image: image[101:357, 33:289],
    "small crop": lambda image: image[7:135, 200:328],
    "8 bits": eight_bits,
    "8 bits, percentiles": lambda image: eight_bits(image, 0.5, 99.5),
    "crop to 8 bits": lambda image: eight_bits(image[77:333, 5:261]),
    "contrast": lambda image: 3.7 * image - 1000,
    "inverted": lambda image: -image,
    "mirrored": lambda image: image[:, ::-1],
    "turned": lambda image: np.rot90(image, 3),
    "transposed crop to 8 bits": lambda image: eight_bits(image.T[50:310, 60:320]),
    "more noise": lambda image: image + RNG.normal(scale=12, size=image.shape),
    "hot pixels": lambda image: np.where(RNG.random(image.shape) < 1e-3, 1e5, image),
    "square root": lambda image: np.sqrt(image - image.min()),
    "NaN": lambda image: np.where(RNG.random(image.shape) < 0.01, np.nan, image),
    "half black": lambda image: np.where(np.arange(image.shape[1]) < 200, 0, image),
}


@pytest.mark.parametrize("change", CHANGES)
def test_survives(change: str, marked: np.ndarray) -> None:
    finding = find_watermark(CHANGES[change](marked))
    assert finding.present, finding
    assert finding.large_enough


def test_says_how_the_image_was_changed(marked: np.ndarray) -> None:
    for mirrored in (False, True):
        for turns in range(4):
            changed = -np.rot90(np.fliplr(marked) if mirrored else marked, turns)
            finding = find_watermark(changed[13:, 70:])
            assert (finding.mirrored, finding.quarter_turns, finding.inverted) == (mirrored, turns, True)
    assert find_watermark(marked[13:, 70:]).shift == (13, 70 - TILE)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(192, 200), (2, 192, 200)])
def test_types_and_stacks(dtype: str, shape: tuple[int, ...]) -> None:
    image = np.broadcast_to(lattice((192, 200)), shape).astype(dtype)
    before = image.copy()
    marked = embed_watermark(image)
    assert marked.dtype == image.dtype
    assert marked.shape == image.shape
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(embed_watermark(image), marked)
    assert find_watermark(marked).present
    assert not find_watermark(image).present
    if marked.ndim == 3:
        np.testing.assert_array_equal(marked[0], marked[1])


def test_single_electrons_carry_it() -> None:
    """Counts so low that the mark is finer than one of them, and none is below zero."""
    counts = np.random.default_rng(2).poisson(lattice(noise=0) / 40).astype(np.uint16)
    marked = embed_watermark(counts)
    assert find_watermark(marked).present
    assert np.abs(marked.astype(int) - counts).max() <= 1
    assert np.mean(marked.astype(float) - counts) == pytest.approx(0, abs=0.03)


def test_aligned_stack_and_long_stack() -> None:
    """Frames that were moved against each other hide it together, not one by one."""
    stack = embed_watermark(np.stack([lattice() + np.float32(level) for level in range(5)]))
    moved = np.stack([np.roll(frame, (17 * index, 29 * index), (0, 1)) for index, frame in enumerate(stack)])
    assert find_watermark(moved).present
    long = np.broadcast_to(stack[0], (4000, *stack[0].shape))
    assert find_watermark(long).present


def test_is_invisible() -> None:
    image = lattice((512, 512))
    difference = embed_watermark(image).astype(float) - image
    # a tenth of the noise, and 35 dB below the image's range
    assert 0.05 * 12 < difference.std() < 0.12 * 12
    assert 20 * np.log10(np.ptp(image) / difference.std()) > 35
    clean = lattice((512, 512), noise=0)
    assert (embed_watermark(clean).astype(float) - clean).std() < 0.02 * clean.std()
    # no noise on one side: there it is fainter
    half = np.where(np.arange(512) < 256, clean, image)
    difference = embed_watermark(half).astype(float) - half
    assert difference[:, :128].std() < 0.5 * difference[:, 384:].std()


def test_atoms_stay() -> None:
    from napari_stemlearn.finding.gaussians import fit_gaussians
    from napari_stemlearn.imaging import ImagingSettings
    from napari_stemlearn.imaging.simulate import simulate
    from napari_stemlearn.structures import StructureSettings, build

    specimen = build(StructureSettings.preset("wse2", field_of_view=(40, 40)), seed=3)
    for noise in (False, True):
        settings = ImagingSettings(
            shape=(200, 200), pixel_size=0.2, detector={"counting_noise": noise, "dose": 2e4, "bits": 0}
        )
        labelled = simulate(specimen, settings, seed=3)
        image = np.asarray(labelled.micrograph.data)
        columns = labelled.columns[labelled.columns["class"] == "W"]
        columns = columns[columns["y"].between(8, 191) & columns["x"].between(8, 191)]
        y, x = columns["y"].to_numpy(float), columns["x"].to_numpy(float)
        before, after = (fit_gaussians(each, y, x, 2.2) for each in (image, embed_watermark(image)))
        well = before.converged & after.converged
        assert well.sum() > 100
        moved = np.hypot(after.y - before.y, after.x - before.x)[well]
        if noise:
            # far below what the noise itself does to a position
            assert np.sqrt(np.mean(moved**2)) < 0.1 * np.median(before.error[well])
        else:
            assert moved.max() < 0.01


def test_crystals_and_odd_images_do_not_have_it() -> None:
    rng = np.random.default_rng(4)
    images: list[Any] = [lattice(noise=noise, period=period) for noise in (0, 5) for period in (4, 5.33, 8, 10.67, 16)]
    images += [rng.normal(size=(200, 300)), rng.poisson(0.05, (256, 256)), np.tile(rng.normal(size=(64, 64)), (8, 8))]
    images += [np.zeros((200, 200)), np.full((130, 130), np.nan), rng.normal(size=(2, 2)), rng.normal(size=(2, 300))]
    images += [np.eye(256), rng.random((200, 200)) < 0.5, 1e200 * rng.normal(size=(200, 200))]
    for image in images:
        assert find_watermark(np.asarray(image)).score < 6


def test_measured_micrographs_do_not_have_it() -> None:
    from napari_stemlearn.formats import read_micrograph

    for place in (
        "wse2-ti-doped-labelled/ti2_adf2.tif",
        "srtio3-haadf/sto_001.tif",
        "graphene-si-defects/si1c4_48.tif",
        "wse2-v-doped-adf/adf_1389.tif",
        "nanoparticle-masks/33f8a59619.tif",
    ):
        assert find_watermark(read_micrograph(data_folder(*place.split("/"))).data).score < 6


def test_false_positive_rate_bounds_what_is_seen() -> None:
    assert false_positive_rate(THRESHOLD) < 1e-6
    # each of the 65,536 agreements of an image is a draw: their tail must lie below the bound
    from napari_stemlearn.marking import watermark

    tails = np.zeros(3)
    draws = 0
    for seed in range(40):
        folded = np.random.default_rng(seed).normal(size=(TILE, TILE))
        spectrum = np.fft.fft2(folded)
        sums = np.fft.ifft2(spectrum / np.abs(spectrum) * watermark._turned_phases()).real * TILE * TILE
        scores = np.abs(sums) / np.sqrt(watermark._in_band((TILE, TILE)).sum())
        assert scores.max() == pytest.approx(_finding(folded, True).score)
        tails += [(scores > level).sum() for level in (2, 3, 4)]
        draws += scores.size
    for level, tail in zip((2, 3, 4), tails / draws, strict=True):
        assert 0 < tail < 2 * np.exp(-0.5 * level**2)


def test_tile_is_the_same_for_ever() -> None:
    """Old images would lose their mark with another tile."""
    assert _tile().std() == pytest.approx(1)
    assert _tile()[:2, :3].ravel() == pytest.approx(TILE_CORNER, abs=1e-9)
    assert _folded(np.tile(_tile(), (2, 2))).shape == (TILE, TILE)


def test_small_images_say_so() -> None:
    small = embed_watermark(lattice((70, 90)))
    assert not find_watermark(small).large_enough


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((64, 64), 3.0), "one grey level"),
        (np.where(np.eye(64) > 0, np.nan, 1.0), "NaN or infinite"),
        (np.ones((64, 64), bool), "mask of yes and no"),
        (np.ones((64, 64), complex), "complex"),
        (np.ones((64, 64, 3)), "colour"),
        (np.ones(64), "1 axes"),
    ],
)
def test_what_cannot_be_marked(image: np.ndarray, words: str) -> None:
    with pytest.raises(MicrographError, match=words):
        embed_watermark(image)
