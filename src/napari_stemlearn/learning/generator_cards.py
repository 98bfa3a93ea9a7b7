"""Trained generators as folders: which there are, and what was measured when they were trained; free of torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_stemlearn.atomic_writing import visible_files
from napari_stemlearn.errors import ModelError
from napari_stemlearn.models.store import CARD, GENERATOR_CARD

GENERATOR_WEIGHTS = "generator.safetensors"
"""Name of the weights in a generator's folder, beside its card."""

BY_A_SET = "make a set of training data with structures and imaging of your own, and train on that"
"""Advice where a network is to learn from a generator without a set."""

MEASURES = {"spectrum": "spectrum", "grey_levels": "grey levels", "noise": "noise"}
"""Measures of realism that the words on a generator tell, in their order."""


def read_generator_card(folder: str | Path) -> dict[str, Any]:
    """Card of the generator in a folder.

    Raises
    ------
    ModelError
        If there is none, or it cannot be read.
    """
    path = Path(folder) / GENERATOR_CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if (Path(folder) / CARD).is_file():
            raise ModelError(
                f"{folder} is a model, which finds sites; images get the look of a day from a generator, which a "
                "CycleGAN brings."
            ) from None
        raise ModelError(f"There is no generator in {folder}.") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"The generator in {folder} has a card that cannot be read: {error}.") from error
    if not isinstance(card, dict) or not isinstance(card.get("settings"), dict):
        raise ModelError(f"The generator in {folder} has a card without settings.")
    return card


def generators_in(folder: str | Path) -> list[Path]:
    """Folders of the generators at and below a folder, in the order of their names; none where it is not there."""
    cards = visible_files(Path(folder), f"**/{GENERATOR_CARD}")
    return sorted(card.parent for card in cards if (card.parent / GENERATOR_WEIGHTS).is_file())


def learnt_stack(card: dict[str, Any]) -> list[str]:
    """Names of the simulated images that a generator learnt from; empty where it learnt from settings.

    Parameters
    ----------
    card
        See `read_generator_card`.
    """
    return [Path(str(path)).name for path in (card.get("settings") or {}).get("simulated") or ()]


def knows_no_simulation(card: dict[str, Any], advice: str) -> str:
    """Sentence for a generator that learnt from a simulated stack where settings are needed; empty for others.

    Parameters
    ----------
    card
        See `read_generator_card`.
    advice
        What to do instead.
    """
    names = learnt_stack(card)
    if not names:
        return ""
    stack = names[0] if len(names) == 1 else f"{len(names)} files"
    return (
        f"The generator '{card.get('name')}' learnt from a simulated stack ({stack}), so it does not know what to "
        f"simulate; {advice}."
    )


def words_on(card: dict[str, Any]) -> list[str]:
    """What was measured when a generator was trained, one sentence a line.

    Parameters
    ----------
    card
        See `read_generator_card`.
    """
    measured = card.get("measured") or {}
    limits = (card.get("settings") or {}).get("survival") or {}
    labels, after, before = (measured.get(name) or {} for name in ("labels", "realism", "realism_of_simulation"))
    lines = []
    names = ("recall", "displacement", "defect_contrast")
    recall, displacement, contrast = (_number(labels.get(f"labels_{name}")) for name in names)
    if recall is not None:
        tolerance = f" within {limits['tolerance']:g} Å" if "tolerance" in limits else ""
        lines.append(f"{100 * recall:.1f} % of the atoms are found{tolerance} of their labels.")
    if displacement is not None:
        allowed = f"; at most {limits['displacement']:g} Å is allowed" if "displacement" in limits else ""
        shift = f"{displacement:.3f}" if displacement >= 0.001 else "less than 0.001"
        lines.append(f"Translation shifts them by {shift} Å on average{allowed}.")
    if contrast is not None:
        lines.append(f"Defects keep {100 * contrast:.0f} % of their contrast.")
    steps = [
        f"{words} {start:.2g} → {end:.2g}"
        for name, words in MEASURES.items()
        for start, end in [(_number(before.get(name)), _number(after.get(name)))]
        if start is not None and end is not None
    ]
    looks = measured.get("looks") or {}
    kernel = [_kernel_distance(looks.get(name) or {}) for name in ("simulated", "generated")]
    if all(kernel):
        steps.append(f"KID {kernel[0]} → {kernel[1]}")
    if steps:
        lines.append(f"Distance to the experiment, before → after: {', '.join(steps)}.")
    return lines


def _kernel_distance(look: Mapping[str, Any]) -> str:
    """KID with its standard error; empty where it was not measured."""
    value, error = (_number(look.get(name)) for name in ("kid", "kid_error"))
    if value is None:
        return ""
    # adding 0 takes the sign from -0
    text = f"{round(value, 4) + 0:.4f}"
    return text if error is None else f"{text} ± {error:.4f}"


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
