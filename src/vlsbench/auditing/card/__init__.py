"""The leakage card of a benchmark, and the leaderboard of several."""

from vlsbench.auditing.card._card import (
    CARD_JSON,
    LEADERBOARD_JSON,
    Card,
    CategoryLeak,
    Dropped,
    Leaderboard,
    LeaderboardRow,
    LeakingPair,
    Mark,
    Measure,
    read_card,
    read_leaderboard,
)
from vlsbench.auditing.card._drop import DROP, DropList, Score, leak_score
from vlsbench.auditing.card._make import caveats, make_card, make_leaderboard
from vlsbench.auditing.card._page import (
    bits,
    finding,
    leaderboard_markdown,
    share,
    write_card,
    write_leaderboard,
)

__all__ = [
    "CARD_JSON",
    "DROP",
    "LEADERBOARD_JSON",
    "Card",
    "CategoryLeak",
    "DropList",
    "Dropped",
    "Leaderboard",
    "LeaderboardRow",
    "LeakingPair",
    "Mark",
    "Measure",
    "Score",
    "bits",
    "caveats",
    "finding",
    "leaderboard_markdown",
    "leak_score",
    "make_card",
    "make_leaderboard",
    "read_card",
    "read_leaderboard",
    "share",
    "write_card",
    "write_leaderboard",
]
