"""Build: from risk sub-categories or images to verified, leak-free pairs.

The stages are in `_writing.py`, `_drawing.py` and `_filters.py`, the barriers in `barriers.py`;
`_run.py` puts them together. docs/build.md has the map.
"""

from vlsbench.building._build import Build as Build
from vlsbench.building._build import BuildConfig as BuildConfig
from vlsbench.building._build import build as build
from vlsbench.building._content import forbidden_category as forbidden_category
from vlsbench.building._content import forbidden_text as forbidden_text
from vlsbench.building._estimate import BuildEstimate as BuildEstimate
from vlsbench.building._estimate import estimate_build as estimate_build
from vlsbench.building._files import BUILD_SCHEMA as BUILD_SCHEMA
from vlsbench.building._files import SUMMARY as SUMMARY
from vlsbench.building._files import BuildSummary as BuildSummary
from vlsbench.building._files import read_build as read_build
from vlsbench.building._items import Item as Item
from vlsbench.building._items import Step as Step
from vlsbench.building._items import drop as drop
from vlsbench.building._items import keep as keep
from vlsbench.building._items import quarantine as quarantine
from vlsbench.building._recipe import SHIPPED as SHIPPED
from vlsbench.building._recipe import Contamination as Contamination
from vlsbench.building._recipe import NearDuplicates as NearDuplicates
from vlsbench.building._recipe import Quota as Quota
from vlsbench.building._recipe import Recipe as Recipe
from vlsbench.building._recipe import read_recipe as read_recipe
from vlsbench.building._run import STAGES as STAGES
from vlsbench.building._run import VIEW as VIEW
from vlsbench.building._run import BuildPlan as BuildPlan
from vlsbench.building._run import stages_of as stages_of
from vlsbench.building.barriers import contaminated as contaminated
from vlsbench.building.barriers import near_duplicates as near_duplicates
from vlsbench.building.barriers import over_quota as over_quota
from vlsbench.building.roles import RULES as RULES
from vlsbench.registry import stage

for shipped in STAGES:
    stage(shipped.name)(shipped)
