"""The whole search: tiles, resampling, stacks, stopping, thresholds, exclusion, bad input."""

from __future__ import annotations

import subprocess
import sys

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from napari_stemlearn.errors import MicrographError, ModelError, SettingsError
from napari_stemlearn.finding import FindSettings, find, find_frames, find_kept
from napari_stemlearn.finding.finder import pixel_size_notes
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.scoring import score
from napari_stemlearn.sites import make_sites


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(100, 10, shape).astype(np.float32)


def assert_same_sites(one, other, atol=1e-3):
    assert len(one) == len(other) > 5
    assert one["class"].tolist() == other["class"].tolist()
    for column in ("y", "x", "score"):
        np.testing.assert_allclose(one[column], other[column], atol=atol)


@pytest.mark.parametrize(("levels", "stem", "kind"), [(3, 2, "local"), (2, 1, "local"), (4, 1, "frame")])
def test_tiles_give_the_numbers_of_the_whole(make_model, levels, stem, kind):
    window = {"kind": kind, "window_angstrom": 6.0}
    model = make_model(levels=levels, stem=stem, normalisation=window, thresholds={"a": 0.6, "b": 0.6})
    micrograph = Micrograph(noise((131, 190)), 0.2)
    whole = find(micrograph, model, FindSettings(tile=512), with_maps=True)
    for tile in (40, 64):
        parts = find(micrograph, model, FindSettings(tile=tile), with_maps=True)
        for name in "ab":
            assert whole.maps[name].shape == (131, 190)
            assert np.ptp(whole.maps[name]) > 0.3
            np.testing.assert_allclose(parts.maps[name], whole.maps[name], atol=2e-5)
        assert_same_sites(parts.sites, whole.sites)


def test_tiles_of_a_resampled_frame(make_model):
    model = make_model(thresholds={"a": 0.6, "b": 0.6})
    micrograph = Micrograph(noise((200, 170)), 0.13)
    whole, parts = (find(micrograph, model, FindSettings(tile=tile), with_maps=True) for tile in (512, 48))
    assert whole.maps["a"].shape == (130, 110)
    assert whole.map_pixel_size == 0.2
    np.testing.assert_allclose(parts.maps["a"], whole.maps["a"], atol=1e-2)
    assert np.median(np.abs(parts.maps["a"] - whole.maps["a"])) < 1e-4
    assert "resampled from 0.13 to 0.2 angstrom per pixel" in whole.notes[0]


@pytest.mark.parametrize("shape", [(2, 2), (2, 90), (17, 5), (33, 64)])
def test_frames_smaller_than_a_tile_or_the_halo(make_model, shape):
    found = find(Micrograph(noise(shape), 0.2), make_model(), FindSettings(threshold=0.0), with_maps=True)
    assert found.maps["a"].shape == shape
    assert found.sites["y"].between(-0.5, shape[0] - 0.5).all()


@pytest.mark.parametrize(("shape", "left"), [((2, 400), "0 by 133"), ((5, 90), "1 by 30"), ((90, 3), "30 by 1")])
def test_frames_of_which_too_little_is_left_are_refused(make_model, shape, left):
    model = make_model(pixel_size=0.15, pixel_size_range=(0.05, 0.4))
    pixels = " by ".join(map(str, shape))
    with pytest.raises(MicrographError, match="too small for the model 'random'") as caught:
        find(Micrograph(noise(shape), 0.05, "strip"), model)
    assert f"its {pixels} pixels are {left} at 0.15 angstrom, where at least 2 by 2 are needed" in str(caught.value)


