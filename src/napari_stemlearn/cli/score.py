"""``stemlearn score``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_stemlearn.cli.paths import expand_home

if TYPE_CHECKING:
    import pandas as pd

    from napari_stemlearn.formats.site_files import SitesSidecar
    from napari_stemlearn.scoring import Matches

SAME_PIXEL_SIZE = 5e-3
"""Part by which the pixel sizes of two tables may differ without a word; no distance changes much by it."""


def score(
    found: Annotated[Path, typer.Argument(help="CSV of found sites.", metavar="FOUND.csv", callback=expand_home)],
    truth: Annotated[
        Path,
        typer.Argument(
            help="CSV of true sites; foreign ones need y,x,class.", metavar="TRUTH.csv", callback=expand_home
        ),
    ],
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance", help="Largest distance of a pair in angstrom; default: min(0.6, half the spacing)."
        ),
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option("--pixel-size", help="Angstrom per pixel; default: what the files say.")
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="Score this class only. Repeatable.", metavar="CLASS")
    ] = None,
    maps: Annotated[
        list[str] | None,
        typer.Option("--map", help="Count a found class as a true one. Repeatable.", metavar="FOUND=TRUTH"),
    ] = None,
    truth_maps: Annotated[
        list[str] | None,
        typer.Option("--truth-map", help="Another name for a true class. Repeatable.", metavar="TRUTH=NAME"),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", help="True class that is undecided: counts neither way. Repeatable.", metavar="CLASS"),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Leave out found sites with a lower score.")
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option("--frames", help="Frames to score, such as 0,2-5; default: those searched and labelled."),
    ] = None,
    border: Annotated[
        float | None,
        typer.Option(
            "--border", help="Leave out this many pixels at the edge; default: what the search left out, and tolerance."
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option("--shape", help="Height and width of a frame in pixels.", metavar="Y,X"),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(
            "--image",
            help="The micrograph: gives the shape, is compared; picks its sites where FOUND holds several.",
            callback=expand_home,
        ),
    ] = None,
    sweep: Annotated[bool, typer.Option("--sweep", help="Try every score threshold (precision-recall curve).")] = False,
    bootstrap: Annotated[bool, typer.Option("--bootstrap", help="Confidence intervals.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the scores as .csv or .json.", callback=expand_home)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Let --out replace a table of sites, such as labels.")
    ] = False,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Draw the scores as .png, .svg or .pdf.", callback=expand_home)
    ] = None,
) -> None:
    """Score found sites against true ones: one-to-one optimal matching per frame and class."""
    from napari_stemlearn import scoring
    from napari_stemlearn.cli.printing import note, print_json, print_table
    from napari_stemlearn.cli.scored_images import check_images, of_image, record_of_image, tell_other_images
    from napari_stemlearn.cli.scored_search import searched_border, tell_never_found
    from napari_stemlearn.formats.recorded_sites import record_of
    from napari_stemlearn.formats.site_files import read_with_sidecar

    _check_numbers(border=border, threshold=threshold)
    _check_targets((out, figure), (found, truth))
    if out is not None and not overwrite:
        _check_sites_in_the_way(out)
    found_sites, found_sidecar = read_with_sidecar(found, pixel_size=pixel_size, origin="predicted")
    scale = _pixel_size(pixel_size, found, truth)
    # a table that does not say that labels are by hand is taken at its word: what it does not hold is not there
    truth_sites, truth_sidecar = read_with_sidecar(truth, pixel_size=scale, origin="truth")
    found_sites = of_image(found_sites, found, image)
    truth_sites = of_image(truth_sites, truth, image)
    if image is None:
        check_images(found_sites, found, truth_sites, truth, by_frames=frames is not None)
    tell_other_images({found: found_sidecar, truth: truth_sidecar}, image)
    wanted = _frames(frames, found_sites, truth_sites) if frames is not None else None
    if threshold is not None:
        found_sites = found_sites[~(found_sites["score"] < threshold)].reset_index(drop=True)
    class_map = _class_map(maps or [], "--map", "FOUND=TRUTH")
    truth_map = _class_map(truth_maps or [], "--truth-map", "TRUTH=NAME")
    search = scoring.search_of_record(record_of_image(record_of(found_sidecar), image))
    labels = scoring.labels_of_record(record_of(truth_sidecar))
    edge, frame_shape = 0.0, None
    if border is None:
        edge, frame_shape = searched_border(
            search, lambda file: _shape(shape, file, found_sidecar, truth_sidecar), image
        )
    elif border > 0:
        frame_shape = _shape(shape, image, found_sidecar, truth_sidecar)
    if frame_shape is None:
        frame_shape = _known_shape(shape, image, search.get("shape"), truth_sidecar)
    rule: dict[str, Any] = {
        **search,
        **labels,
        "tolerance_angstrom": tolerance,
        "pixel_size": scale,
        "border": border,
        "class_map": class_map,
        "truth_class_map": truth_map,
        "ignore": ignore or (),
        "classes": classes,
        "frames": wanted,
        "shape": frame_shape,
        "searched_border": edge,
    }
    _check_ignored(ignore or [], truth_map, truth_sites, truth_sidecar)
    _check_classes(classes or [], class_map, truth_map, found_sites, truth_sites, found_sidecar, truth_sidecar)
    _tell_strangers(found_sites, truth_sites, class_map, truth_map)
    scores = scoring.score(found_sites, truth_sites, **rule)
    for sentence in scores.matches.notes:
        note(sentence)
    if wanted is None and not labels:
        _tell_unlabelled(scores.matches)
    if classes is None and "searched_classes" not in search:
        tell_never_found(scores.matches, found.name)
    used = scores.matches.rule
    swept = scoring.sweep(found_sites, truth_sites, **rule) if sweep else None
    drawn = scoring.bootstrap(scores.matches) if bootstrap else None
    if out is not None:
        scoring.write_scores(out, scores, swept, drawn)
    if figure is not None:
        scoring.write_figure(figure, scores, swept, drawn, title=f"{found.name} against {truth.name}")
    if (
        used["border"] > 0
        and (len(found_sites) or len(truth_sites))
        and not scores.table[["n_truth", "n_found"]].to_numpy().any()
    ):
        note(f"Warning: no site is left inside a border of {used['border']:.4g} px.")
    of_search = f" (the {edge:.3g} px that the search left out, and the tolerance)" if edge > 0 else ""
    note(
        f"Tolerance {used['tolerance_angstrom']:.3g} angstrom at {scale:.4g} angstrom per pixel, "
        f"border {used['border']:.4g} px{of_search}, frames {', '.join(map(str, scores.matches.frames)) or 'none'}."
    )
    if swept is not None and not swept.every_score:
        note("The tolerance joins so many found sites that only some of their scores were tried as thresholds.")
    if as_json:
        print_json(scoring.scores_record(scores, swept, drawn))
        return
    table = scores.table.drop(columns=["mean_dy_angstrom", "mean_dx_angstrom"])
    print_table(list(table.columns), table.itertuples(index=False, name=None))
    if len(scores.matches.mistaken):
        typer.echo("")
        print_table(["true \\ found", *scores.confusion.columns], scores.confusion.itertuples(name=None))
    if swept is not None:
        typer.echo("")
        print_table(list(swept.best.columns), swept.best.itertuples(index=False, name=None))
    if drawn is not None:
        note(f"Intervals: {drawn.confidence:.0%}, from {drawn.n_units} {drawn.unit}.")
        typer.echo("")
        print_table(list(drawn.table.columns), drawn.table.itertuples(index=False, name=None))


def _pixel_size(given: float | None, found: Path, truth: Path) -> float:
    """The pixel size given, else of the found sites, else of the true ones; in angstrom. Says where they differ."""
    from napari_stemlearn.cli.printing import note
    from napari_stemlearn.errors import SitesError
    from napari_stemlearn.micrograph import check_pixel_size, same_pixel_size

    if given is not None:
        given = check_pixel_size(given, found.name)
    told = {path.name: size for path in (found, truth) if (size := _told_pixel_size(path)) is not None}
    if given is None and not told:
        raise SitesError(
            f"Neither {found.name} nor {truth.name} tells the pixel size; give it with --pixel-size in angstrom."
        )
    scale = next(iter(told.values())) if given is None else given
    if not all(same_pixel_size(size, scale, within=SAME_PIXEL_SIZE) for size in told.values()):
        (first, size), *others = told.items()
        words = ", ".join([f"{first} says {size:.4g} angstrom per pixel", *(f"{name} {s:.4g}" for name, s in others)])
        note(f"Warning: {words}; {scale:.4g} is used{'' if given is None else ', as given with --pixel-size'}.")
    return scale


def _told_pixel_size(path: Path) -> float | None:
    """Pixel size in angstrom that a table and its sidecar say; None where they say none."""
    from napari_stemlearn.errors import SitesError
    from napari_stemlearn.formats.site_files import read_sidecar, read_with_sidecar
    from napari_stemlearn.sites import implied_pixel_size

    try:
        sites, sidecar = read_with_sidecar(path)
    except SitesError:
        # positions in angstrom alone cannot be read before the pixel size is known
        sidecar = read_sidecar(path)
        return sidecar.pixel_size_angstrom if sidecar else None
    return (sidecar.pixel_size_angstrom if sidecar else None) or implied_pixel_size(sites)


def _class_map(entries: list[str], option: str, form: str) -> dict[str, str]:
    from napari_stemlearn.errors import SitesError

    mapping = {}
    for entry in entries:
        before, separator, after = entry.partition("=")
        if not separator or not before.strip() or not after.strip():
            raise SitesError(f"{option} takes {form}, not '{entry}'.")
        mapping[before.strip()] = after.strip()
    return mapping


def _check_classes(
    classes: list[str],
    class_map: dict[str, str],
    truth_map: dict[str, str],
    found: pd.DataFrame,
    truth: pd.DataFrame,
    found_sidecar: SitesSidecar | None,
    truth_sidecar: SitesSidecar | None,
) -> None:
    """Refuse classes that occur nowhere: a misspelt one would score nothing in silence."""
    from napari_stemlearn.errors import SitesError

    in_found = {*found["class"].astype(str), *(found_sidecar.classes if found_sidecar else [])}
    in_truth = {*truth["class"].astype(str), *(truth_sidecar.classes if truth_sidecar else [])}
    for name in class_map:
        if in_found and name not in in_found:
            raise SitesError(f"--map names '{name}', but the found classes are {', '.join(sorted(in_found))}.")
    for name in truth_map:
        if in_truth and name not in in_truth:
            raise SitesError(f"--truth-map names '{name}', but the true classes are {', '.join(sorted(in_truth))}.")
    known = {class_map.get(name, name) for name in in_found} | {truth_map.get(name, name) for name in in_truth}
    for name in classes:
        if name not in known:
            raise SitesError(
                f"The class '{name}' is in neither table; they have {', '.join(sorted(known)) or 'no sites'}."
            )


def _tell_strangers(
    found: pd.DataFrame, truth: pd.DataFrame, class_map: dict[str, str], truth_map: dict[str, str]
) -> None:
    """Say that no class occurs on both sides: perhaps they only have other names."""
    from napari_stemlearn.cli.printing import note

    ours = sorted({class_map.get(str(name), str(name)) for name in found["class"]})
    theirs = sorted({truth_map.get(str(name), str(name)) for name in truth["class"]})
    if ours and theirs and not set(ours) & set(theirs):
        note(
            f"Warning: the found classes ({', '.join(ours)}) and the true ones ({', '.join(theirs)}) have no name in "
            f"common, so nothing can match; say which is which with --map FOUND=TRUTH."
        )


def _tell_unlabelled(matches: Matches) -> None:
    """Say which frames that count have found sites alone: perhaps nobody labelled them."""
    from napari_stemlearn.cli.printing import note

    bare = sorted(set(matches.found["frame"]) - set(matches.truth["frame"]))
    if bare and len(matches.truth):
        note(
            f"Warning: frames {', '.join(map(str, bare))} have found sites but no true ones, "
            "so these count as false; use --frames if nobody labelled them."
        )


def _frames(text: str, found: pd.DataFrame, truth: pd.DataFrame) -> list[int]:
    """Frame numbers from ``0,2-5``, of which at least one has sites."""
    from napari_stemlearn.cli.frame_numbers import frame_ranges
    from napari_stemlearn.errors import SitesError

    last_frame = max((int(sites["frame"].max()) for sites in (found, truth) if len(sites)), default=0)
    # frames beyond the last one with a site add nothing
    chosen = [frame for first, last in frame_ranges(text) for frame in range(first, min(last, last_frame) + 1)]
    there = {*found["frame"], *truth["frame"]}
    if there and not there & set(chosen):
        raise SitesError(f"No site lies in the frames {text}; the tables have sites in frames up to {last_frame}.")
    return chosen


def _check_numbers(**numbers: float | None) -> None:
    """Refuse numbers that are not finite."""
    from math import isfinite

    from napari_stemlearn.errors import SitesError

    for name, value in numbers.items():
        if value is not None and not isfinite(value):
            raise SitesError(f"--{name} is {value}; it must be a finite number.")


def _check_targets(targets: tuple[Path | None, ...], sources: tuple[Path, ...]) -> None:
    """Refuse to replace a table that is read."""
    from napari_stemlearn.errors import SitesError

    for target in targets:
        for source in sources:
            if target is not None and target.exists() and source.exists() and target.samefile(source):
                raise SitesError(f"{target} is one of the tables that are scored; write the scores elsewhere.")


def _check_sites_in_the_way(target: Path) -> None:
    """Refuse to write scores over a table of sites, or to where such a table has its sidecar."""
    from napari_stemlearn.errors import LabelsInTheWayError
    from napari_stemlearn.formats.site_files import is_site_table

    if target.name.lower().endswith(".sites.json"):
        raise LabelsInTheWayError(
            f"{target} is the name of what a table of sites keeps beside it; write elsewhere, or overwrite it."
        )
    if target.is_file() and is_site_table(target):
        raise LabelsInTheWayError(
            f"{target} is there already and is a table of sites: it may hold labels; write elsewhere, or overwrite it."
        )


def _check_ignored(
    ignore: list[str], truth_map: dict[str, str], truth: pd.DataFrame, sidecar: SitesSidecar | None
) -> None:
    """Refuse to leave out a true class that occurs nowhere: a misspelt one would count after all."""
    from napari_stemlearn.errors import SitesError

    known = {*truth["class"].astype(str), *(sidecar.classes if sidecar else [])}
    known |= {truth_map.get(name, name) for name in known}
    for name in ignore:
        if name not in known:
            raise SitesError(f"--ignore names '{name}', but the true classes are {', '.join(sorted(known)) or 'none'}.")


def _known_shape(
    text: str | None, image: Path | None, searched: tuple[int, int] | None, truth_sidecar: SitesSidecar | None
) -> tuple[int, int] | None:
    """Shape of a frame where nothing needs it: given, or of the image, or of a sidecar; None where nothing says it."""
    import contextlib

    from napari_stemlearn.errors import StemlearnError
    from napari_stemlearn.formats.recorded_sites import record_of
    from napari_stemlearn.scoring.searched import shape_of_record

    if text is not None:
        return _shape(text, None, None, None)
    # the image can be given by its name alone, and its file can hold several
    if image is not None and image.exists():
        with contextlib.suppress(StemlearnError):
            return _shape(None, image, None, None)
    return searched or shape_of_record(record_of(truth_sidecar))


def _shape(
    text: str | None, image: Path | None, found_sidecar: SitesSidecar | None, truth_sidecar: SitesSidecar | None
) -> tuple[int, int]:
    """Shape of a frame: given, of the image, or of the image that a sidecar names."""
    from napari_stemlearn.errors import SitesError
    from napari_stemlearn.formats.recorded_sites import record_of
    from napari_stemlearn.scoring.searched import shape_of_record

    if text is not None:
        parts = [part.strip() for part in text.replace("x", ",").split(",")]
        if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
            raise SitesError(f"--shape takes the height and width in pixels as Y,X, not '{text}'.")
        return int(parts[0]), int(parts[1])
    if image is not None:
        from napari_stemlearn.formats import read_micrograph

        return read_micrograph(image).shape
    for sidecar in (found_sidecar, truth_sidecar):
        known = shape_of_record(record_of(sidecar))
        if known is not None:
            return known
    raise SitesError(
        "A border needs the size of the image, which neither file tells; give --shape Y,X or --image FILE."
    )
