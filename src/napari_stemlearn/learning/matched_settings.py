"""Settings of simulations that match an experiment: how its lattice lies, and how its unit cell looks.

What both sides have in common, no critic sees; what is left for the generator to learn is the noise and the look of
what no setting describes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemlearn.distributions import Distribution, Drawn, middle
from napari_stemlearn.imaging.scattering import band_limit
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.learning.cell_fit import CellFit, fit_cell, orientation
from napari_stemlearn.learning.cell_model import CellModel, contents_of
from napari_stemlearn.learning.experiment import Experiment
from napari_stemlearn.learning.lattice_alignment import Alignment, alignments
from napari_stemlearn.learning.likeness import middle_scale, perfect_crystal
from napari_stemlearn.learning.mean_cell import MeanCell, mean_cell, reflections
from napari_stemlearn.learning.settings import MixtureSettings
from napari_stemlearn.structures.build import build
from napari_stemlearn.structures.specimen import Specimen

SPREAD = 0.002
"""Standard deviation of step and shear around the measured ones, at least: what the spots do not tell."""

EXTENT = 60.0
"""Side in angstrom of the perfect crystal of which the cell is computed."""

HIGHEST = 1.0
"""Highest frequency of the reflections in 1/angstrom; beyond, noise is stronger than most."""

LOWEST = 0.6
"""The like for those that tell how the crystal lies: beyond, aberrations count for more than the kinds of atoms."""

LARGEST_MISFIT = 0.15
"""A cell that is explained worse than this, and not to its standard errors, is not believed."""


@dataclass(frozen=True)
class MatchedSettings:
    """What was found.

    Parameters
    ----------
    structures, imaging
        With what was measured, or as they were.
    remarks
        Sentences on what was measured, or why nothing was changed.
    """

    structures: tuple[MixtureSettings, ...]
    imaging: ImagingSettings
    remarks: tuple[str, ...]


def matched_settings(
    structures: Sequence[MixtureSettings], imaging: ImagingSettings, experiment: Experiment, *, cells: bool = True
) -> MatchedSettings:
    """Give simulations the lattices and the mean cells of an experiment.

    Parameters
    ----------
    structures
        Only a single crystal can be matched; a mixture of several is left as it is.
    imaging
        The step of its lines and its shear become the measured ones; settings of probe, contrast and jitter that are
        drawn become the fitted ones, those that are numbers stay.
    experiment
        The frames.
    cells
        Whether mean cells are looked at, or lattices alone.
    """
    given = tuple(structures)
    crystals = {crystal for part in given for crystal in part.crystals or (part.structure.crystal,)}
    if len(crystals) > 1:
        return MatchedSettings(
            given, imaging, ("Simulated lattices keep their own rotations: there is more than one crystal.",)
        )
    found = alignments(experiment, given[0])
    if not found:
        return MatchedSettings(
            given, imaging, ("Simulated lattices keep their own rotations: the frames do not tell theirs.",)
        )
    aligned = [alignment for _, alignment in found]
    remarks = [_words_on_lattices(aligned, middle_scale(given[0].structure))]
    # spots look the same from behind, atoms do not
    half_turns: list[tuple[float, ...]] = [(0.0, 180.0)] * len(aligned)
    if cells:
        fits = _fits(found, given[0], imaging, experiment.pixel_size)
        half_turns = [_half_turns(fit) for fit in fits]
        kept = [(index, fit) for index, fit in enumerate(fits) if fit is not None and _believed(fit)]
        remarks.append(_words_on_cells([fit for fit in fits if fit is not None]))
        if kept:
            half_turns = [half_turns[index] for index, _ in kept]
            aligned = [aligned[index] for index, _ in kept]
            imaging = _with_fits(imaging, [fit for _, fit in kept], ("probe", "scan"))
        if decided := [fit for _, fit in kept if fit.decided]:
            imaging = _with_fits(imaging, decided, ("adf",))
    rotations = [
        (entry.rotation + half) % 360 for entry, halves in zip(aligned, half_turns, strict=True) for half in halves
    ]
    # the reference has the middle of the scales that the settings draw
    scale = middle_scale(given[0].structure) * float(np.median([entry.lattice_scale for entry in aligned]))
    changes: dict[str, Drawn] = {
        "rotation": _choice(rotations),
        "lattice_scale": round(float(np.clip(scale, 0.5, 2)), 5),
        "lattice_anisotropy": 0.0,
    }
    parts = tuple(part.model_copy(update={"structure": part.structure.changed(**changes)}) for part in given)
    scan = imaging.scan.changed(
        scale_y=_around([entry.scale_y for entry in aligned]), shear=_around([entry.shear for entry in aligned])
    )
    return MatchedSettings(parts, imaging.model_copy(update={"scan": scan}), tuple(remarks))


def _fits(
    found: Sequence[tuple[NDArray[np.float64], Alignment]],
    part: MixtureSettings,
    imaging: ImagingSettings,
    pixel_size: float,
) -> list[CellFit | None]:
    """What the mean cell of each frame tells; None where it cannot be measured."""
    crystal = part.crystals[0] if part.crystals else part.structure.crystal
    specimen = build(perfect_crystal(part.structure, crystal, EXTENT), 0)
    energy, semiangle = (middle(getattr(imaging.probe, name)) for name in ("beam_energy", "convergence_semiangle"))
    highest = min(HIGHEST, 0.45 / pixel_size, 0.9 * band_limit(energy, semiangle))
    fits: list[CellFit | None] = []
    for frame, alignment in found:
        low = measured_cell(frame, alignment, specimen, imaging, pixel_size, min(LOWEST, highest), plain=True)
        whole = measured_cell(frame, alignment, specimen, imaging, pixel_size, highest)
        fits.append(fit_cell(*whole, orientation(*low) if low else None) if whole else None)
    return fits


def measured_cell(
    frame: NDArray[np.float64],
    alignment: Alignment,
    specimen: Specimen,
    imaging: ImagingSettings,
    pixel_size: float,
    highest: float,
    *,
    plain: bool = False,
) -> tuple[MeanCell, CellModel] | None:
    """Mean cell of a frame up to a frequency in 1/angstrom, and its model; None where there are too few reflections."""
    basis: NDArray[np.float64] = np.linalg.inv(specimen.lattice_vectors[:, ::-1]).T.astype(np.float64)
    in_image = basis @ alignment.matrix().T
    indices = reflections(in_image, highest)
    cell = mean_cell(frame, pixel_size, in_image, indices) if len(indices) else None
    if cell is None:
        return None
    frequencies = indices @ basis @ (alignment.turn() / alignment.lattice_scale).T
    return cell, CellModel(imaging, contents_of(specimen, basis, indices, imaging), frequencies, plain=plain)


def _believed(fit: CellFit) -> bool:
    return fit.misfit <= max(LARGEST_MISFIT, fit.error)


def _half_turns(fit: CellFit | None) -> tuple[float, ...]:
    """Turns in degree that the crystal may have beyond what its spots tell."""
    if fit is None or not fit.decided:
        return 0.0, 180.0
    return (180.0,) if fit.half_turn else (0.0,)


def _with_fits(imaging: ImagingSettings, fits: Sequence[CellFit], names: Sequence[str]) -> ImagingSettings:
    sections = {}
    for name in names:
        values = [getattr(fit, name) for fit in fits]
        sections[name] = getattr(imaging, name).changed(
            **{setting: _choice([entry[setting] for entry in values]) for setting in values[0]}
        )
    return imaging.model_copy(update=sections)


def _words_on_lattices(found: Sequence[Alignment], scale: float) -> str:
    turned = ", ".join(f"{angle:.0f}" for angle in sorted({round(entry.rotation % 180) for entry in found})[:6])
    return (
        f"Simulated lattices are turned by {turned} degrees, scaled by "
        f"{scale * np.median([entry.lattice_scale for entry in found]):.3f}, and scanned with lines "
        f"{np.median([entry.scale_y for entry in found]):.3f} pixels apart, as in the experiment."
    )


def _words_on_cells(fits: Sequence[CellFit]) -> str:
    if not fits:
        return "Contrast and probe of the simulations are as given: the frames show too few reflections."
    believed = [fit for fit in fits if _believed(fit)]
    misfit = float(np.median([fit.misfit for fit in believed or fits]))
    if not believed:
        return (
            "Contrast and probe of the simulations are as given: no setting explains the mean unit cell, "
            f"the best leave {misfit:.0%} of it."
        )
    if not any(fit.decided for fit in believed):
        return (
            f"The probe is fitted to the mean unit cell, of which {misfit:.1%} is left unexplained. It does not tell "
            "which columns are the heavy ones: the contrast is as given, and both orientations are simulated."
        )
    return f"Contrast and probe are fitted to the mean unit cell, of which {misfit:.1%} is left unexplained."


def _choice(values: Sequence[float]) -> Drawn:
    """A number, or a choice of several."""
    rounded = tuple(float(f"{value:.5g}") for value in values)
    return rounded[0] if len(rounded) == 1 else Distribution(kind="choice", values=rounded)


def _around(values: Sequence[float]) -> Distribution:
    spread = max(float(np.std(values)), SPREAD)
    return Distribution(kind="normal", values=(round(float(np.mean(values)), 5), round(spread, 5)))
