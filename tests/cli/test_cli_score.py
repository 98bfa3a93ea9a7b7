"""``stemlearn score``: the numbers, where pixel size and shape come from, and every refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_stemlearn.formats import read_sites, sidecar_path, write_sites, write_tiff
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import concat_sites, make_sites

PIXEL = 0.2
Y = np.array([10.0, 30.0, 50.0, 2.0])
X = np.array([12.0, 33.0, 40.0, 50.0])


@pytest.fixture
def micrograph() -> Micrograph:
    return Micrograph(np.random.default_rng(0).random((64, 60), dtype=np.float32), PIXEL, "image")


@pytest.fixture
def tables(tmp_path: Path, micrograph: Micrograph) -> None:
    """Found: two right, one 1.2 A off, one invented; truth, ours and foreign."""
    found = make_sites(
        [*Y[:2] + 0.5, Y[2] + 6, Y[3], 60.0],
        [*X[:2], X[2], X[3], 5.0],
        "vacancy1",
        pixel_size=PIXEL,
        score=[0.9, 0.8, 0.7, 0.6, 0.2],
        origin="predicted",
    )
    write_sites(tmp_path / "found.csv", found, micrograph=micrograph)
    pd.DataFrame({"y": Y, "x": X, "class": "vacancy1"}).to_csv(tmp_path / "foreign.csv", index=False)
    write_sites(tmp_path / "truth.csv", make_sites(Y, X, "V_Se", pixel_size=PIXEL), micrograph=micrograph)


@pytest.mark.usefixtures("tables")
def test_scores_against_a_foreign_table_take_the_pixel_size_of_the_found_one(stemlearn) -> None:  # type: ignore[no-untyped-def]
    result = stemlearn("score", "found.csv", "foreign.csv", "--tolerance", 0.6, "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert record["rule"]["pixel_size"] == pytest.approx(PIXEL)
    row = record["classes"][-1]
    assert (row["tp"], row["fp"], row["fn"]) == (3, 2, 1)
    assert row["precision"] == pytest.approx(0.6)
    assert row["recall"] == pytest.approx(0.75)
    assert row["rms_error_angstrom"] == pytest.approx(np.sqrt(2 / 3) * 0.5 * PIXEL)
    table = stemlearn("score", "found.csv", "foreign.csv", "--tolerance", 0.6)
    assert table.stdout.splitlines()[0].split()[:4] == ["class", "n_truth", "n_found", "tp"]
    assert table.stdout.splitlines()[-1].split()[:6] == ["all", "4", "5", "3", "2", "1"]
    assert "Tolerance 0.6 angstrom at 0.2 angstrom per pixel" in table.stderr
    wider = json.loads(stemlearn("score", "found.csv", "foreign.csv", "--tolerance", 1.3, "--json").stdout)
    assert wider["classes"][-1]["tp"] == 4
    stricter = stemlearn("score", "found.csv", "foreign.csv", "--tolerance", 0.6, "--threshold", 0.75, "--json")
    assert json.loads(stricter.stdout)["classes"][-1]["n_found"] == 2
    other = stemlearn("score", "found.csv", "foreign.csv", "--tolerance", 0.6, "--pixel-size", 0.05, "--json")
    assert json.loads(other.stdout)["classes"][-1]["tp"] == 4


@pytest.mark.usefixtures("tables")
def test_border_from_shape_image_or_sidecar(stemlearn, refused, tmp_path: Path, micrograph: Micrograph) -> None:  # type: ignore[no-untyped-def]
    base = ["score", "found.csv", "foreign.csv", "--tolerance", 0.6, "--json", "--border", 4]
    write_tiff(tmp_path / "image.tif", micrograph)
    for more in ([], ["--shape", "64,60"], ["--image", "image.tif"]):
        row = json.loads(stemlearn(*base, *more).stdout)["classes"][-1]
        # the site at y = 2 and the invented one at y = 60 lie in the border
        assert (row["tp"], row["fp"], row["fn"]) == (2, 1, 1)
    sidecar_path("found.csv").unlink()
    assert "give --shape Y,X or --image FILE" in refused(*base)
    assert "not 'big'" in refused(*base, "--shape", "big")
    assert "does not exist" in refused(*base, "--image", "nowhere.tif")
    assert "must be 0 or more" in refused(*base[:-1], "-1")


@pytest.mark.usefixtures("tables")
def test_classes_are_mapped_chosen_ignored_and_checked(stemlearn, refused) -> None:  # type: ignore[no-untyped-def]
    base = ["score", "found.csv", "truth.csv", "--tolerance", 0.6]
    apart = json.loads(stemlearn(*base, "--json").stdout)
    assert {row["class"]: row["tp"] for row in apart["classes"]} == {"V_Se": 0, "vacancy1": 0, "all": 0}
    together = json.loads(stemlearn(*base, "--map", "vacancy1=V_Se", "--class", "V_Se", "--json").stdout)
    assert [row["class"] for row in together["classes"]] == ["V_Se", "all"]
    assert together["classes"][0]["tp"] == 3
    undecided = json.loads(stemlearn(*base, "--ignore", "V_Se", "--json").stdout)
    assert undecided["classes"][-1]["fn"] == 0
    assert undecided["classes"][-1]["fp"] == 2
    renamed = json.loads(stemlearn(*base, "--truth-map", "V_Se=vacancy1", "--json").stdout)
    assert [(row["class"], row["tp"]) for row in renamed["classes"]] == [("vacancy1", 3), ("all", 3)]
    assert "--truth-map names 'V_S', but the true classes are V_Se" in refused(*base, "--truth-map", "V_S=vacancy1")
    assert "--map takes FOUND=TRUTH, not 'vacancy1'" in refused(*base, "--map", "vacancy1")
    assert "--map names 'vacancy', but the found classes are vacancy1" in refused(*base, "--map", "vacancy=V_Se")
    assert "The class 'v1' is in neither table; they have V_Se, vacancy1" in refused(*base, "--class", "v1")


@pytest.mark.usefixtures("tables")
def test_what_cannot_match_is_told(stemlearn) -> None:  # type: ignore[no-untyped-def]
    apart = stemlearn("score", "found.csv", "truth.csv")
    assert apart.exit_code == 0
    assert "the found classes (vacancy1) and the true ones (V_Se) have no name in common" in apart.stderr
    assert "--map" in apart.stderr
    assert "in common" not in stemlearn("score", "found.csv", "truth.csv", "--map", "vacancy1=V_Se").stderr
    outside = stemlearn("score", "found.csv", "foreign.csv", "--border", 40, "--shape", "64,60")
    assert "no site is left inside a border of 40 px" in outside.stderr
    assert "no site is left" not in stemlearn("score", "found.csv", "foreign.csv", "--border", 5).stderr


@pytest.mark.usefixtures("tables")
def test_sites_outside_the_image_are_told(stemlearn, refused, tmp_path: Path, micrograph: Micrograph) -> None:  # type: ignore[no-untyped-def]
    pd.DataFrame({"y": [10.0, 70.0, 80.0], "x": [12.0, 3.0, 4.0], "class": "vacancy1"}).to_csv("crop.csv", index=False)
    told = (
        "2 of 3 true sites lie outside the 64 by 60 pixels of the image; are y and x swapped, or are the labels of "
        "another image?"
    )
    base = ["score", "found.csv", "crop.csv"]
    for more in ([], ["--border", 3], ["--json"]):
        assert told in stemlearn(*base, *more).stderr
    assert told in json.loads(stemlearn(*base, "--json").stdout)["notes"]
    assert "outside the" not in stemlearn("score", "found.csv", "foreign.csv").stderr
    # what knows the shape goes in this order: given, the image, the record of either table
    assert "1 of 3 true sites lies outside the 75 by 60 pixels" in stemlearn(*base, "--shape", "75,60").stderr
    assert "not 'big'" in refused(*base, "--shape", "big")
    write_tiff(tmp_path / "image.tif", Micrograph(micrograph.data[:50], PIXEL))
    told_by_image = stemlearn(*base, "--image", "image.tif").stderr
    assert "outside the 50 by 60 pixels of the image" in told_by_image
    assert "2 of 5 found sites lie outside the 50 by 60 pixels" in told_by_image
    sidecar_path("found.csv").unlink()
    assert "outside the" not in stemlearn(*base, "--pixel-size", PIXEL).stderr


@pytest.fixture
def searched(tmp_path: Path, micrograph: Micrograph) -> dict[str, object]:
    """A found table as a search writes it, of which the rim was left out; true columns and defects of the image."""
    found = make_sites([10, 30], [12, 33], "vacancy1", pixel_size=PIXEL, score=0.9, origin="predicted")
    record = {"thresholds": {"vacancy1": 0.5, "antisite": 0.5}, "border": 3.0, "shape": [64, 60]}
    write_sites(tmp_path / "sought.csv", found, micrograph=micrograph, provenance=record)
    y, x = [10, 30, 2, 4.5, 20, 40, 40], [12, 33, 50, 30, 20, 40, 20]
    classes = ["vacancy1"] * 4 + ["W", "W", "Se2"]
    write_sites(tmp_path / "all.csv", make_sites(y, x, classes, pixel_size=PIXEL, origin="truth"))
    return record


def test_what_the_search_left_out_is_not_missed(stemlearn, searched, tmp_path: Path, micrograph: Micrograph) -> None:  # type: ignore[no-untyped-def]
    base = ["score", "sought.csv", "all.csv", "--tolerance", 0.6, "--json"]
    result = stemlearn(*base)
    record = json.loads(result.stdout)
    assert record["rule"]["border"] == pytest.approx(6)
    assert [(row["class"], row["tp"], row["fn"]) for row in record["classes"]] == [("vacancy1", 2, 0), ("all", 2, 0)]
    assert "border 6 px (the 3 px that the search left out, and the tolerance)" in result.stderr
    assert record["left_out"] == {"Se2": 1, "W": 2}
    assert "classes that the search did not look for: 1 Se2, 2 W." in result.stderr
    given = stemlearn(*base, "--border", 0)
    assert json.loads(given.stdout)["classes"][0]["fn"] == 2
    assert "border 0 px, frames" in given.stderr
    chosen = stemlearn(*base, "--class", "W")
    assert json.loads(chosen.stdout)["classes"][0]["fn"] == 2
    assert "did not look for" not in chosen.stderr
    # an image that is only a name in the tables
    assert json.loads(stemlearn(*base, "--image", "nowhere.tif").stdout)["rule"]["border"] == pytest.approx(6)
    found = read_sites("sought.csv")
    write_sites("sought.csv", found, provenance={**searched, "shape": None})
    unknown = stemlearn(*base)
    assert json.loads(unknown.stdout)["rule"]["border"] == 0
    assert "since the size of the image is not known; give --shape Y,X or --image FILE" in unknown.stderr
    assert json.loads(stemlearn(*base, "--shape", "64,60").stdout)["rule"]["border"] == pytest.approx(6)
    write_tiff(tmp_path / "image.tif", micrograph)
    assert json.loads(stemlearn(*base, "--image", "image.tif").stdout)["rule"]["border"] == pytest.approx(6)


def test_true_classes_that_no_table_found_are_told(stemlearn, searched) -> None:  # type: ignore[no-untyped-def]
    sidecar_path("sought.csv").unlink()
    base = ["score", "sought.csv", "all.csv", "--tolerance", 0.6]
    result = stemlearn(*base)
    assert "the true classes Se2, W are nowhere in sought.csv and count as missed" in result.stderr
    assert "nowhere in" not in stemlearn(*base, "--class", "vacancy1").stderr
    assert "class Se2 is nowhere" in stemlearn(*base, "--ignore", "W").stderr


def test_confused_classes_are_shown(stemlearn) -> None:  # type: ignore[no-untyped-def]
    write_sites("one.csv", make_sites([10, 30], [10, 30], ["a", "b"], pixel_size=PIXEL, origin="predicted"))
    write_sites("two.csv", make_sites([10, 30], [10, 30], ["a", "a"], pixel_size=PIXEL))
    lines = [line.split() for line in stemlearn("score", "one.csv", "two.csv").stdout.splitlines()]
    assert lines[-4:] == [
        ["true", "\\", "found", "a", "b", "nothing"],
        ["a", "1", "1", "0"],
        ["b", "0", "0", "0"],
        ["nothing", "0", "0", "0"],
    ]
    assert "nothing" not in stemlearn("score", "two.csv", "two.csv").stdout


@pytest.mark.usefixtures("tables")
def test_tables_of_two_images_are_told(stemlearn, tmp_path: Path, micrograph: Micrograph) -> None:  # type: ignore[no-untyped-def]
    other = Micrograph(np.asarray(micrograph.data) + 1, PIXEL, "other")
    truth = read_sites("truth.csv")
    write_sites("others.csv", truth, micrograph=other)
    write_sites("same_name.csv", truth, micrograph=Micrograph(other.data, PIXEL, "image"))
    base = ["score", "found.csv", "--map", "vacancy1=V_Se"]
    told = stemlearn(*base, "others.csv").stderr
    assert "Warning: found.csv is of the image 'image', but others.csv is of 'other'." in told
    assert "two images named 'image' that hold other values" in stemlearn(*base, "same_name.csv").stderr
    write_tiff(tmp_path / "image.tif", micrograph)
    assert "Warning" not in stemlearn(*base, "truth.csv", "--image", "image.tif").stderr
    write_tiff(tmp_path / "other.tif", other)
    told = stemlearn(*base, "truth.csv", "--image", "other.tif").stderr
    assert "found.csv is of the image 'image', which is not what other.tif holds" in told
    assert "truth.csv is of the image 'image', which is not what other.tif holds" in told


@pytest.mark.usefixtures("tables")
def test_scores_replace_no_table_of_sites_unless_asked(stemlearn, refused, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    base = ["score", "found.csv", "foreign.csv"]
    write_sites("labels.csv", read_sites("truth.csv"))
    before = Path("labels.csv").read_bytes()
    assert "labels.csv is there already and is a table of sites" in refused(*base, "--out", "labels.csv")
    assert Path("labels.csv").read_bytes() == before
    beside = sidecar_path("labels.csv")
    kept = beside.read_bytes()
    assert "or overwrite it with --overwrite" in refused(*base, "--out", beside)
    assert beside.read_bytes() == kept
    assert stemlearn(*base, "--out", "scores.csv").exit_code == 0
    assert stemlearn(*base, "--out", "scores.csv").exit_code == 0
    assert stemlearn(*base, "--out", "labels.csv", "--overwrite").exit_code == 0
    assert Path("labels.csv").read_text().startswith("class,n_truth")


@pytest.mark.usefixtures("tables")
def test_sweep_bootstrap_and_files(stemlearn, refused, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    base = ["score", "found.csv", "foreign.csv", "--tolerance", 0.6, "--sweep", "--bootstrap"]
    result = stemlearn(*base, "--json", "--out", "scores.json", "--figure", "scores.png")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert json.loads((tmp_path / "scores.json").read_text()) == record
    assert record["sweep"]["best"][0]["best_threshold"] == pytest.approx(0.6)
    assert record["bootstrap"]["unit"] == "blocks"
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")
    text = stemlearn(*base).stdout
    assert "average_precision" in text
    assert stemlearn(*base, "--out", "scores.csv").exit_code == 0
    assert "written as .csv or .json" in refused(*base, "--out", "scores.txt")
    assert "written as .png, .svg or .pdf" in refused(*base, "--figure", "scores.doc")
    assert "cannot be written" in refused(*base, "--figure", "nowhere/scores.png")
    unscored = make_sites(Y, X, "vacancy1", pixel_size=PIXEL, origin="hand")
    write_sites("unscored.csv", unscored)
    assert "have no score" in refused("score", "unscored.csv", "foreign.csv", "--sweep")


def test_a_sweep_that_leaves_scores_out_says_so(stemlearn, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    place, score = np.arange(10.0, 130.0), np.linspace(0.1, 0.9, 120)
    write_sites("row.csv", make_sites(place, place, "a", pixel_size=PIXEL, score=score, origin="predicted"))
    write_sites("labels.csv", make_sites(place[::2], place[::2], "a", pixel_size=PIXEL, origin="hand"))
    told = "only some of their scores were tried"
    assert told in stemlearn("score", "row.csv", "labels.csv", "--tolerance", 2, "--sweep", "--json").stderr
    assert told not in stemlearn("score", "row.csv", "labels.csv", "--tolerance", 0.1, "--sweep").stderr


def test_frames_and_images(stemlearn, refused, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    truth = concat_sites([make_sites(Y, X, "vacancy1", pixel_size=PIXEL, frame=frame) for frame in (0, 1)])
    found = concat_sites(
        [
            make_sites(
                Y,
                X,
                "vacancy1",
                pixel_size=PIXEL,
                frame=frame,
                score=0.9,
                origin="predicted",
                extra={"image": name, "image_frame": 0},
            )
            for frame, name in enumerate(["a.tif", "b.tif", "c.tif"])
        ]
    )
    write_sites(tmp_path / "found.csv", found)
    write_sites(tmp_path / "truth.csv", truth)
    assert refused("score", "found.csv", "truth.csv") == (
        "found.csv holds the sites of 3 images (a.tif, b.tif, c.tif); say with --image which of them truth.csv is of, "
        "or with --frames which frames to score."
    )
    assert refused("score", "truth.csv", "found.csv").startswith("found.csv holds the sites of 3 images")
    write_sites(tmp_path / "stack.csv", found.drop(columns=["image", "image_frame"]))
    every = stemlearn("score", "stack.csv", "truth.csv", "--json")
    assert json.loads(every.stdout)["classes"][-1]["fp"] == 4
    assert "Warning: frames 2 have found sites but no true ones" in every.stderr
    some = stemlearn("score", "found.csv", "truth.csv", "--frames", "0-1", "--json")
    assert json.loads(some.stdout)["classes"][-1]["f1"] == 1.0
    assert "Warning" not in some.stderr
    assert "--frames takes numbers from 0 such as 0,2-5" in refused(
        "score", "found.csv", "truth.csv", "--frames", "two"
    )
    write_sites(tmp_path / "one.csv", make_sites(Y, X, "vacancy1", pixel_size=PIXEL))
    picked = stemlearn("score", "found.csv", "one.csv", "--image", "c.tif", "--json")
    assert json.loads(picked.stdout)["classes"][-1]["f1"] == 1.0
    assert "holds no sites of d.tif; it has those of a.tif" in refused(
        "score", "found.csv", "one.csv", "--image", "d.tif"
    )


def test_images_of_one_name_are_told_apart_by_their_folders(stemlearn, refused, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    tables = []
    for frame, name in enumerate(["a/x.tif", "b/x.tif", "y.tif"]):
        extra = {"image": name, "image_frame": 0}
        tables.append(make_sites(Y + 9 * frame, X, "vacancy1", pixel_size=PIXEL, frame=frame, score=0.9, extra=extra))
    write_sites(tmp_path / "all.csv", concat_sites(tables))
    write_sites(tmp_path / "one.csv", make_sites(Y + 9, X, "vacancy1", pixel_size=PIXEL))
    base = ["score", "all.csv", "one.csv", "--tolerance", 0.6, "--json", "--image"]
    for name, f1 in (("b/x.tif", 1.0), ("./b/x.tif", 1.0), (tmp_path / "b" / "x.tif", 1.0), ("a/x.tif", 0.0)):
        assert json.loads(stemlearn(*base, name).stdout)["classes"][-1]["f1"] == f1
    assert refused(*base, "x.tif") == "x.tif can be a/x.tif or b/x.tif in all.csv; give --image with the folder."
    assert refused(*base, "c/x.tif").startswith("all.csv holds no sites of c/x.tif; it has those of a/x.tif, b/x.tif")
    # frames of two tables must be of the same images
    write_sites(tmp_path / "same.csv", concat_sites(tables))
    write_sites(tmp_path / "other.csv", tables[1].assign(image="z.tif"))
    assert stemlearn("score", "all.csv", "same.csv").exit_code == 0
    told = "Frame 1 is of b/x.tif in all.csv, but of z.tif in other.csv; choose an image with --image."
    assert refused("score", "all.csv", "other.csv") == told


def test_pixel_size_is_never_guessed(stemlearn, refused, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    plain = pd.DataFrame({"y": Y, "x": X, "class": "vacancy1"})
    plain.to_csv("found.csv", index=False)
    plain.to_csv("truth.csv", index=False)
    assert "Neither found.csv nor truth.csv tells the pixel size" in refused("score", "found.csv", "truth.csv")
    done = stemlearn("score", "found.csv", "truth.csv", "--pixel-size", 0.2, "--json")
    assert json.loads(done.stdout)["classes"][-1]["f1"] == 1.0
    write_sites(tmp_path / "ours.csv", make_sites(Y, X, "vacancy1", pixel_size=0.3))
    assert "0.3 angstrom per pixel" in stemlearn("score", "found.csv", "ours.csv").stderr
    write_sites(tmp_path / "found2.csv", make_sites(Y, X, "vacancy1", pixel_size=0.2))
    assert (
        "Warning: found2.csv says 0.2 angstrom per pixel, ours.csv 0.3"
        in stemlearn("score", "found2.csv", "ours.csv").stderr
    )
    for bad in ("0", "-0.2", "nan"):
        assert "pixel size" in refused("score", "found.csv", "truth.csv", "--pixel-size", bad)
    for bad in ("0", "-1", "nan"):
        assert "tolerance" in refused("score", "found2.csv", "truth.csv", "--tolerance", bad)


def test_a_pixel_size_that_the_tables_contradict_is_told(stemlearn, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pd.DataFrame({"y": Y, "x": X, "class": "vacancy1"}).to_csv("plain.csv", index=False)
    for name, size in (("fine.csv", 0.2), ("coarse.csv", 0.3)):
        write_sites(tmp_path / name, make_sites(Y, X, "vacancy1", pixel_size=size))

    def told(found: str, truth: str, size: float) -> str:
        result = stemlearn("score", found, truth, "--pixel-size", size)
        assert result.exit_code == 0
        assert f"at {size:.4g} angstrom per pixel" in result.stderr
        return "".join(line for line in result.stderr.splitlines() if line.startswith("Warning"))

    used = "0.4 is used, as given with --pixel-size."
    assert told("fine.csv", "plain.csv", 0.4) == f"Warning: fine.csv says 0.2 angstrom per pixel; {used}"
    assert told("plain.csv", "coarse.csv", 0.4) == f"Warning: coarse.csv says 0.3 angstrom per pixel; {used}"
    both = f"Warning: fine.csv says 0.2 angstrom per pixel, coarse.csv 0.3; {used}"
    assert told("fine.csv", "coarse.csv", 0.4) == both
    assert told("fine.csv", "coarse.csv", 0.2).endswith("coarse.csv 0.3; 0.2 is used, as given with --pixel-size.")
    # rounded, or nothing to compare with
    assert told("fine.csv", "plain.csv", 0.2005) == told("plain.csv", "plain.csv", 0.4) == ""


def test_nothing_found_is_a_score_too(stemlearn, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write_sites(tmp_path / "truth.csv", make_sites(Y, X, "vacancy1", pixel_size=PIXEL))
    write_sites(
        tmp_path / "found.csv", make_sites([], [], "", pixel_size=PIXEL), pixel_size=PIXEL, classes=["vacancy1"]
    )
    record = json.loads(stemlearn("score", "found.csv", "truth.csv", "--class", "vacancy1", "--json").stdout)
    assert record["classes"][0]["recall"] == 0.0
    assert record["classes"][0]["precision"] is None
    assert record["classes"][0]["fn"] == 4


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--ignore", "doubtfull"), "--ignore names 'doubtfull', but the true classes are vacancy1."),
        (("--frames", "7"), "No site lies in the frames 7; the tables have sites in frames up to 0."),
        (("--frames", "3-1"), "--frames takes numbers from 0 such as 0,2-5, not '3-1'."),
        (("--frames", "5-999999999999"), "No site lies in the frames 5-999999999999"),
        (("--border", "nan"), "--border is nan; it must be a finite number."),
        (("--threshold", "nan"), "--threshold is nan; it must be a finite number."),
        (("--out", "found.csv"), "found.csv is one of the tables that are scored; write the scores elsewhere."),
    ],
)
def test_slips_that_would_change_the_score_are_refused(refused, given, said) -> None:  # type: ignore[no-untyped-def]
    assert said in refused("score", "found.csv", "foreign.csv", "--tolerance", 0.6, *given)


@pytest.mark.usefixtures("tables")
def test_a_figure_is_drawn_without_a_word_where_the_home_folder_cannot_be_written(tmp_path: Path) -> None:
    # no folder can be made below a file, whoever asks
    (tmp_path / "home").write_text("")
    taken = ("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR")
    environment = {name: value for name, value in os.environ.items() if name not in taken}
    environment |= {name: str(tmp_path / "home") for name in ("HOME", "USERPROFILE")}
    words = ["score", "found.csv", "foreign.csv", "--tolerance", "0.6", "--figure", "scores.png"]
    command = [sys.executable, "-m", "napari_stemlearn.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "Tolerance 0.6 angstrom at 0.2 angstrom per pixel, border 0 px, frames 0.\n"
    assert (tmp_path / "scores.png").exists()


def test_only_frames_that_are_done_count_and_classes_that_are_labelled(stemlearn, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    labels = concat_sites(
        [make_sites([10], [10], "a", pixel_size=PIXEL, frame=frame, origin="hand") for frame in (0, 1)]
    )
    write_sites(tmp_path / "labels.csv", labels, provenance={"frames_done": [0]})
    wrong = [make_sites([20, 30], [20, 30], "a", pixel_size=PIXEL, frame=frame, origin="predicted") for frame in (1, 2)]
    other = make_sites([50], [50], "b", pixel_size=PIXEL, origin="predicted")
    write_sites(tmp_path / "found.csv", concat_sites([labels.assign(origin="predicted"), *wrong, other]))
    base = ["score", "found.csv", "labels.csv", "--tolerance", 0.6, "--json"]
    result = stemlearn(*base)
    record = json.loads(result.stdout)
    assert record["classes"][-1]["precision"] == 1.0
    assert "Frames 1, 2 are not labelled, so not counted." in result.stderr
    assert "found sites of classes that nobody labelled: 1 b." in result.stderr
    assert "Warning" not in result.stderr
    assert json.loads(stemlearn(*base, "--frames", "0-2").stdout)["classes"][-1]["fp"] == 4
    assert json.loads(stemlearn(*base, "--class", "a", "--class", "b").stdout)["classes"][-1]["fp"] == 1
    # a table of another program is taken at its word: what it does not hold is not there
    pd.DataFrame(labels[["frame", "y", "x", "class"]]).to_csv("foreign.csv", index=False)
    foreign = stemlearn("score", "found.csv", "foreign.csv", "--tolerance", 0.6, "--json")
    assert json.loads(foreign.stdout)["classes"][-1]["fp"] == 5
    assert "frames 2 have found sites but no true ones, so these count as false" in foreign.stderr
