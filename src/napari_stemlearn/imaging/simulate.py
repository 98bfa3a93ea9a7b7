"""Specimens and settings to labelled ADF-STEM micrographs, in batches.

The model is incoherent: every atom contributes its partial cross section times the probe's intensity (Pennycook and
Jesson, Ultramicroscopy 37 (1991) 14; Kirkland, Advanced Computing in Electron Microscopy, 2020). The image is a
fraction of the incident beam; summed over pixels times their area it is the sum of the cross sections.

Each image draws its parameters, scan path, carbon and flicker from generators on the CPU seeded by its own seed, so
these do not depend on the batch, its order or the device. On the CPU every image is computed by itself, so the same
seed gives the same pixels in any batch. On a GPU the noise has a generator for each image too, but another one than the
CPU's: noise-free images agree with the CPU to about 1e-4 of the brightest pixel, noisy ones in their statistics only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from napari_stemlearn import __version__
from napari_stemlearn.devices import choose_device
from napari_stemlearn.errors import SettingsError
from napari_stemlearn.imaging.computation import compute_detected
from napari_stemlearn.imaging.labelled import LabelledMicrograph
from napari_stemlearn.imaging.limits import exceeded_limits
from napari_stemlearn.imaging.plain_specimen import PlainSpecimen, SpecimenLike
from napari_stemlearn.imaging.preparation import DrawPlan, prepare_image
from napari_stemlearn.imaging.settings import ImagingSettings
from napari_stemlearn.imaging.sites_in_image import SitesInImage
from napari_stemlearn.micrograph import Micrograph

__all__ = ["PlainSpecimen", "SimulatedBatch", "SitesInImage", "SpecimenLike", "simulate", "simulate_batch"]


@dataclass(frozen=True)
class SimulatedBatch:
    """Images with their truth; unpacks as ``images, columns, defects, drawn`` with site tables.

    Parameters
    ----------
    images
        Grey levels, shape (image, y, x), single precision, on the device.
    column_sites, defect_sites
        Sites in each image as arrays; no table is made until it is asked for.
    drawn_before
        Values drawn for each image before its pixels were computed, by section.
    pixel_sizes
        Of each image in angstrom.
    brightest
        Largest fraction of the incident beam on a pixel of each image, shape (image,), on the device.
    stretched
        Gain and offset of stretched images, shape (image, 2), on the device; else None.
    """

    images: torch.Tensor
    column_sites: list[SitesInImage]
    defect_sites: list[SitesInImage]
    drawn_before: list[dict[str, Any]]
    pixel_sizes: list[float]
    brightest: torch.Tensor
    stretched: torch.Tensor | None = None

    @cached_property
    def drawn(self) -> list[dict[str, Any]]:
        """Values drawn for each image, by section.

        In the section ``detector`` stand the gain and offset that were in effect, also where stretching chose them:
        ``(grey level - offset) / gain`` are electrons, but for rounding and clipped pixels.
        """
        if self.stretched is None:
            return self.drawn_before
        # read when asked for, since that waits for a GPU
        chosen = self.stretched.double().tolist()
        return [
            {**before, "detector": {**before["detector"], "gain": gain, "offset": offset}}
            for before, (gain, offset) in zip(self.drawn_before, chosen, strict=True)
        ]

    @property
    def columns(self) -> list[pd.DataFrame]:
        """Site tables of all columns."""
        return [sites.table for sites in self.column_sites]

    @property
    def defects(self) -> list[pd.DataFrame]:
        """Site tables of all defects."""
        return [sites.table for sites in self.defect_sites]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.images, self.columns, self.defects, self.drawn))


def simulate(
    specimen: SpecimenLike, settings: ImagingSettings, seed: int = 0, device: str = "cpu"
) -> LabelledMicrograph:
    """Simulate one labelled micrograph.

    Parameters
    ----------
    specimen
        A `Specimen`, or anything with positions, numbers and site tables.
    settings
        The microscope.
    seed
        Same seed, same micrograph.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Returns
    -------
    LabelledMicrograph
        Image as 8- or 16-bit numbers where the detector has bits, else single precision.

    Raises
    ------
    SettingsError
        If the settings contradict each other, or the device is not there.
    """
    batch = simulate_batch([specimen], settings, [seed], device)
    data = batch.images[0].cpu().numpy()
    bits = settings.detector.bits
    if bits:
        data = data.astype(np.uint8 if bits == 8 else np.uint16)
    provenance = {"synthetic": True, "imaging": settings.record(), "seed": int(seed), "drawn": batch.drawn[0]}
    provenance["versions"] = {"napari-stemlearn": __version__, "torch": str(torch.__version__)}
    if hasattr(specimen, "record"):
        provenance["structure"] = specimen.record()
    notes = exceeded_limits(batch.drawn[0], float(batch.brightest[0]))
    if notes:
        provenance["notes"] = list(notes.values())
    micrograph = Micrograph(data, settings.pixel_size, name=f"simulated {seed}", provenance=provenance)
    return LabelledMicrograph(micrograph, batch.columns[0], batch.defects[0], batch.drawn[0], notes)


def simulate_batch(
    specimens: Sequence[SpecimenLike],
    settings: ImagingSettings,
    seeds: Sequence[int],
    device: str | torch.device = "cpu",
    *,
    pixel_sizes: Sequence[float] | None = None,
) -> SimulatedBatch:
    """Simulate many images of one shape.

    Parameters
    ----------
    specimens
        One for each image.
    settings
        The microscope; distributions are drawn anew for each image.
    seeds
        One for each image.
    device
        Where to compute and leave the images: a name as of `simulate`, or a device that was chosen.
    pixel_sizes
        In angstrom, one for each image, in place of the one in `settings`.

    Returns
    -------
    SimulatedBatch
        Images, sites, drawn values.

    Raises
    ------
    SettingsError
        If the settings contradict each other, the numbers of specimens and seeds differ, or the device is not there.
    """
    if len(specimens) != len(seeds):
        raise SettingsError(f"There are {len(specimens)} specimens and {len(seeds)} seeds; each image needs both.")
    if isinstance(device, str):
        device = choose_device(device)
    sizes = [settings.pixel_size] * len(seeds) if pixel_sizes is None else [float(size) for size in pixel_sizes]
    if len(sizes) != len(seeds):
        raise SettingsError(f"There are {len(sizes)} pixel sizes for {len(seeds)} images; each image needs one.")
    plan = DrawPlan(settings)
    prepared = [
        prepare_image(specimen, settings, int(seed), size, plan)
        for specimen, seed, size in zip(specimens, seeds, sizes, strict=True)
    ]
    detected = compute_detected(prepared, settings, device)
    return SimulatedBatch(
        detected.images,
        [one.column_sites for one in prepared],
        [one.defect_sites for one in prepared],
        [one.drawn for one in prepared],
        sizes,
        detected.brightest,
        detected.stretched,
    )
