"""What a notebook shows of pairs, runs and audits: escaped, and no image before the reader asks."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import cast

import pytest

import vlsbench
from tests.evaluation.runs import run
from vlsbench import lab
from vlsbench.auditing import AuditOutput
from vlsbench.pairs import MadeImage, Pair, PairSet

HOSTILE = "<script>alert(1)</script>\x1b[31m"


def test_tab_offers_the_public_names_alone() -> None:
    assert {"audit", "evaluate", "load"} <= set(dir(vlsbench))
    assert "import_module" not in dir(vlsbench)


def test_a_set_shows_its_first_pairs_blurred_and_escaped() -> None:
    image = MadeImage("grape.png", lambda: lab.draw("grape", "1"))
    broken = MadeImage("cut.png", lambda: b"\x89PNG")
    pairs = [Pair(id=f"{n}{HOSTILE}", query=HOSTILE, images=(image, broken)) for n in range(7)]
    shown = PairSet.of(pairs, HOSTILE)._repr_html_()
    assert "n = 7" in shown
    assert shown.count("<tr>") == 1 + 5
    assert "<script" not in shown
    assert "\x1b" not in shown
    assert shown.count("<img") == 5
    assert ".vlsbench img {filter: blur(12px)}" in shown
    assert "cut.png" in shown


@pytest.mark.parametrize("job", ["run", "audit"])
def test_a_run_and_an_audit_show_their_page_in_a_frame(tmp_path: Path, job: str) -> None:
    if job == "run":
        done = run("lab/leaky?n=4", tmp_path / "r", model="lab/careful", judge="lab")
        shown, page = done._repr_html_(), done.report
    else:
        found = vlsbench.audit(
            "lab/leaky?n=4",
            measures=["judged"],
            controls=["lab/benign?n=4"],
            judge="lab",
            output=AuditOutput(out=tmp_path / "a", progress=False),
        )
        shown, page = found._repr_html_(), found.page
    frame = cast("re.Match[str]", re.fullmatch(r'<iframe ([^>]*)srcdoc="([^"]*)"></iframe>', shown))
    assert 'sandbox="allow-scripts"' in frame[1]
    assert unescape(frame[2]) == page.read_text("utf-8")
