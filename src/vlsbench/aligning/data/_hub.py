"""Any data set of the Hub whose files hold rows of the generic form: `hub:OWNER/NAME`."""

from __future__ import annotations

import re

from vlsbench.aligning.data import _generic
from vlsbench.aligning.data._rows import TrainingSet
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Home, card_licence, home_folder

HUB = "hub:"
FREE = re.compile(
    r"apache-2\.0|mit|bsd(-.+)?|cc0-1\.0|cc-by(-sa)?-[1-4]\.0|odc-by|odbl|pddl|unlicense"
    r"|cdla-(permissive|sharing)-.+"
)
"""Licences, as the Hub names them, that let anyone train on a set for any purpose."""
NONE_STATED = "none stated"
_SPEC = re.compile(
    r"(?P<hub>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w.-]*))?(:(?P<split>\w[\w.-]*))?", re.ASCII
)
_FILES = ("*.jsonl", "*.parquet", "*.png", "*.jpg", "*.jpeg", "*.webp", "README.md")


def of_the_hub(spec: str) -> TrainingSet:
    """Describe a data set of the Hub, its licence as its card states it. Fetches nothing else.

    Args:
        spec: `hub:OWNER/NAME`, `hub:OWNER/NAME:SPLIT`, `hub:OWNER/NAME@REVISION:SPLIT`.

    Raises:
        VlsbenchError: It is of no such form, or the Hub does not know it.
    """
    found = _SPEC.fullmatch(spec.removeprefix(HUB))
    if found is None:
        raise VlsbenchError(f"{spec!r} is not hub:OWNER/NAME, with @REVISION or :SPLIT behind it")
    hub, split = found["hub"], found["split"] or _generic.TRAIN
    home = Home(hub=hub, revision=found["revision"] or "", files=_FILES)
    name = f"hub/{hub}"
    licence = card_licence(home, home_folder(name))
    return TrainingSet(
        name=name,
        title=hub,
        paper="",
        licence=licence or NONE_STATED,
        free=FREE.fullmatch(licence.lower()) is not None,
        home=home,
        layout=f"JSONL or Parquet files of the split {split!r}, in TRL's conversational format",
        # Whether its rows suit the method is seen row by row.
        serves=("sft", "preference", "unlearning", "prompts"),
        read=lambda root, form: _generic.read_folder(root, split),
    )