def test_augmentation_is_turned_back_exactly(make_model):
    import torch

    from napari_stemlearn.finding.inference import predict

    network = make_model().network
    image = torch.randn(1, 1, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        mean = predict(network, image, augmentation=True)
        singles = []
        for mirrored in (False, True):
            for turns in range(4):
                turned = np.rot90(image[0, 0].numpy()[:, ::-1] if mirrored else image[0, 0].numpy(), turns)
                scores = predict(network, torch.from_numpy(turned.copy())[None, None])[0].numpy()
                back = np.rot90(scores, -turns, (1, 2))
                singles.append(back[:, :, ::-1] if mirrored else back)
        np.testing.assert_allclose(mean[0].numpy(), np.mean(singles, axis=0), atol=1e-5)
        assert not torch.allclose(mean, predict(network, image), atol=1e-3)
        # the mean of all eight sees a turned image exactly turned
        turned = predict(network, torch.rot90(image, 1, (2, 3)).flip(3), augmentation=True)
        np.testing.assert_allclose(turned.numpy(), torch.rot90(mean, 1, (2, 3)).flip(3).numpy(), atol=1e-5)
        flat = predict(lambda x: x, image, augmentation=True)
        np.testing.assert_allclose(flat.numpy(), torch.sigmoid(image).numpy(), atol=1e-6)


def test_augmentation_and_tiles_go_together(make_model):
    micrograph = Micrograph(noise((90, 120)), 0.2)
    whole, parts = (
        find(micrograph, make_model(), FindSettings(tile=tile, test_time_augmentation=True), with_maps=True)
        for tile in (256, 48)
    )
    np.testing.assert_allclose(parts.maps["b"], whole.maps["b"], atol=2e-5)


@pytest.mark.parametrize("pixel_size", [0.1, 0.13, 0.2, 0.31, 0.4])
def test_positions_are_those_of_the_original_image(make_blob_model, make_image, make_points, pixel_size):
    rng = np.random.default_rng(4)
    side = int(50 / pixel_size)
    points = make_points((side, side), 3.2 / pixel_size, rng, jitter=0.3 / pixel_size, rim=int(2 / pixel_size))
    image = make_image((side, side), points, 0.4 / pixel_size) * 1000 + 300
    found = find(Micrograph(image, pixel_size), make_blob_model(), FindSettings(threshold=0.3, tile=150))
    assert len(found.sites) == len(points)
    distance, index = cKDTree(points).query(found.sites[["y", "x"]].to_numpy())
    assert len(set(index)) == len(points)
    assert distance.max() * pixel_size < 0.05
    offset = (found.sites[["y", "x"]].to_numpy() - points[index]).mean(axis=0) * pixel_size
    assert np.abs(offset).max() < 0.005
    np.testing.assert_allclose(found.sites["y_angstrom"], found.sites["y"] * pixel_size)
    assert (found.sites["origin"] == "predicted").all()
    refined = find(Micrograph(image, pixel_size), make_blob_model(), FindSettings(threshold=0.3, refine="image")).sites
    distance, _ = cKDTree(points).query(refined.loc[refined["refined"], ["y", "x"]].to_numpy())
    assert refined["refined"].mean() > 0.9
    assert np.median(distance) * pixel_size < 0.01


def test_exclusive_classes_and_thresholds(make_blob_model, make_image):
    points = np.array([[30.0, 30.0], [30.0, 60.0]])
    image = make_image((60, 90), points, 2.0)
    both = find(Micrograph(image, 0.2), make_blob_model(classes=("a", "b")), FindSettings(threshold=0.3))
    assert both.sites["class"].value_counts().to_dict() == {"a": 2, "b": 2}
    assert (both.sites["score"] > 0.3).all()
    one = find(
        Micrograph(image, 0.2), make_blob_model(classes=("a", "b"), exclusive=[("a", "b")]), FindSettings(threshold=0.3)
    )
    assert len(one.sites) == 2
    weak = make_blob_model(classes=("a", "b"))
    weak.network.kernel[1] *= 0.02
    by_class = FindSettings(threshold=0.3, thresholds={"b": 0.99})
    assert set(find(Micrograph(image, 0.2), weak, by_class).sites["class"]) == {"a"}
    chosen = find(
        Micrograph(image, 0.2),
        make_blob_model(classes=("a", "b")),
        FindSettings(threshold=0.3, classes=["b"]),
        with_maps=True,
    )
    assert set(chosen.maps) == {"b"}
    weak = make_blob_model(thresholds={"column": 0.99})
    weak.network.kernel[0] *= 0.02
    own = find(Micrograph(image, 0.2), weak)
    assert len(own.sites) == 0
    assert list(own.sites.columns) == list(both.sites.columns)
    for settings in (FindSettings(classes=["c"]), FindSettings(thresholds={"c": 0.5})):
        with pytest.raises(ModelError, match="knows no class 'c'; it knows column"):
            find(Micrograph(image, 0.2), make_blob_model(), settings)


def test_the_higher_score_wins_an_exclusive_place(make_blob_model, make_image):
    model = make_blob_model(classes=("a", "b"), exclusive=[("a", "b")])
    model.network.kernel[1] *= 2
    found = find(
        Micrograph(make_image((50, 50), np.array([[25.0, 25.0]]), 2.0), 0.2), model, FindSettings(threshold=0.3)
    )
    assert found.sites["class"].tolist() == ["b"]


def test_unwanted_rivals_still_take_their_places(make_blob_model, make_image):
    # b wins over a, and c over b: a search for single classes gives what the search for all gives of them
    model = make_blob_model(classes=("a", "b", "c", "d"), exclusive=[("a", "b"), ("b", "c")], thresholds={"c": 0.99})
    model.network.kernel[1] *= 2
    model.network.kernel[2] *= 3
    micrograph = Micrograph(make_image((60, 90), np.array([[30.0, 30.0], [30.0, 60.0]]), 2.0), 0.2)
    whole = find(micrograph, model, FindSettings(threshold=0.3)).sites
    assert set(whole["class"]) == {"c", "d"}
    for name in "abcd":
        alone = find(micrograph, model, FindSettings(threshold=0.3, classes=[name]), with_maps=True)
        wanted = whole[whole["class"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone.sites, wanted, check_dtype=False)
        assert set(alone.maps) == {name}
        assert set(alone.record["thresholds"]) == {name}


def test_refined_sites_stay_apart_and_in_the_frame(make_blob_model, make_image, make_points):
    # noise everywhere, and columns that the rim cuts
    rng = np.random.default_rng(3)
    points = np.concatenate([make_points((120, 130), 9, rng, jitter=3), [[-1.5, 40.0], [60.0, 131.0], [121.0, 90.0]]])
    image = make_image((120, 130), points, 2.0) + rng.normal(0, 0.25, (120, 130))
    model = make_blob_model(classes=("a", "b", "c"), exclusive=[("a", "b")], sigma=1.2)
    model.network.kernel[1] = model.network.kernel[0].roll(1, -1)
    settings = FindSettings(threshold=0.15, min_distance=1.0, border=0.0, refine_max_shift=2.0)
    for finder, groups in ((model, (["a", "b"], ["c"])), ("log", (["column"],))):
        mapped = find(Micrograph(image, 0.2), finder, settings.changed(refine="map")).sites
        refined = find(Micrograph(image, 0.2), finder, settings.changed(refine="image")).sites
        assert refined["refined"].mean() > 0.2
        # the classical finder answers to the flanks of the three columns outside, whose fits lie there
        lost = mapped["class"].value_counts() - refined["class"].value_counts()
        assert lost.to_dict() == ({"column": 3} if finder == "log" else {"a": 0, "b": 0, "c": 0})
        assert refined["y"].between(-0.5, 119.5).all()
        assert refined["x"].between(-0.5, 129.5).all()
        for group in groups:
            some = refined.loc[refined["class"].isin(group), ["y", "x"]].to_numpy() * 0.2
            assert len(some) > 20
            assert not cKDTree(some).query_pairs(1.0 - 1e-5)
        unrefined = ~refined["refined"]
        assert refined.loc[unrefined, "sigma_angstrom"].isna().all()
        np.testing.assert_allclose(
            cKDTree(mapped[["y", "x"]]).query(refined.loc[unrefined, ["y", "x"]])[0], 0, atol=1e-9
        )


def test_min_distance_and_border(make_blob_model, make_image):
    image = make_image((60, 90), np.array([[30.0, 30.0], [30.0, 39.0], [5.0, 70.0]]), 2.0)
    micrograph = Micrograph(image, 0.2)
    assert len(find(micrograph, make_blob_model(), FindSettings(threshold=0.3)).sites) == 3
    assert len(find(micrograph, make_blob_model(), FindSettings(threshold=0.3, min_distance=2.5)).sites) == 2
    assert len(find(micrograph, make_blob_model(), FindSettings(threshold=0.3, border=10)).sites) == 2


def test_a_search_tells_its_border_and_is_scored_by_it(make_blob_model, make_image):
    points = np.array([[1.0, 30.0], [30.0, 30.0], [30.0, 60.0], [58.0, 70.0]])
    micrograph = Micrograph(make_image((60, 90), points, 2.0), 0.2)
    truth = make_sites(points[:, 0], points[:, 1], "column", pixel_size=0.2, origin="truth")
    model = make_blob_model()
    found = find(micrograph, model, FindSettings(threshold=0.3))
    inside = model.card.target_radius / 0.2
    assert found.border == found.record["border"] == pytest.approx(inside)
    assert found.shape == (60, 90) == tuple(found.record["shape"])
    assert found.classes == ("column",)
    assert len(found.sites) == 2
    row = score(found, truth, 0.6).of("column")
    assert (row["tp"], row["fp"], row["fn"]) == (2, 0, 0)
    assert score(found.sites, truth, 0.6).of("column")["fn"] == 2
    assert find(micrograph, model, FindSettings(border=0, threshold=0.3)).border == 0
    assert [part.border for part in find_frames(micrograph, model, FindSettings(border=7))] == [7]
    assert find(micrograph, "log").border == 0


def test_stacks_go_frame_by_frame(make_model, tmp_path):
    data = np.stack([noise((70, 80), seed) for seed in range(3)])
    kept = np.memmap(tmp_path / "stack.raw", np.float32, "w+", shape=data.shape)
    kept[:] = data
    model, settings = make_model(), FindSettings(tile=48)
    seen = []
    found = find(Micrograph(kept, 0.2), model, settings, with_maps=True, on_progress=lambda *step: seen.append(step))
    assert seen == [(step, 12) for step in range(1, 13)]
    assert found.frames == (0, 1, 2)
    assert found.maps["a"].shape == (3, 70, 80)
    for frame in range(3):
        alone = find(Micrograph(data[frame], 0.2), model, settings)
        part = found.sites[found.sites["frame"] == frame]
        assert_same_sites(alone.sites, part)
    lazy = find(Micrograph(da.from_array(data, chunks=(1, 35, 40)), 0.2), model, settings)
    pd.testing.assert_frame_equal(lazy.sites, found.sites)
    assert find(Micrograph(data, 0.2), model, settings, frames=[2]).frames == (2,)
    with pytest.raises(MicrographError, match="no frame 3"):
        find(Micrograph(data, 0.2), model, settings, frames=[3])


def test_stops_between_tiles_and_keeps_finished_frames(make_model):
    data = np.stack([noise((70, 80), seed) for seed in range(3)])
    asked = []

    def should_stop():
        asked.append(1)
        return len(asked) > 8

    found = find(Micrograph(data, 0.2), make_model(), FindSettings(tile=48), should_stop=should_stop)
    assert found.stopped
    assert found.frames == (0,)
    assert set(found.sites["frame"]) == {0}
    assert "stopped" in found.notes[-1]
    at_once = find(Micrograph(data, 0.2), make_model(), should_stop=lambda: True)
    assert at_once.stopped
    assert len(at_once.sites) == 0
    parts = find_frames(Micrograph(data, 0.2), make_model())
    assert next(parts).frame == 0
    assert [part.frame for part in parts] == [1, 2]


def test_bad_frames(make_model):
    data = np.stack([noise((40, 50), seed) for seed in range(3)])
    data[1] = 5
    with pytest.raises(MicrographError, match="Frame 1 of 'day'"):
        find(Micrograph(data, 0.2, "day"), make_model())
    found = find(Micrograph(data, 0.2, "day"), make_model(), FindSettings(skip_bad_frames=True), with_maps=True)
    assert found.frames == (0, 1, 2)
    assert any("Frame 1 of 'day'" in note and "left out" in note for note in found.notes)
    assert found.maps["a"].shape == (3, 40, 50)
    assert np.isnan(found.maps["a"][1]).all()
    assert not (found.sites["frame"] == 1).any()
    data[2, 0, 0] = np.nan
    with pytest.raises(MicrographError, match="NaN"):
        find(Micrograph(data[2], 0.2, "day"), make_model(), FindSettings(skip_bad_frames=True))


def test_frames_before_a_broken_one_are_kept(make_model):
    data = np.stack([noise((40, 50), seed) for seed in range(3)])
    data[2, 0, 0] = np.nan
    micrograph = Micrograph(data, 0.2, "day")
    found, fault = find_kept(micrograph, make_model(), with_maps=True)
    assert found.frames == (0, 1)
    assert found.maps["a"].shape == (2, 40, 50)
    assert isinstance(fault, MicrographError)
    assert "Frame 2 of 'day'" in str(fault)
    assert_same_sites(found.sites, find(micrograph, make_model(), frames=[0, 1]).sites)
    whole, nothing = find_kept(micrograph, make_model(), frames=[0, 1])
    assert nothing is None
    assert whole.frames == (0, 1)
    with pytest.raises(MicrographError, match="Frame 2"):
        find_kept(micrograph, make_model(), frames=[2])


def test_pixel_sizes(make_model):
    model = make_model()
    with pytest.raises(MicrographError, match="not known"):
        find(Micrograph(noise((40, 40))), model)
    with pytest.raises(MicrographError, match="not known"):
        find(Micrograph(noise((40, 40))), "log")
    assert pixel_size_notes(model.card, 0.2, "x") == ()
    assert len(pixel_size_notes(model.card, 0.3, "x")) == 1
    assert "outside the 0.1 to 0.4 angstrom" in pixel_size_notes(model.card, 0.7, "x")[1]
    for absurd in (0.02, 2.0):
        with pytest.raises(MicrographError, match="check the pixel size or choose another model"):
            find(Micrograph(noise((40, 40)), absurd), model)
    open_card = make_model(pixel_size_range=None).card
    assert "states no range" in pixel_size_notes(open_card, 0.5, "x")[1]


def test_grey_level_units_do_not_matter(make_model):
    image = np.round(noise((64, 64)) * 50).astype(np.uint16)
    model = make_model()
    one = find(Micrograph(image, 0.2), model).sites
    for other in (image.astype(np.float64) * 1e-14, image.astype(np.int32) - 40_000, image / 3 + 1e7):
        assert_same_sites(find(Micrograph(other, 0.2), model).sites, one, atol=5e-3)


def test_short_numbers_only_on_request(make_model):
    micrograph = Micrograph(noise((64, 64)), 0.2)
    exact = find(micrograph, make_model(), with_maps=True).maps["a"]
    short = find(micrograph, make_model(), FindSettings(precision="bfloat16"), with_maps=True).maps["a"]
    assert short.dtype == np.float32
    assert 0 < np.abs(short - exact).max() < 0.3


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((noise((40, 40)), "log"), MicrographError, "A Micrograph is needed, not a value of type ndarray"),
        ((Micrograph(noise((40, 40)), 0.2), "log", {"threshold": 0.9}), SettingsError, "not a value of type dict"),
        ((Micrograph(noise((40, 40)), 0.2), None), ModelError, "not a value of type NoneType"),
    ],
)
@pytest.mark.parametrize("search", [find, find_kept, lambda *given: list(find_frames(*given))])
def test_what_is_no_micrograph_settings_or_model_is_said(search, arguments, error, words):
    with pytest.raises(error, match=words):
        search(*arguments)


def test_model_by_folder_and_record(make_model, tmp_path):
    from napari_stemlearn.models.store import save_model

    model = make_model()
    save_model(tmp_path / "mine", model.network, model.card)
    micrograph = Micrograph(noise((64, 64)), 0.2)
    found = find(micrograph, tmp_path / "mine")
    assert_same_sites(found.sites, find(micrograph, model).sites)
    assert found.record["model"] == "random"
    assert len(found.record["weights_sha256"]) == 64
    assert found.record["thresholds"] == {"a": 0.5, "b": 0.5}
    with pytest.raises(ModelError, match="no model 'absent'"):
        find(micrograph, "absent")


def test_importing_the_folder_brings_no_heavy_module():
    code = (
        "import sys, napari_stemlearn.finding as f; f.FindSettings(); f.find;"
        "print([m for m in ('torch', 'matplotlib', 'napari', 'abtem') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
