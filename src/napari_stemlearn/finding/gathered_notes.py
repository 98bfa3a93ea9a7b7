"""Notes on the frames of a search, in few sentences."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_COUNT = re.compile(r"^Frame \d+: (\d+) of (\d+) (.+)$")


def gather(notes: list[str]) -> list[str]:
    """Notes of many frames in few sentences: counts are added up, other numbers become a range.

    Parameters
    ----------
    notes
        Full sentences, in the order in which they came.
    """
    counts: dict[str, list[int]] = {}
    ranges: dict[str, list[list[str]]] = {}
    order: list[tuple[str, str]] = []
    for note in dict.fromkeys(notes):
        counted = _COUNT.match(note)
        key = ("count", counted[3]) if counted else ("range", _NUMBER.sub("#", note))
        if key not in order:
            order.append(key)
        if counted:
            total = counts.setdefault(counted[3], [0, 0, 0])
            for place, value in enumerate((int(counted[1]), int(counted[2]), 1)):
                total[place] += value
        else:
            ranges.setdefault(key[1], []).append(_NUMBER.findall(note))
    sentences = []
    for kind, text in order:
        if kind == "count":
            part, whole, frames = counts[text]
            where = "" if frames == 1 else f" in {frames} frames"
            sentences.append(f"{part} of {whole} {text.rstrip('.')}{where}.")
            continue
        columns = zip(*ranges[text], strict=True)
        words = text
        for column in columns:
            low, high = min(column, key=float), max(column, key=float)
            words = words.replace("#", low if low == high else f"{low} to {high}", 1)
        sentences.append(words)
    return sentences
