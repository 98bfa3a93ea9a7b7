"""What a microscope file says about the exposure: beam energy, dwell time, detector, magnification and the like."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from napari_stemlearn.formats.plain_values import plain

_TEM = "Acquisition_instrument.TEM"

# name with its unit in our record: (place in the metadata tree, factor)
_STANDARD: dict[str, tuple[str, float]] = {
    "beam_energy_kev": (f"{_TEM}.beam_energy", 1.0),
    "convergence_semiangle_mrad": (f"{_TEM}.convergence_angle", 1.0),
    "camera_length_mm": (f"{_TEM}.camera_length", 1.0),
    "magnification": (f"{_TEM}.magnification", 1.0),
    "probe_current_pa": (f"{_TEM}.beam_current", 1e3),
    "dwell_time_us": (f"{_TEM}.dwell_time", 1e6),
    "exposure_s": (f"{_TEM}.Detector.Camera.exposure", 1.0),
}
_WORDS: dict[str, str] = {
    "microscope": f"{_TEM}.microscope",
    "mode": f"{_TEM}.acquisition_mode",
    "date": "General.date",
    "time": "General.time",
    "specimen": "Sample.description",
}

# the same facts where the standard tree has no place for them or lacks them
_BY_PROGRAM: dict[str, tuple[tuple[str, float], ...]] = {
    "beam_energy_kev": (
        ("microscope.high tension", 1e-3),
        ("ObjectInfo.ExperimentalDescription.High tension_kV", 1.0),
    ),
    "convergence_semiangle_mrad": (("Optics.BeamConvergence", 1e3), ("microscope.convergence angle", 1e3)),
    "camera_length_mm": (("microscope.camera length", 1e3),),
    "magnification": (("microscope.magnification", 1.0),),
    "probe_current_pa": (("Optics.LastMeasuredScreenCurrent", 1e12),),
    "dwell_time_us": (
        ("Scan.DwellTime", 1e6),
        ("microscope.dwell time", 1e6),
        ("ObjectInfo.AcquireInfo.DwellTimePath", 1e6),
    ),
    "frame_time_s": (("Scan.FrameTime", 1.0), ("ObjectInfo.AcquireInfo.FrameTime", 1.0)),
}
_WORDS_BY_PROGRAM: dict[str, tuple[str, ...]] = {
    "microscope": ("microscope.name", "ImageList.TagGroup0.ImageTags.Microscope Info.Name"),
    "detector": (
        "ImageList.TagGroup0.ImageTags.DataBar.Signal Name",
        "ImageList.TagGroup0.ImageTags.QuickSaved.Temp-Tags.Detector",
    ),
    "specimen": ("sample.sample name",),
}
_UNSAID = {"", "unknown", "none", "[]", "not specified"}


def look_up(tree: Any, place: str) -> Any:
    """Follow ``a.b.c`` through nested mappings; None where it ends early."""
    for part in place.split("."):
        if not isinstance(tree, Mapping) or part not in tree:
            return None
        tree = tree[part]
    return tree


def acquisition(signal: Mapping[str, Any]) -> dict[str, Any]:
    """Facts about the exposure of one signal of rosettasciio; what the file does not say, or says as 0, is left out.

    Parameters
    ----------
    signal
        With ``metadata``, ``original_metadata`` and ``mapping`` as rosettasciio returns them.

    Returns
    -------
    dict
        Plain values; names carry their unit (``beam_energy_kev``, ``dwell_time_us``, ``probe_current_pa``, …).
    """
    metadata = signal.get("metadata") or {}
    original = signal.get("original_metadata") or {}
    mapped = _mapped(signal.get("mapping") or {}, original)
    facts: dict[str, Any] = {}
    for name in {**_STANDARD, **_BY_PROGRAM}:
        candidates: list[tuple[Any, float]] = []
        if name in _STANDARD:
            place, factor = _STANDARD[name]
            candidates += [(look_up(metadata, place), factor), (mapped.get(place), factor)]
        candidates += [(look_up(original, place), factor) for place, factor in _BY_PROGRAM.get(name, ())]
        for value, factor in candidates:
            number = _positive(value)
            if number is not None:
                # ten digits hide what the factor adds in rounding
                facts[name] = float(f"{number * factor:.10g}")
                break
    for name in {**_WORDS, **_WORDS_BY_PROGRAM}:
        texts = []
        if name in _WORDS:
            texts += [look_up(metadata, _WORDS[name]), mapped.get(_WORDS[name])]
        texts += [look_up(original, place) for place in _WORDS_BY_PROGRAM.get(name, ())]
        for text in texts:
            words = str(plain(text)).strip() if text is not None else ""
            if words.lower() not in _UNSAID:
                facts[name] = words
                break
    # TIA keeps the dwell time of a scan and the exposure of a camera under one name
    if facts.get("mode") == "TEM" and "dwell_time_us" in facts:
        facts["exposure_s"] = facts.pop("dwell_time_us") / 1e6
    elif "dwell_time_us" in facts:
        facts.pop("exposure_s", None)
    facts.update(_velox_detector(metadata, original))
    return facts


def _mapped(mapping: Mapping[str, Any], original: Mapping[str, Any]) -> dict[str, Any]:
    """Apply rosettasciio's mapping from a program's metadata to the standard tree."""
    values: dict[str, Any] = {}
    for place, (target, convert) in mapping.items():
        value = look_up(original, place)
        if value is None:
            continue
        with contextlib.suppress(Exception):
            values[target] = convert(value) if convert else value
    return values


def _velox_detector(metadata: Mapping[str, Any], original: Mapping[str, Any]) -> dict[str, Any]:
    """Name and collection angles of the detector that a Velox image is from: the image's title is the detector."""
    detectors = original.get("Detectors")
    title = look_up(metadata, "General.title")
    if not isinstance(detectors, Mapping) or not title:
        return {}
    for detector in detectors.values():
        if isinstance(detector, Mapping) and detector.get("DetectorName") == title:
            facts: dict[str, Any] = {"detector": str(title)}
            outer = _positive(look_up(detector, "CollectionAngleRange.end"))
            if outer is not None:
                inner = _positive(look_up(detector, "CollectionAngleRange.begin")) or 0.0
                facts["collection_angles_mrad"] = [float(f"{angle * 1e3:.6g}") for angle in (inner, outer)]
            return facts
    return {}


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < float("inf") else None
