"""Classes of the truth that a training can mark: which names there are, and whether anything has them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from napari_stemlearn.distributions import Distribution
from napari_stemlearn.structures.content import is_content
from napari_stemlearn.structures.settings import DefectKind

if TYPE_CHECKING:
    from napari_stemlearn.learning.settings import MixtureSettings

DEFECT_KINDS: tuple[str, ...] = get_args(DefectKind)
"""Classes of the truth that are defects; all others are the contents of columns."""

ALL_COLUMNS, ALL_DEFECTS = "all columns", "all defects"
"""Words that stand for every class of a truth table."""

ALLOWED = (
    f"allowed are {', '.join(DEFECT_KINDS)}, contents of columns such as W or Se2, '{ALL_COLUMNS}' and '{ALL_DEFECTS}'"
)
"""Words for all names that simulations can have."""


def belongs(name: str, wanted: Collection[str]) -> bool:
    """Whether a site of class `name` of the truth is marked by a class that marks those of `wanted`."""
    return name in wanted or (ALL_DEFECTS if name in DEFECT_KINDS else ALL_COLUMNS) in wanted


def is_known(name: str) -> bool:
    """Whether simulations can have a class of this name, or it stands for all."""
    return name in (*DEFECT_KINDS, ALL_COLUMNS, ALL_DEFECTS) or is_content(name)


def unknown_name(classes: Mapping[str, Sequence[str]], there: Collection[str] = ()) -> str:
    """Words on a name that no truth table can have; empty where all are known or in `there`."""
    for marking, truth in classes.items():
        for name in truth:
            if not is_known(name) and name not in there:
                return f"the class '{marking}' marks '{name}', which is no class of the truth; {ALLOWED}"
    return ""


def empty_classes(classes: Mapping[str, Sequence[str]], there: Collection[str]) -> list[str]:
    """The training classes that mark nothing of what is there."""
    return [name for name, truth in classes.items() if not any(belongs(one, truth) for one in there)]


def unmade_class(
    classes: Mapping[str, Sequence[str]], parts: Iterable[MixtureSettings], who: str, *, known: bool = False
) -> str:
    """Words on a class of defects that no specimen has; empty where each has some.

    Parameters
    ----------
    classes
        Of a training.
    parts
        Its specimens.
    who
        Has these specimens, such as "no structure".
    known
        The training starts from a model that knows the classes: one of them that is there is enough.
    """
    drawn = [part.structure for part in parts if part.weight > 0]
    kinds = {defect.kind for structure in drawn for defect in structure.defects if possible(defect)}
    # what columns hold is told by the crystals, which are not looked up here
    unmade = {
        name: truth
        for name, truth in classes.items()
        if all(entry in (*DEFECT_KINDS, ALL_DEFECTS) for entry in truth)
        and not any(belongs(kind, truth) for kind in kinds)
    }
    if not unmade or (known and len(unmade) < len(classes)):
        return ""
    name, truth = next(iter(unmade.items()))
    has = ", ".join(sorted(kinds)) or "none"
    return f"{who} has defects of the class '{name}' ({', '.join(truth)}); there are {has}"


def possible(defect: Any) -> bool:
    """Whether a defect's probability can be above 0."""
    value = defect.probability
    return (value.extent()[1] if isinstance(value, Distribution) else float(value)) > 0
