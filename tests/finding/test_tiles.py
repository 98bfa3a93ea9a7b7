"""Tiles, mirrored rims, resampled windows and the reader of frames."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import torch

from napari_stemlearn.errors import MicrographError
from napari_stemlearn.finding import frame_reader
from napari_stemlearn.finding.frame_reader import open_frame
from napari_stemlearn.finding.tiles import Span, network_window, plan_tiles, reflected
from napari_stemlearn.finding.windowed_resampling import read_resampled
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.models.resampling import resample, resampled_length


@pytest.mark.parametrize("shape", [(1, 1), (7, 100), (64, 64), (65, 131), (1000, 30)])
@pytest.mark.parametrize(("tile", "multiple"), [(16, 1), (32, 8), (5, 8), (2000, 16)])
def test_every_pixel_is_in_one_tile(shape, tile, multiple):
    count = np.zeros(shape, int)
    for part in plan_tiles(shape, tile, multiple):
        assert part.y.start % multiple == part.x.start % multiple == 0
        assert max(len(part.y), len(part.x)) <= max(tile, multiple) + multiple
        count[part.y.start : part.y.stop, part.x.start : part.x.stop] += 1
    assert (count == 1).all()


@pytest.mark.parametrize("length", [2, 5, 40])
def test_mirroring_is_that_of_numpy_also_many_times_over(length):
    expected = np.pad(np.arange(length), 33, mode="reflect")
    assert reflected(-33, length + 33, length).tolist() == expected.tolist()


def test_network_windows_are_aligned_and_end_where_the_whole_ends():
    whole = network_window(Span(0, 500), 500, 60, 32, 8)
    assert (whole.start, whole.stop) == (-32, 536)
    for start in range(0, 500, 100):
        part = network_window(Span(start, start + 100), 500, 60, 32, 8)
        assert part.start % 8 == part.stop % 8 == 0
        assert part.start == max(whole.start, part.start) <= max(start - 60, -32)
        assert part.stop >= min(start + 160, 536)


@pytest.mark.parametrize(("old", "new"), [(0.1, 0.2), (0.38, 0.2), (0.2, 0.2), (0.093, 0.2), (0.21, 0.2)])
def test_a_resampled_window_is_that_of_the_whole(old, new):
    rng = np.random.default_rng(0)
    frame = open_frame(Micrograph(rng.normal(5, 2, (97, 120)), old), 0)
    whole = resample(torch.from_numpy(frame.read(slice(None), slice(None))), old, new).numpy()
    shape = tuple(resampled_length(side, old, new) for side in frame.shape)
    assert whole.shape == shape
    for part in plan_tiles(shape, 37):
        window = read_resampled(frame, old / new, part.y, part.x)
        inside = whole[part.y.start : part.y.stop, part.x.start : part.x.stop]
        np.testing.assert_allclose(window, inside, atol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float16", "float32", "float64", ">u2", "bool"])
def test_any_type_is_standardised(dtype, tmp_path):
    rng = np.random.default_rng(1)
    data = (rng.uniform(0, 100, (60, 70)) > 50 if dtype == "bool" else rng.uniform(0, 100, (60, 70))).astype(dtype)
    block = open_frame(Micrograph(data, 0.2), 0).read(slice(10, 50), slice(None))
    assert block.dtype == np.float32
    wide = data.astype(float)
    np.testing.assert_allclose(block, ((wide - wide.mean()) / wide.std())[10:50], atol=1e-3)
    kept = np.memmap(tmp_path / "frame.raw", dtype, "w+", shape=(2, 60, 70))
    kept[1] = data
    lazy = da.from_array(kept, chunks=(1, 20, 30))
    for other in (kept, lazy):
        again = open_frame(Micrograph(other, 0.2), 1).read(slice(10, 50), slice(None))
        np.testing.assert_array_equal(again, block)


def test_large_lazy_frames_are_read_in_pieces(monkeypatch):
    monkeypatch.setattr(frame_reader, "LOAD_BYTES", 100)
    monkeypatch.setattr(frame_reader, "BLOCK_PIXELS", 500)
    data = np.random.default_rng(2).normal(1e6, 1e-2, (60, 70))
    lazy = open_frame(Micrograph(da.from_array(data, chunks=20), 0.2), 0)
    assert not isinstance(lazy.data, np.ndarray)
    expected = (data - data.mean()) / data.std()
    np.testing.assert_allclose(lazy.read(slice(3, 30), slice(5, 9)), expected[3:30, 5:9], atol=1e-4)


def test_bad_frames_are_named():
    data = np.random.default_rng(3).normal(size=(3, 20, 20))
    data[1, 3, 4], data[1, 5, 5] = np.nan, np.inf
    data[2] = 7
    open_frame(Micrograph(data, 0.2, "stack"), 0)
    with pytest.raises(MicrographError, match="Frame 1 of 'stack' has 2 pixels that are NaN"):
        open_frame(Micrograph(data, 0.2, "stack"), 1)
    with pytest.raises(MicrographError, match="Frame 2 of 'stack' has one grey level"):
        open_frame(Micrograph(data, 0.2, "stack"), 2)
    with pytest.raises(MicrographError, match=r"'one' has one grey level \(7\)"):
        open_frame(Micrograph(data[2], 0.2, "one"), 0)
