"""Build: from risk sub-categories or images to verified, leak-free pairs.

The stages are in `_writing.py`, `_drawing.py` and `_filters.py`, the barriers in `_barriers.py`;
`_run.py` puts them together. docs/build.md has the map.
"""

from vlsbench.building._barriers import contaminated, near_duplicates, over_quota
from vlsbench.building._build import Build, BuildConfig, build, check_models, plan_build
from vlsbench.building._content import forbidden_category, forbidden_text
from vlsbench.building._estimate import BuildEstimate
from vlsbench.building._files import SUMMARY, BuildSummary, read_build
from vlsbench.building._items import Item, Step, drop, keep, quarantine
from vlsbench.building._recipe import (
    SHIPPED,
    Contamination,
    NearDuplicates,
    Quota,
    Recipe,
    read_recipe,
)
from vlsbench.building._roles import RULES
from vlsbench.building._run import STAGES, VIEW, BuildPlan, stages_of
from vlsbench.registry import stage

__all__ = [
    "RULES",
    "SHIPPED",
    "STAGES",
    "SUMMARY",
    "VIEW",
    "Build",
    "BuildConfig",
    "BuildEstimate",
    "BuildPlan",
    "BuildSummary",
    "Contamination",
    "Item",
    "NearDuplicates",
    "Quota",
    "Recipe",
    "Step",
    "build",
    "check_models",
    "contaminated",
    "drop",
    "forbidden_category",
    "forbidden_text",
    "keep",
    "near_duplicates",
    "over_quota",
    "plan_build",
    "quarantine",
    "read_build",
    "read_recipe",
    "stages_of",
]

for shipped in STAGES:
    stage(shipped.name)(shipped)
