"""Measured public sets, downloaded once from the commit of a repository and checked by SHA-256."""

from __future__ import annotations

import json
import logging
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from napari_stemlearn.errors import FormatError, SettingsError
from napari_stemlearn.formats import read_micrograph, read_sites
from napari_stemlearn.micrograph import Micrograph
from napari_stemlearn.sites import concat_sites, make_sites

TIMEOUT = 20.0
"""Seconds without an answer after which a download is given up."""


class SampleFile(BaseModel):
    """One file as it must arrive."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class SampleMicrograph(BaseModel):
    """One image of a set and where its sites are, if it has any."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: str
    image: str
    sites: str | None = Field(None, description="CSV file of positions")
    site_class: str | None = Field(None, alias="class", description="class of the sites in that file")
    positions: str | None = Field(None, description="array of positions (n, 2) as x, y in pixels")
    classes: str | None = Field(None, description="array of class numbers (n,)")
    class_names: tuple[str, ...] = ()


class PublicSample(BaseModel):
    """A set of public files: where they are, under which licence, and what they show."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    what: str
    repository: str
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    licence: str
    cite: str
    pixel_size_angstrom: float
    pixel_size_from: str
    stack: bool = Field(description="whether the images are shown as the frames of one stack")
    micrographs: tuple[SampleMicrograph, ...]
    files: dict[str, SampleFile]


@cache
def _register() -> tuple[str, tuple[PublicSample, ...]]:
    record = json.loads(files("napari_stemlearn.samples").joinpath("public.json").read_text(encoding="utf-8"))
    return record["host"], tuple(PublicSample.model_validate(entry) for entry in record["samples"])


def list_public() -> list[PublicSample]:
    """The public sets that can be downloaded."""
    return list(_register()[1])


def public_sample(name: str) -> PublicSample:
    """One set by its name.

    Raises
    ------
    SettingsError
        If there is none of that name.
    """
    known = {sample.name: sample for sample in list_public()}
    if name not in known:
        raise SettingsError(f"There is no public sample '{name}'; choose one of {', '.join(known)}.")
    return known[name]


def default_folder() -> Path:
    """Where downloads are kept."""
    import pooch

    return Path(pooch.os_cache("napari-stemlearn")) / "samples"


def fetch(name: str, *, folder: str | Path | None = None, host: str | None = None) -> dict[str, Path]:
    """Download the files of a set, or find them where an earlier download left them.

    Parameters
    ----------
    name
        Name of the set.
    folder
        Where to keep the files; by default the user's cache folder.
    host
        In place of the public host: a mirror with the same paths.

    Returns
    -------
    dict
        Local path of each file by its path in the repository.

    Raises
    ------
    FormatError
        If there is no network, the host does not have the file, or it is not the one expected.
    SettingsError
        If there is no set of that name.
    """
    import pooch

    sample = public_sample(name)
    base = f"{(host or _register()[0]).rstrip('/')}/{sample.repository}/{sample.commit}"
    folder = Path(folder) if folder is not None else default_folder()
    # pooch tells each download on stderr, which nobody at a viewer reads
    pooch.get_logger().setLevel(logging.WARNING)
    local: dict[str, Path] = {}
    for path, expected in sample.files.items():
        try:
            local[path] = Path(
                pooch.retrieve(
                    f"{base}/{quote(path)}",
                    known_hash=f"sha256:{expected.sha256}",
                    fname=Path(path).name,
                    path=folder / sample.name,
                    downloader=pooch.HTTPDownloader(timeout=TIMEOUT),
                )
            )
        except Exception as error:
            raise FormatError(_why_not(sample, path, base, error)) from error
    return local


def _why_not(sample: PublicSample, path: str, base: str, error: Exception) -> str:
    """One sentence for a download that failed."""
    import requests

    host = base.split("/")[2] if "//" in base else base
    file = Path(path).name
    if isinstance(error, requests.exceptions.HTTPError):
        code = error.response.status_code if error.response is not None else "an error"
        return f"Sample '{sample.title}' cannot be downloaded: {host} answers {code} for {file}."
    if isinstance(error, requests.exceptions.RequestException):
        return (
            f"Sample '{sample.title}' cannot be downloaded: {host} cannot be reached; check the network, or open the "
            "simulated WSe2 day, which needs none."
        )
    if isinstance(error, ValueError):
        return f"Sample '{sample.title}' is refused: {file} from {host} is not the file expected (SHA-256 differs)."
    return f"Sample '{sample.title}' cannot be kept: {error}."


def load_public(
    name: str, *, folder: str | Path | None = None, host: str | None = None
) -> list[tuple[Micrograph, pd.DataFrame | None]]:
    """Download a set and read its images and sites.

    Parameters
    ----------
    name, folder, host
        As for `fetch`.

    Returns
    -------
    list of (Micrograph, site table or None)
        One entry an image, or one stack. Sites have the origin ``hand``: people placed or checked them.

    Raises
    ------
    FormatError, SettingsError
        As for `fetch`, and if a file cannot be read.
    """
    sample = public_sample(name)
    local = fetch(name, folder=folder, host=host)
    pairs = [_read(sample, entry, local) for entry in sample.micrographs]
    if not sample.stack:
        return pairs
    stack = Micrograph(
        np.stack([micrograph.frame(0) for micrograph, _ in pairs]),
        sample.pixel_size_angstrom,
        sample.title,
        _provenance(sample, [entry.image for entry in sample.micrographs]),
    )
    tables = [sites.assign(frame=frame) for frame, (_, sites) in enumerate(pairs) if sites is not None]
    return [(stack, concat_sites(tables) if tables else None)]


def _read(
    sample: PublicSample, entry: SampleMicrograph, local: dict[str, Path]
) -> tuple[Micrograph, pd.DataFrame | None]:
    found = read_micrograph(local[entry.image], pixel_size=sample.pixel_size_angstrom)
    provenance = {**found.provenance, **_provenance(sample, [entry.image])}
    micrograph = Micrograph(found.data, found.pixel_size, entry.name, provenance)
    if entry.sites is not None:
        # tables in the register hold the indices of pixels, whatever their names of columns look like
        sites = read_sites(local[entry.sites], pixel_size=sample.pixel_size_angstrom, origin="hand", imagej_pixels=True)
        sites = sites.assign(**{"class": entry.site_class or sites["class"]})
        return micrograph, sites
    if entry.positions is None or entry.classes is None:
        return micrograph, None
    positions = np.load(local[entry.positions], allow_pickle=False)
    numbers = np.load(local[entry.classes], allow_pickle=False).astype(int).ravel()
    names = np.array(entry.class_names, dtype=object)
    return micrograph, make_sites(
        positions[:, 1],
        positions[:, 0],
        names[numbers],
        pixel_size=sample.pixel_size_angstrom,
        origin="hand",
    )


def _provenance(sample: PublicSample, paths: list[str]) -> dict[str, Any]:
    return {
        "synthetic": False,
        "sample": sample.name,
        "source": f"github.com/{sample.repository}/tree/{sample.commit}",
        "source_files": paths,
        "licence": sample.licence,
        "cite": sample.cite,
        "pixel_size_from": sample.pixel_size_from,
    }
