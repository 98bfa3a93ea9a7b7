"""Settings of a specimen: crystal, view, thickness, strain, displacements and point defects."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator

from napari_stemlearn.distributions import Distribution, Drawn
from napari_stemlearn.settings import Settings, quantity
from napari_stemlearn.structures.elements import check_element
from napari_stemlearn.structures.presets import is_cif, preset_named

DefectKind = Literal["vacancy1", "vacancy2", "metal_vacancy", "antisite", "substitution", "adatom"]


def _as_element_list(value: Any) -> Any:
    """Let one symbol, or symbols separated by commas, stand for a list."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(part for part in re.split(r"[,\s]+", value.strip()) if part)
    return value


class DefectSettings(Settings):
    """One kind of point defect on one sublattice.

    Defects exclude each other: a column (an atom, in bulk crystals) holds at most one. Those of one class in a column
    count as one defect of the column.
    """

    kind: DefectKind = Field(
        "vacancy1",
        description="vacancy1: one atom missing; vacancy2: all atoms of a column missing; metal_vacancy; antisite: an "
        "atom of the other sublattice; substitution: a foreign element; adatom: an atom on top.",
    )
    sublattice: str = Field(
        "",
        description="Name of the sublattice or element symbol of the site; empty for the usual one (chalcogen in MX2, "
        "metal for metal_vacancy, every site elsewhere).",
    )
    probability: Drawn = quantity(
        0.0, "1", "Probability per column of the sublattice (per atom in bulk crystals).", minimum=0, maximum=1
    )
    elements: Annotated[tuple[str, ...], BeforeValidator(_as_element_list)] = Field(
        (),
        description="Element that is put there, or several from which each defect draws; empty lets an antisite take "
        "the other sublattice's.",
    )
    atoms: Literal["one", "both", "either"] = Field(
        "one", description="Antisite and substitution in columns of two atoms: replace one, both, or either at random."
    )
    place: Literal["on_site", "random"] = Field("on_site", description="Adatom: on top of a site, or anywhere.")
    height: Drawn = quantity(
        2.0, "angstrom", "Adatom: height above the topmost atom.", minimum=0, maximum=10, advanced=True
    )

    @field_validator("elements")
    @classmethod
    def _known_elements(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_element(symbol) for symbol in value)

    def model_post_init(self, context: Any) -> None:
        """Check that the kind has what it needs."""
        super().model_post_init(context)
        if self.kind in ("substitution", "adatom") and not self.elements:
            raise ValueError(f"a defect of kind {self.kind} needs elements, such as W")


