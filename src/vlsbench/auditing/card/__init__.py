"""The leakage card of a benchmark, and the leaderboard of several."""

from vlsbench.auditing.card._card import (
    CARD_JSON,
    LEAGUE_JSON,
    caveats,
    make_card,
    make_league,
    read_card,
    read_judged,
    read_judged_pairs,
    read_league,
)
from vlsbench.auditing.card._drop import DROP, DropList, Score, leak_score
from vlsbench.auditing.card._page import (
    bits,
    card_markdown,
    finding,
    league_markdown,
    share,
    write_card,
    write_league,
)
from vlsbench.auditing.card._types import (
    Card,
    CategoryLeak,
    Dropped,
    League,
    LeagueRow,
    LeakingPair,
    Mark,
    Measure,
)

__all__ = [
    "CARD_JSON",
    "DROP",
    "LEAGUE_JSON",
    "Card",
    "CategoryLeak",
    "DropList",
    "Dropped",
    "League",
    "LeagueRow",
    "LeakingPair",
    "Mark",
    "Measure",
    "Score",
    "bits",
    "card_markdown",
    "caveats",
    "finding",
    "league_markdown",
    "leak_score",
    "make_card",
    "make_league",
    "read_card",
    "read_judged",
    "read_judged_pairs",
    "read_league",
    "share",
    "write_card",
    "write_league",
]
