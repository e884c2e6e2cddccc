"""`vlsbench.review`: a review opened and served from Python."""

from __future__ import annotations

import os
import signal
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="needs the extra review")

import vlsbench
from tests.reviewing.review_examples import pair, pair_set
from vlsbench.errors import VlsbenchError
from vlsbench.reviewing import Person, Review


def test_a_review_is_served_until_it_is_stopped(tmp_path: Path) -> None:
    seen: list[str] = []

    def visit(address: str, people: Sequence[Person]) -> None:
        try:
            with urllib.request.urlopen(f"{address}/enter/{people[0].link}", timeout=20) as page:
                seen.append(page.read().decode())
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    def ready(address: str, review: Review, people: Sequence[Person]) -> None:
        assert [person.name for person in people][:2] == ["ann", "ben"]
        threading.Thread(target=visit, args=(address, people)).start()

    found = vlsbench.review(
        pair_set([pair(number) for number in range(3)]),
        reviewers=["ann", "ben"],
        out=tmp_path / "review",
        port=0,
        ready=ready,
    )
    assert "<html" in seen[0]
    assert (found.pairs, found.votes, found.open) == (3, 2, 3)


def test_a_setting_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match="unknown key reviewer; there are dataset, data"):
        vlsbench.review(pair_set([pair(0)]), reviewer=["ann"], out=tmp_path)
