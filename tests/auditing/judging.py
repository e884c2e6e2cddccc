"""Measure B as tests run it."""

from pathlib import Path
from typing import Any

import vlsbench
from tests.grouped import grouped
from vlsbench.auditing import AuditOutput
from vlsbench.auditing.judged.figures import Judged, JudgedGroup, PartFigures
from vlsbench.judge import Part

BENIGN = "lab/benign?n=30"


def run(bench: Any, out: Path, **options: Any) -> Judged:
    settings = {"judge": "lab", "controls": [BENIGN], **options}
    output = AuditOutput(out=out, progress=False, retry=settings.pop("retry", None))
    settings = grouped("sample", "budget", "connection", **settings)
    found = vlsbench.audit(bench, measures=["judged"], output=output, **settings).card.judged
    assert found
    return found


def record(out: Path) -> Path:
    """Return the folder of the judge's calls."""
    (folder,) = out.glob("judged-*")
    return folder


def part(group: JudgedGroup, wanted: Part) -> PartFigures:
    (found,) = [figures for figures in group.parts if figures.part is wanted]
    return found
