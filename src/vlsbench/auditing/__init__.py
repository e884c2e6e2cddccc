"""Audit: how much of the picture's risk does the text already tell?"""

from vlsbench.auditing._behaviour import behaviour
from vlsbench.auditing._behaviour_types import (
    Behaviour,
    CategoryBehaviour,
    Difference,
    NotRun,
    ViewChange,
    ViewFigures,
    ViewRun,
)
from vlsbench.auditing._calibration import Calibration, load_calibration, shipped
from vlsbench.auditing._captions import CAPTION, caption, captions
from vlsbench.auditing._card import (
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
from vlsbench.auditing._card_types import (
    Card,
    CategoryLeak,
    Dropped,
    League,
    LeagueRow,
    LeakingPair,
    Mark,
    Measure,
)
from vlsbench.auditing._contents import content_of
from vlsbench.auditing._drop import DROP, DropList, Score, leak_score, read_drop, without
from vlsbench.auditing._embed import (
    CachedEmbedder,
    Embedder,
    MiniLM,
    default_cache,
    open_embedder,
)
from vlsbench.auditing._embed_clip import Clip
from vlsbench.auditing._embed_http import HttpEmbedder
from vlsbench.auditing._harm_judge import Material, PromptedHarmJudge
from vlsbench.auditing._judged import JUDGED, JUDGED_PAIRS, judged
from vlsbench.auditing._judged_run import JudgedPlan
from vlsbench.auditing._judged_types import (
    PATTERNS,
    ControlFigures,
    Corrected,
    Finding,
    Judged,
    JudgedGroup,
    JudgedPair,
    Part,
    PartFigures,
)
from vlsbench.auditing._naming import Naming
from vlsbench.auditing._ocr import TEXT, read_texts, require_tesseract, texts
from vlsbench.auditing._overlap import overlap, telling_words
from vlsbench.auditing._overlap_types import (
    Channel,
    ChannelFigures,
    ContentKind,
    Estimate,
    OverlapGroup,
    OverlapPair,
    OverlapSummary,
    Reading,
    TellingWord,
)

__all__ = [
    "CAPTION",
    "CARD_JSON",
    "DROP",
    "JUDGED",
    "JUDGED_PAIRS",
    "LEAGUE_JSON",
    "PATTERNS",
    "TEXT",
    "Behaviour",
    "CachedEmbedder",
    "Calibration",
    "Card",
    "CategoryBehaviour",
    "CategoryLeak",
    "Channel",
    "ChannelFigures",
    "Clip",
    "ContentKind",
    "ControlFigures",
    "Corrected",
    "Difference",
    "DropList",
    "Dropped",
    "Embedder",
    "Estimate",
    "Finding",
    "HttpEmbedder",
    "Judged",
    "JudgedGroup",
    "JudgedPair",
    "JudgedPlan",
    "League",
    "LeagueRow",
    "LeakingPair",
    "Mark",
    "Material",
    "Measure",
    "MiniLM",
    "Naming",
    "NotRun",
    "OverlapGroup",
    "OverlapPair",
    "OverlapSummary",
    "Part",
    "PartFigures",
    "PromptedHarmJudge",
    "Reading",
    "Score",
    "TellingWord",
    "ViewChange",
    "ViewFigures",
    "ViewRun",
    "behaviour",
    "caption",
    "captions",
    "caveats",
    "content_of",
    "default_cache",
    "judged",
    "leak_score",
    "load_calibration",
    "make_card",
    "make_league",
    "open_embedder",
    "overlap",
    "read_card",
    "read_drop",
    "read_judged",
    "read_judged_pairs",
    "read_league",
    "read_texts",
    "require_tesseract",
    "shipped",
    "telling_words",
    "texts",
    "without",
]
