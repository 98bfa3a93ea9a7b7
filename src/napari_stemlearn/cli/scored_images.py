"""Which image's sites ``stemlearn score`` takes from tables that hold those of several."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemlearn.errors import SitesError

if TYPE_CHECKING:
    import pandas as pd

    from napari_stemlearn.formats.site_files import SitesSidecar


def of_image(sites: pd.DataFrame, path: Path, image: Path | None) -> pd.DataFrame:
    """The sites of one image, where a table holds those of several.

    Parameters
    ----------
    sites
        With a column ``image``, or of one image.
    path
        Of the table, for messages.
    image
        As the user gave it; None for all sites.

    Raises
    ------
    SitesError
        If the table has no sites of that image, or those of several that it could be.
    """
    if "image" not in sites or image is None:
        return sites
    names = images_of(sites)
    fitting = [name for name in names if Path(name) == image] or [name for name in names if _may_be(name, image)]
    if not fitting:
        raise SitesError(f"{path.name} holds no sites of {image}; it has those of {', '.join(names)}.")
    if len(fitting) > 1:
        raise SitesError(f"{image} can be {' or '.join(fitting)} in {path.name}; give --image with the folder.")
    chosen = sites[sites["image"].astype(str) == fitting[0]].reset_index(drop=True)
    if "image_frame" in chosen:
        chosen["frame"] = chosen["image_frame"].astype(int)
    return chosen


def check_images(
    found: pd.DataFrame, found_path: Path, truth: pd.DataFrame, truth_path: Path, *, by_frames: bool
) -> None:
    """Refuse to score the sites of several images against those of one, or of others.

    Parameters
    ----------
    found, truth
        Site tables; those of several images have a column ``image``.
    found_path, truth_path
        For messages.
    by_frames
        Whether the user said which frames belong together.

    Raises
    ------
    SitesError
        Names the images.
    """
    sides = ((found, found_path, truth, truth_path), (truth, truth_path, found, found_path))
    for table, path, other, other_path in sides:
        names = images_of(table)
        if len(names) > 1 and "image" not in other and len(other) and not by_frames:
            raise SitesError(
                f"{path.name} holds the sites of {len(names)} images ({', '.join(names)}); say with --image which of "
                f"them {other_path.name} is of, or with --frames which frames to score."
            )
    if "image" not in found or "image" not in truth:
        return
    ours, theirs = ({frame: images_of(rows) for frame, rows in table.groupby("frame")} for table in (found, truth))
    for frame in sorted(set(ours) & set(theirs)):
        one, other_one = ours[frame], theirs[frame]
        if len(one) > 1 or len(other_one) > 1 or Path(one[0]).name != Path(other_one[0]).name:
            raise SitesError(
                f"Frame {frame} is of {' and '.join(one)} in {found_path.name}, but of {' and '.join(other_one)} in "
                f"{truth_path.name}; choose an image with --image."
            )


def tell_other_images(sidecars: Mapping[Path, SitesSidecar | None], image: Path | None) -> None:
    """Say where two tables are of two images, or one is not of the image that was given; by name and values.

    Parameters
    ----------
    sidecars
        Of the tables, by their paths; those that name no image are not looked at.
    image
        As the user gave it: a file, or only the name of one.

    Raises
    ------
    FormatError
        If the file of the image cannot be read.
    """
    from napari_stemlearn.cli.printing import note

    named = [(path.name, sidecar.image) for path, sidecar in sidecars.items() if sidecar and sidecar.image]
    if len(named) == 2 and named[0][1].sha256 != named[1][1].sha256:
        (first, one), (second, other) = named
        if one.name == other.name:
            note(f"Warning: {first} and {second} are of two images named '{one.name}' that hold other values.")
        else:
            note(f"Warning: {first} is of the image '{one.name}', but {second} is of '{other.name}'.")
    if image is not None and image.exists() and named:
        from napari_stemlearn.formats import hash_micrograph, read_micrographs

        values = {hash_micrograph(micrograph) for micrograph in read_micrographs(image)}
        for name, record in named:
            if record.sha256 not in values:
                note(f"Warning: {name} is of the image '{record.name}', which is not what {image.name} holds.")


def record_of_image(record: Mapping[str, Any], image: Path | None) -> dict[str, Any]:
    """What a search tells of one image, where it searched several; everything where no image is given."""
    images = record.get("images") or []
    if image is not None:
        images = [entry for entry in images if _may_be(str(entry.get("name", "")), image)]
    return {**record, "images": images}


def images_of(sites: pd.DataFrame) -> list[str]:
    """Names of the images in a table, in the order of its rows; none without a column ``image``."""
    return [str(name) for name in dict.fromkeys(sites["image"])] if "image" in sites else []


def _may_be(name: str, image: Path) -> bool:
    """Whether one of two paths ends with the other."""
    short, long = sorted((Path(name).parts, image.parts), key=len)
    return long[len(long) - len(short) :] == short
