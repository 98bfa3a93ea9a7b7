"""Tables of the benchmarks show the figures that the benchmarks wrote, to the digits that are printed."""

from __future__ import annotations

import importlib.util
import json
import re
from typing import Any

import numpy as np
import pytest
from doc_pages import ROOT

PLACES = {"day A": "wse2-virtual day_a", "day B": "wse2-virtual day_b", "ti2": "ti2", "ti25": "ti25", "cr9": "cr9"}
COLUMN_SETS = {"one Si": "graphene, one Si", "grain boundary": "graphene", "Au nanoparticle": "Au nanoparticle"}
NUMBER = re.compile(r"(?<![\w.])-?\d+(?: \d{3})*(?:\.\d+)?")

Row = dict[str, str]


def results(name: str) -> Any:
    """What a benchmark wrote."""
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def table(*heads: str) -> list[Row]:
    """Rows of the one table of the benchmarks whose head begins so; the first cell is called ``row``."""
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    found = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        if tuple(lines[0][: len(heads)]) == heads:
            found.append([dict(zip(["row", *lines[0][1:]], cells, strict=True)) for cells in lines[2:]])
    assert len(found) == 1, f"{len(found)} tables begin with {' | '.join(heads)}."
    return found[0]


def assert_shows(shown: str, *values: float) -> None:
    """Each number of a cell is the value, rounded to the digits that are printed."""
    numbers = NUMBER.findall(shown.replace("*", ""))
    assert len(numbers) == len(values), f"'{shown}' should show {values}."
    for number, value in zip(numbers, values, strict=True):
        digits = len(number.partition(".")[2])
        assert abs(float(number.replace(" ", "")) - value) <= 0.5 * 10**-digits + 1e-9, f"'{shown}': {value}."


def by_set() -> dict[str, dict[str, float]]:
    return {row["set"]: row for row in results("scored_images")["rows"]}


def test_found_defects() -> None:
    scored, seen = by_set(), set()
    for row in table("F1", "target", "aim"):
        known = re.match(r"`(\w+)`.*, (\w+(?: \w)?)$", row["row"])
        shown = next(cell for head, cell in row.items() if head.startswith("measured"))
        if known is None:
            assert row["row"].endswith("days A and B")
            names = [f"{PLACES[day]}, antisite" for day in ("day A", "day B")]
            for name in names:
                assert_shows(shown, scored[name]["f1"])
            assert_shows(row["labels"], sum(scored[name]["n_truth"] for name in names))
            seen |= set(names)
            continue
        site_class, place = known.groups()
        name = PLACES[place] + ("" if site_class in ("vacancy1", "V_Se") else f", {site_class}")
        one = scored[name]
        assert one["class"] == site_class
        assert_shows(shown, *[one[key] for key in ("f1", "f1_low", "f1_high")][: len(NUMBER.findall(shown))])
        if row["every label counted"]:
            assert_shows(row["every label counted"], one["f1_undecided_counted"])
        for head, key in (("precision", "precision"), ("recall", "recall"), ("labels", "n_truth")):
            assert_shows(row[head], one[key])
        assert_shows(row["rms error (Å)"], one["rms_error_angstrom"])
        seen.add(name)
    assert seen == {name for name in scored if not name.startswith("columns")}


def test_found_columns() -> None:
    scored, seen = by_set(), set()
    for row in table("every column", "precision"):
        words = row["row"].removesuffix(", 3 frames")
        place = PLACES.get(words.rsplit(", ", 1)[-1]) or next(COLUMN_SETS[key] for key in COLUMN_SETS if key in words)
        one = scored[f"columns, {place}"]
        for head, key in (("precision",) * 2, ("recall",) * 2, ("F1", "f1"), ("labels", "n_truth")):
            assert_shows(row[head], one[key])
        assert_shows(row["rms error (Å)"], one["rms_error_angstrom"])
        seen.add(one["set"])
    assert seen == {name for name in scored if name.startswith("columns")}


def test_the_weights_that_were_scored() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for name, weights in results("scored_images")["weights_sha256"].items():
        assert re.search(rf"^`{name}`[^|#]*Weights `{weights[:8]}`\.", text, re.MULTILINE), name


def trained_on_the_day(figures: dict[str, Any], row: str, day: str) -> dict[str, float]:
    """The entry of Table 1 for a row, scored on the day that it learnt from, if from any."""
    (entry,) = (
        entry
        for entry in figures["table"]
        if entry["row"] == row and entry["scored_on"] == day and entry["trained_on"] in ("none", day)
    )
    return entry


