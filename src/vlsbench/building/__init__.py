"""Build: from risk sub-categories or images to verified, leak-free pairs.

One short file for each stage (`_elements.py`, `_draft.py`, …) and barrier; `_run.py` puts them
together. docs/build.md has the map.
"""

from vlsbench.building._build import (
    BUILDS,
    Build,
    ModelCheck,
    build,
    check_models,
    plan_build,
    prices_of,
)
from vlsbench.building._config import BuildConfig
from vlsbench.building._contamination import contaminated
from vlsbench.building._content import forbidden_category, forbidden_text
from vlsbench.building._detoxify import DetoxifyStage
from vlsbench.building._draft import DraftStage
from vlsbench.building._draw import DrawStage
from vlsbench.building._elements import ElementsStage
from vlsbench.building._estimate import BuildEstimate, StageEstimate, estimate_build
from vlsbench.building._files import METADATA, PAIRS, released, write_pairs
from vlsbench.building._final_filter import FinalFilterStage, TwinFilterStage
from vlsbench.building._items import Item, Step, drop, keep, quarantine
from vlsbench.building._leak_filter import LeakFilterStage
from vlsbench.building._near_duplicates import near_duplicates
from vlsbench.building._perceive import Found, PerceiveStage
from vlsbench.building._provenance import FILE as PROVENANCE
from vlsbench.building._provenance import provenance, write_provenance
from vlsbench.building._quota import over_quota
from vlsbench.building._read import SHIPPED, placeholders, read_recipe
from vlsbench.building._recipe import ROLES, Recipe
from vlsbench.building._run import VIEW, BuildPlan, execute, stages_of
from vlsbench.building._scorer import Scorer
from vlsbench.building._sources import find_images
from vlsbench.building._summary import SUMMARY, BuildSummary, StageCount, read_build, summarise
from vlsbench.building._twins import TwinStage
from vlsbench.registry import stage

__all__ = [
    "BUILDS",
    "METADATA",
    "PAIRS",
    "PROVENANCE",
    "ROLES",
    "SHIPPED",
    "SUMMARY",
    "VIEW",
    "Build",
    "BuildConfig",
    "BuildEstimate",
    "BuildPlan",
    "BuildSummary",
    "Found",
    "Item",
    "ModelCheck",
    "Recipe",
    "Scorer",
    "StageCount",
    "StageEstimate",
    "Step",
    "build",
    "check_models",
    "contaminated",
    "drop",
    "estimate_build",
    "execute",
    "find_images",
    "forbidden_category",
    "forbidden_text",
    "keep",
    "near_duplicates",
    "over_quota",
    "placeholders",
    "plan_build",
    "prices_of",
    "provenance",
    "quarantine",
    "read_build",
    "read_recipe",
    "released",
    "stages_of",
    "summarise",
    "write_pairs",
    "write_provenance",
]

for _shipped, _section in (
    (ElementsStage, "elements"),
    (DraftStage, "elements"),
    (PerceiveStage, "perceive"),
    (DetoxifyStage, "detoxify"),
    (LeakFilterStage, "leak_filter"),
    (DrawStage, "draw"),
    (FinalFilterStage, "final_filter"),
    (TwinStage, "twins"),
    (TwinFilterStage, "twins"),
):
    stage(_shipped.name, section=_section)(_shipped)
