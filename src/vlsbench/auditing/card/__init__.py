"""The leakage card of a benchmark, and the leaderboard of several."""

from vlsbench.auditing.card._card import CARD_JSON as CARD_JSON
from vlsbench.auditing.card._card import LEADERBOARD_JSON as LEADERBOARD_JSON
from vlsbench.auditing.card._card import Card as Card
from vlsbench.auditing.card._card import CategoryLeak as CategoryLeak
from vlsbench.auditing.card._card import Dropped as Dropped
from vlsbench.auditing.card._card import Leaderboard as Leaderboard
from vlsbench.auditing.card._card import LeaderboardRow as LeaderboardRow
from vlsbench.auditing.card._card import LeakingPair as LeakingPair
from vlsbench.auditing.card._card import Mark as Mark
from vlsbench.auditing.card._card import Measure as Measure
from vlsbench.auditing.card._card import read_card as read_card
from vlsbench.auditing.card._card import read_leaderboard as read_leaderboard
from vlsbench.auditing.card._drop import DROP as DROP
from vlsbench.auditing.card._drop import DropList as DropList
from vlsbench.auditing.card._drop import Score as Score
from vlsbench.auditing.card._drop import leak_score as leak_score
from vlsbench.auditing.card._make import caveats as caveats
from vlsbench.auditing.card._make import make_card as make_card
from vlsbench.auditing.card._make import make_leaderboard as make_leaderboard
from vlsbench.auditing.card._page import SCALE as SCALE
from vlsbench.auditing.card._page import bits as bits
from vlsbench.auditing.card._page import finding as finding
from vlsbench.auditing.card._page import leaderboard_markdown as leaderboard_markdown
from vlsbench.auditing.card._page import share as share
from vlsbench.auditing.card._page import write_card as write_card
from vlsbench.auditing.card._page import write_leaderboard as write_leaderboard
