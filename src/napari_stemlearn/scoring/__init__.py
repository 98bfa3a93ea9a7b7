"""How well found sites agree with the truth: matching, precision, recall, position error, sweeps, confidence."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "assign": "assignment",
    "Matches": "matching",
    "match": "matching",
    "default_tolerance": "matching",
    "ScoringRule": "rule",
    "SearchedSites": "searched",
    "RecordedSites": "searched",
    "search_of_record": "searched",
    "labels_of_record": "labelled",
    "Scores": "scores",
    "score": "scores",
    "summarise": "scores",
    "Sweep": "thresholds",
    "sweep": "thresholds",
    "Bootstrap": "bootstrapping",
    "bootstrap": "bootstrapping",
    "first_hit_counts": "legacy",
    "nearest_neighbour_counts": "legacy",
    "scores_figure": "figures",
    "write_figure": "figures",
    "Question": "question",
    "make_question": "question",
    "match_table": "question",
    "write_products": "question",
    "write_scores": "tables",
    "scores_record": "tables",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