def test_table_1() -> None:
    figures = results("table1")
    rows = table("learnt from", "day A")
    assert rows.pop()["row"].startswith("published")
    for row, name in zip(rows, figures["rows"], strict=True):
        assert row["row"].replace("`", "").split(" (")[0].split(" tmd-")[0] in name
        for head, day in (("day A", "A"), ("day B", "B"), ("A+B", "A+B")):
            entry = trained_on_the_day(figures, name, day)
            assert_shows(row[head], *[entry["f1"], entry["f1_sd"]][: 1 if entry["seeds"] == 1 else 2])


def test_real_images() -> None:
    images = {entry["image"]: entry for entry in results("real_images") if "shipped" in entry}
    rows = table("image", "as shipped")
    assert {row["row"] for row in rows} == set(images)
    for row in rows:
        entry = images[row["row"]]
        shipped = entry["shipped"]
        every_label = np.mean([after["f1_every_label"] for after in entry["after"]])
        wanted = {
            "as shipped": (shipped["f1"], *shipped["interval"]),
            "after": (entry["f1_after"], entry["f1_after_sd"]),
            "every label counted": (shipped["f1_every_label"], every_label),
            "atoms found again": (entry["labels_recall"],),
            "displacement": (entry["labels_displacement"],),
        }
        for start, values in wanted.items():
            assert_shows(next(cell for head, cell in row.items() if head.startswith(start)), *values)


def test_how_like_the_day_they_look() -> None:
    shown, measured = table("day", "images"), results("realism")
    assert [(row["row"], row["images"]) for row in shown] == [(entry["day"], entry["images"]) for entry in measured]
    for row, entry in zip(shown, measured, strict=True):
        for head, key in (("spectrum",) * 2, ("grey levels", "grey_levels"), ("noise",) * 2, ("FID", "fid")):
            assert_shows(row[head], entry[key])
        assert_shows(row["KID"], entry["kid"], entry["kid_error"])


def test_how_the_crystal_lies() -> None:
    figures = results("cell_orientation")
    rows = table("", "right", "wrong")
    assert len(rows) == len(figures)
    for row in rows:
        words = {"as it is done": "plain probe", "asked with all aberrations": "all aberrations"}
        angle, how = row["row"].split(", ")
        entry = figures[f"{angle}, {words[how]}"]
        for head, key in (("right",) * 2, ("wrong",) * 2, ("does not tell", "undecided")):
            assert_shows(row[head], entry[key])


def roadmap(beginning: str) -> str:
    """The state of the line of the roadmap that begins so."""
    text = (ROOT / "docs" / "roadmap.md").read_text(encoding="utf-8")
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {beginning}"))
    return line.split("|")[2]


def test_the_roadmap_has_the_same_figures() -> None:
    scored = by_set()
    f1 = re.findall(r"\d\.\d{3}", roadmap("F1 of `vacancy1` on virtual WSe2"))
    for shown, place in zip(f1, ("day A", "day B"), strict=False):
        assert_shows(shown, scored[PLACES[place]]["f1"])
    f1 = re.findall(r"\d\.\d{3}", roadmap("F1 of `V_Se` on measured"))
    expected = [(place, key) for key in ("f1", "f1_undecided_counted") for place in ("ti2", "ti25", "cr9")]
    for shown, (place, key) in zip(f1, expected, strict=True):
        assert_shows(shown, scored[place][key])
    figures = results("table1")
    shown = re.findall(r"\d\.\d{3} ± \d\.\d{3}", roadmap("F1 after the GAN"))
    wanted = [(name, day) for name in figures["rows"][-3:-1] for day in ("A", "B", "A+B")]
    for pair, (name, day) in zip(shown, wanted, strict=True):
        entry = trained_on_the_day(figures, name, day)
        assert_shows(pair, entry["f1"], entry["f1_sd"])
    images = {entry["image"]: entry for entry in results("real_images") if "shipped" in entry}
    shown = re.findall(r"(\w+) (\d\.\d{3}) → (\d\.\d{3})", roadmap("Real V_Se with a GAN"))
    assert {name for name, _, _ in shown} == set(images)
    for name, before, after in shown:
        assert_shows(before, images[name]["shipped"]["f1"])
        assert_shows(after, images[name]["f1_after"])


def benchmark_scripts() -> Any:
    specification = importlib.util.spec_from_file_location("run_all", ROOT / "benchmarks" / "run_all.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "script", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "run_all")
)
def test_every_run_of_every_benchmark_keeps_its_figures(script: str) -> None:
    text = (ROOT / "benchmarks" / f"{script}.py").read_text(encoding="utf-8")
    runs = benchmark_scripts().runs_of(script)
    names = [options[options.index("--out") + 1] for options in runs]
    assert len(set(names)) == len(names)
    assert all(re.search(rf'add_argument\("{option}"', text) for run in runs for option in run if option[:2] == "--")
    if script == "scored_images":
        assert ["--tta"] in [options[: options.index("--out")] for options in runs]
