"""The pages hang together: links, pictures, navigation, reference, evidence."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from doc_pages import ROOT, name_of, pages

LINK = re.compile(r"\]\(([^)\s]+)\)")
OBJECT = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)


def navigation() -> list[str]:
    """Pages that the site lists."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    nav = yaml.safe_load(text)["nav"]

    def files(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        if isinstance(entry, dict):
            return [file for value in entry.values() for file in files(value)]
        return [file for value in entry for file in files(value)]

    return files(nav)


def test_navigation_and_pages_are_the_same() -> None:
    there = {page.relative_to(ROOT / "docs").as_posix() for page in pages() if page.name != "README.md"}
    assert set(navigation()) == there
    assert len(navigation()) == len(set(navigation()))


@pytest.mark.parametrize("page", [pytest.param(page, id=name_of(page)) for page in pages()])
def test_links_are_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in LINK.findall(text):
        if "://" in target or target.endswith(".png"):
            continue
        file, _, anchor = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        assert place.exists(), f"{name_of(page)} points to {target}, which is not there."
        if anchor:
            titles = re.findall(r"^#+ (.+)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            known = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}
            assert anchor in known, f"{name_of(page)} points to {target}, but there is no such heading."


def test_pictures_are_there() -> None:
    shown = set()
    for page in pages():
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            if target.endswith(".png") and "://" not in target:
                picture = (page.parent / target).resolve()
                assert picture.exists(), f"{name_of(page)} shows {target}, which is not there."
                shown.add(picture)
    assert shown >= set((ROOT / "docs" / "images").glob("*.png")), "a picture is on no page"


def test_reference_names_things_that_exist() -> None:
    wanted = [name for page in pages() for name in OBJECT.findall(page.read_text(encoding="utf-8"))]
    assert len(wanted) > 40
    for name in wanted:
        module, _, last = name.rpartition(".")
        found = getattr(importlib.import_module(module), last, None)
        if found is None or module == "napari_stemlearn":
            found = importlib.import_module(name)
        assert found.__doc__, f"{name} has no docstring."


def test_settings_tables_hold_every_setting() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from settings_tables import on_page_markdown
    finally:
        sys.path.pop(0)
    from napari_stemlearn.finding.settings import FindSettings

    for page in pages():
        text = on_page_markdown(page.read_text(encoding="utf-8"))
        assert "{{ settings" not in text, name_of(page)
    table = on_page_markdown("{{ settings napari_stemlearn.finding.settings:FindSettings }}")
    for name, field in FindSettings.model_fields.items():
        assert f"| `{name}` |" in table
        assert str(field.description) in table
    assert "0 to 1" in table


def test_evidence_of_the_roadmap_is_there() -> None:
    """Files that the roadmap names as evidence exist."""
    text = (ROOT / "docs" / "roadmap.md").read_text(encoding="utf-8")
    files = set(re.findall(r"`((?:tests|benchmarks|docs|demo|src|tools)/[\w./-]+)`", text))
    assert files
    missing = sorted(file for file in files if not (ROOT / file).exists())
    assert not missing, f"The roadmap names files that are not there: {', '.join(missing)}."


def test_what_no_test_shows_has_a_date_in_the_roadmap() -> None:
    """A script that somebody runs by hand is evidence of a line that is done on the day that stands beside it."""
    for line in (ROOT / "docs" / "roadmap.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 3 or not cells[1].startswith("done"):
            continue
        # make lint and make models do the same each time; the others depend on the clone and the computer
        checked = re.search(r"`(?:tests|benchmarks|docs|src)/|`make (?:lint|models|test)`$", cells[2])
        assert checked or re.search(r"`make [\w-]+`.*\d{4}-\d\d-\d\d", cells[2]), cells[0]


def test_the_layers_are_those_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert "\n\n" + "".join(f"    {layer}\n" for layer in layers) + "\n" in text
    files = text.split("lie a few files: ")[1].split("\n")[0]
    for layer in layers:
        for name in layer.split(" | "):
            assert f"`{name}/`" in text or f"`{name}`" in files