class StructureSettings(Settings):
    """What is in the specimen and how it lies under the beam."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "default": {},
        "clean": {"defects": [], "displacement": 0.0},
        "wse2": {
            "crystal": "WSe2",
            "defects": [
                {"kind": "vacancy1", "probability": 0.03},
                {"kind": "vacancy2", "probability": 0.001},
                {"kind": "metal_vacancy", "probability": 0.0005},
                {"kind": "antisite", "sublattice": "chalcogen", "probability": 0.002, "atoms": "either"},
            ],
        },
        "graphene": {
            "crystal": "graphene",
            "defects": [
                {"kind": "vacancy1", "probability": 0.003},
                {"kind": "substitution", "elements": ["Si"], "probability": 0.005},
            ],
        },
        "srtio3": {"crystal": "SrTiO3", "zone_axis": (1, 0, 0), "thickness": 100.0, "defects": []},
        "silicon": {"crystal": "Si", "zone_axis": (1, 1, 0), "thickness": 100.0, "defects": []},
        "gold": {"crystal": "Au", "zone_axis": (1, 1, 0), "thickness": 60.0, "defects": []},
    }

    crystal: str = Field("WSe2", description="Name of a crystal preset, or path of a CIF file.")
    zone_axis: tuple[int, int, int] | None = Field(
        None,
        description="Integer zone axis [u v w] of the conventional cell along the beam; empty for the usual one.",
    )
    field_of_view: tuple[float, float] = quantity(
        (100.0, 100.0), "angstrom", "Height and width of the imaged area.", minimum=1, maximum=100_000
    )
    margin: float = quantity(
        5.0, "angstrom", "Specimen beyond the field of view on all sides.", minimum=0, maximum=1000, advanced=True
    )
    rotation: Drawn = quantity(
        "uniform(0, 360)",
        "degree",
        "Angle of the crystal's first axis from the fast scan direction x towards y.",
        minimum=-360,
        maximum=360,
    )
    random_origin: bool = Field(True, description="Shift the lattice by a random part of its cell.")
    thickness: Drawn | None = quantity(
        50.0,
        "angstrom",
        "Thickness of bulk crystals along the beam; empty for one repeat; layers have their own. Images are for thin "
        "ones: a note says so where a pixel gets more than 30 % of the beam, as from 50 angstrom of gold.",
        minimum=0.5,
        maximum=10_000,
    )
    displacement: Drawn = quantity(
        0.03,
        "angstrom",
        "Static displacement of every atom: rms along each of the two in-plane axes.",
        minimum=0,
        maximum=2,
    )
    lattice_scale: Drawn = quantity(
        1.0, "1", "Factor on all in-plane distances (calibration error or strain).", minimum=0.5, maximum=2
    )
    lattice_anisotropy: Drawn = quantity(
        0.0, "1", "Relative stretch along a random direction over that across it.", minimum=0, maximum=0.5
    )
    tilt: Drawn = quantity(
        0.0, "degree", "Tilt of the specimen about an in-plane axis.", minimum=0, maximum=45, advanced=True
    )
    tilt_axis: Drawn | None = quantity(
        None,
        "degree",
        "Direction of the axis of the tilt, from x towards y; empty draws any.",
        minimum=-360,
        maximum=360,
        advanced=True,
    )
    vacuum: Literal["none", "edge", "hole", "either"] = Field(
        "none", description="Leave part of the field empty: behind a straight edge, or in a round hole."
    )
    coverage: Drawn = quantity(
        "uniform(0.5, 1)",
        "1",
        "Fraction of the field of view with crystal where there is vacuum.",
        minimum=0,
        maximum=1,
    )
    alloy: dict[str, dict[str, Drawn]] = Field(
        default_factory=dict,
        description="Mixing fractions: sublattice, then element, such as {metal: {Mo: 0.3}}.",
        examples=["metal: {Mo: 0.3}"],
    )
    defects: tuple[DefectSettings, ...] = Field(
        default=(DefectSettings.checked({"kind": "vacancy1", "probability": 0.02}),),
        description="Point defects, each with its probability.",
    )

    @field_validator("crystal")
    @classmethod
    def _known_crystal(cls, value: str) -> str:
        value = value.strip()
        return value if is_cif(value) else preset_named(value).name

    @field_validator("zone_axis")
    @classmethod
    def _real_axis(cls, value: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
        if value is not None and not any(value):
            raise ValueError("the zone axis [0 0 0] is no direction; give three integers that are not all zero")
        return value

    @field_validator("alloy")
    @classmethod
    def _possible_mixture(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for sublattice, fractions in value.items():
            for symbol, fraction in fractions.items():
                check_element(symbol)
                low, high = _range(fraction)
                if not (low >= 0 and high <= 1):
                    raise ValueError(
                        f"the fraction of {symbol} on sublattice {sublattice} is {fraction}; allowed: 0 to 1"
                    )
            least = sum(_range(fraction)[0] for fraction in fractions.values())
            if least > 1 + 1e-9:
                raise ValueError(f"the fractions on sublattice {sublattice} sum to {least:g}; allowed: at most 1")
        return value


def _range(value: float | Distribution) -> tuple[float, float]:
    """Ends of a fraction; a normal distribution has none, its draws are put on the bounds, so its mean counts."""
    if not isinstance(value, Distribution):
        return float(value), float(value)
    return (value.values[0], value.values[0]) if value.kind == "normal" else value.extent()
