from .assignment import assign
from .bootstrapping import Bootstrap, bootstrap
from .figures import scores_figure, write_figure
from .labelled import labels_of_record
from .legacy import first_hit_counts, nearest_neighbour_counts
from .matching import Matches, default_tolerance, match
from .question import (
    Question,
    make_question,
    match_table,
    write_products,
)
from .rule import ScoringRule
from .scores import Scores, score, summarise
from .searched import (
    RecordedSites,
    SearchedSites,
    search_of_record,
)
from .tables import scores_record, write_scores
from .thresholds import Sweep, sweep

__all__ = [
    "Bootstrap",
    "Matches",
    "Question",
    "RecordedSites",
    "Scores",
    "ScoringRule",
    "SearchedSites",
    "Sweep",
    "assign",
    "bootstrap",
    "default_tolerance",
    "first_hit_counts",
    "labels_of_record",
    "make_question",
    "match",
    "match_table",
    "nearest_neighbour_counts",
    "score",
    "scores_figure",
    "scores_record",
    "search_of_record",
    "summarise",
    "sweep",
    "write_figure",
    "write_products",
    "write_scores",
]
