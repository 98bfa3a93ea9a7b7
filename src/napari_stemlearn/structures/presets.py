"""The crystals that are known by name, with lattice constants from the literature; needs neither ase nor spglib.

Sources of the numbers (angstrom, room temperature where measured):

- 2H layers MX2: in-plane constant and X-X distance along the layer normal of the bulk crystals, from Bronsema, de Boer
  & Jellinek, Z. Anorg. Allg. Chem. 540 (1986) 15 (MoS2, MoSe2), Schutte, de Boer & Jellinek, J. Solid State Chem. 70
  (1987) 207 (WS2, WSe2), Puotinen & Newnham, Acta Cryst. 14 (1961) 691 (MoTe2), and the in-plane constants collected by
  Wilson & Yoffe, Adv. Phys. 18 (1969) 193 (NbS2, NbSe2, TaS2, TaSe2) with X-X distances of PBE monolayers (Haastrup et
  al., 2D Mater. 5 (2018) 042002, "C2DB"). WTe2, NbTe2 and TaTe2 have no 2H bulk crystal: PBE monolayers, rounded.
- Janus layers: the mean of the two parents (Vegard's rule), each side at its parent's height.
- graphene and hBN: Baskin & Meyer, Phys. Rev. 100 (1955) 544; Paszkowicz et al., Appl. Phys. A 75 (2002) 431.
- Perovskites: pseudo-cubic constant (cube root of the volume of a formula unit), rounded to 0.005; Schlom et al.,
  J. Am. Ceram. Soc. 91 (2008) 2429 and Mitchell, Perovskites: Modern and Ancient (2002). Octahedral tilts and polar
  shifts are left out: use a CIF file where they matter.
- Diamond and zinc blende: Madelung, Semiconductors: Data Handbook (2004). Metals and rock salts: CRC Handbook of
  Chemistry and Physics.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal

from napari_stemlearn.errors import SettingsError

Family = Literal["graphene", "hbn", "mx2", "janus", "perovskite", "diamond", "zincblende", "fcc", "bcc", "rocksalt"]

MX2 = {
    "MoS2": (3.160, 3.17),
    "MoSe2": (3.289, 3.335),
    "MoTe2": (3.519, 3.60),
    "WS2": (3.153, 3.14),
    "WSe2": (3.282, 3.34),
    "WTe2": (3.55, 3.62),
    "NbS2": (3.33, 3.14),
    "NbSe2": (3.445, 3.37),
    "NbTe2": (3.69, 3.69),
    "TaS2": (3.315, 3.13),
    "TaSe2": (3.435, 3.35),
    "TaTe2": (3.70, 3.67),
}
"""2H layers: lattice constant a and distance of the two chalcogen planes."""

PEROVSKITES = {
    "SrTiO3": 3.905,
    "BaTiO3": 4.01,
    "PbTiO3": 3.985,
    "CaTiO3": 3.825,
    "LaAlO3": 3.79,
    "LaMnO3": 3.935,
    "LaFeO3": 3.93,
    "LaNiO3": 3.84,
    "BiFeO3": 3.965,
    "SrRuO3": 3.925,
    "SrMnO3": 3.805,
    "KNbO3": 4.015,
    "KTaO3": 3.99,
    "NdGaO3": 3.86,
    "DyScO3": 3.945,
    "BaZrO3": 4.195,
}
"""ABO3: pseudo-cubic lattice constant."""

DIAMOND = {"Si": 5.431, "Ge": 5.658, "diamond": 3.567}
ZINCBLENDE = {
    "GaAs": 5.653,
    "CdTe": 6.481,
    "InAs": 6.058,
    "InP": 5.869,
    "GaP": 5.451,
    "GaSb": 6.096,
    "InSb": 6.479,
    "AlAs": 5.661,
    "ZnS": 5.409,
    "ZnSe": 5.668,
    "ZnTe": 6.103,
}
FCC = {
    "Au": 4.078,
    "Pt": 3.924,
    "Pd": 3.890,
    "Ag": 4.086,
    "Cu": 3.615,
    "Al": 4.050,
    "Ni": 3.524,
    "Ir": 3.839,
    "Rh": 3.803,
    "Pb": 4.951,
}
BCC = {"Fe": 2.866, "W": 3.165, "Mo": 3.147, "Ta": 3.303, "Nb": 3.301, "Cr": 2.885, "V": 3.024}
ROCKSALT = {"MgO": 4.212, "NiO": 4.177, "PbS": 5.936, "PbSe": 6.124, "PbTe": 6.462}

CHALCOGENS = ("S", "Se", "Te")


@dataclass(frozen=True)
class CrystalPreset:
    """A crystal known by name.

    Parameters
    ----------
    name
        As written in ``StructureSettings.crystal``.
    family
        Kind of crystal.
    elements
        Element symbols in the order of the formula; a Janus layer is metal, top chalcogen, bottom chalcogen.
    lattice_constant
        In angstrom.
    chalcogen_heights
        For MX2: height of the (top, bottom) chalcogen plane above and below the metal plane, in angstrom.
    layer
        Whether it is a single layer, seen along its normal.
    zone_axes
        Usual zone axes; the first is the default. Any other integer axis works for bulk crystals.
    sublattices
        Names for mixing fractions and defects; element symbols work too.
    sentence
        One sentence for a list.
    """

    name: str
    family: Family
    elements: tuple[str, ...]
    lattice_constant: float
    chalcogen_heights: tuple[float, float] = (0.0, 0.0)
    layer: bool = False
    zone_axes: tuple[tuple[int, int, int], ...] = ((1, 0, 0), (1, 1, 0))
    sublattices: tuple[str, ...] = ()
    sentence: str = ""


def _mx2(name: str, a: float, thickness: float) -> CrystalPreset:
    metal = next(metal for metal in ("Mo", "W", "Nb", "Ta") if name.startswith(metal))
    chalcogen = name[len(metal) : -1]
    return CrystalPreset(
        name,
        "mx2",
        (metal, chalcogen, chalcogen),
        a,
        (thickness / 2, thickness / 2),
        layer=True,
        zone_axes=((0, 0, 1),),
        sublattices=("metal", "chalcogen", "chalcogen_top", "chalcogen_bottom"),
        sentence=f"2H monolayer of {name}, a = {a:g} Å; {metal} columns and {chalcogen}2 columns.",
    )


def _janus(metal: str, top: str, bottom: str) -> CrystalPreset:
    (a_top, t_top), (a_bottom, t_bottom) = MX2[f"{metal}{top}2"], MX2[f"{metal}{bottom}2"]
    a = (a_top + a_bottom) / 2
    return CrystalPreset(
        f"{metal}{top}{bottom}",
        "janus",
        (metal, top, bottom),
        a,
        (t_top / 2, t_bottom / 2),
        layer=True,
        zone_axes=((0, 0, 1),),
        sublattices=("metal", "chalcogen", "chalcogen_top", "chalcogen_bottom"),
        sentence=f"Janus monolayer, {top} on the side where the beam enters and {bottom} below, a = {a:.3f} Å.",
    )


@lru_cache(maxsize=1)
def catalogue() -> dict[str, CrystalPreset]:
    """All presets by name."""
    found = [
        CrystalPreset(
            "graphene",
            "graphene",
            ("C",),
            2.461,
            layer=True,
            zone_axes=((0, 0, 1),),
            sublattices=("carbon", "carbon_a", "carbon_b"),
            sentence="One layer of graphene, a = 2.461 Å; every atom is a column.",
        ),
        CrystalPreset(
            "hBN",
            "hbn",
            ("B", "N"),
            2.504,
            layer=True,
            zone_axes=((0, 0, 1),),
            sublattices=("boron", "nitrogen"),
            sentence="One layer of hexagonal boron nitride, a = 2.504 Å.",
        ),
    ]
    found += [_mx2(name, *values) for name, values in MX2.items()]
    found += [
        _janus(metal, top, bottom)
        for metal in ("Mo", "W", "Nb", "Ta")
        for top in CHALCOGENS
        for bottom in CHALCOGENS
        if top != bottom
    ]
    for name, a in PEROVSKITES.items():
        a_site, b_site = name[:2].rstrip("0123456789"), name[2:-2]
        if not b_site[:1].isupper():
            a_site, b_site = name[0], name[1:-2]
        found.append(
            CrystalPreset(
                name,
                "perovskite",
                (a_site, b_site, "O"),
                a,
                sublattices=("a_site", "b_site", "oxygen"),
                sentence=f"Perovskite {name}, pseudo-cubic a = {a:g} Å, usually seen along [100] or [110].",
            )
        )
    for name, a in DIAMOND.items():
        element = "C" if name == "diamond" else name
        found.append(
            CrystalPreset(
                name,
                "diamond",
                (element,),
                a,
                zone_axes=((1, 1, 0), (1, 0, 0)),
                sentence=f"{name.capitalize()}, diamond structure, a = {a:g} Å; dumbbells along [110].",
            )
        )
    found += [
        CrystalPreset(
            name,
            "zincblende",
            _two_elements(name),
            a,
            zone_axes=((1, 1, 0), (1, 0, 0)),
            sentence=f"{name}, zinc blende structure, a = {a:g} Å; dumbbells along [110].",
        )
        for name, a in ZINCBLENDE.items()
    ]
    for family, table, words in (("fcc", FCC, "face-centred"), ("bcc", BCC, "body-centred")):
        found += [
            CrystalPreset(
                name,
                family,  # type: ignore[arg-type]
                (name,),
                a,
                sentence=f"{name}, {words} cubic metal, a = {a:g} Å, usually seen along [100] or [110].",
            )
            for name, a in table.items()
        ]
    found += [
        CrystalPreset(name, "rocksalt", _two_elements(name), a, sentence=f"{name}, rock salt structure, a = {a:g} Å.")
        for name, a in ROCKSALT.items()
    ]
    # bulk crystals of one or two elements call their sublattices by the elements
    named = [entry if entry.sublattices else replace(entry, sublattices=entry.elements) for entry in found]
    return {entry.name: entry for entry in named}


def _two_elements(formula: str) -> tuple[str, str]:
    """Split a formula of two elements at its second capital."""
    second = next(i for i in range(1, len(formula)) if formula[i].isupper())
    return formula[:second], formula[second:]


def describe_presets() -> list[CrystalPreset]:
    """Every crystal known by name, each with a sentence, in the order for a list."""
    return list(catalogue().values())


def preset_named(name: str) -> CrystalPreset:
    """Find a crystal by name, whatever the case where that is unambiguous.

    Raises
    ------
    SettingsError
        Names the nearest presets.
    """
    known = catalogue()
    if name in known:
        return known[name]
    alike = [entry for key, entry in known.items() if key.lower() == name.strip().lower()]
    if len(alike) == 1:
        return alike[0]
    near = get_close_matches(name.strip().lower(), [key.lower() for key in known], n=4, cutoff=0.5)
    nearest = [key for wanted in near for key in known if key.lower() == wanted] or list(known)[:4]
    raise SettingsError(
        f"There is no crystal preset '{name}'; choose one of the {len(known)}, such as {', '.join(nearest)} "
        "('stemlearn crystals' lists all), or give the path of a CIF file."
    )


def is_cif(crystal: str) -> bool:
    """Whether the crystal is given as a file."""
    return crystal.lower().endswith((".cif", ".mcif"))
