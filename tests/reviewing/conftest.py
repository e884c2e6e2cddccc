"""A review behind its web pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra review")

from fastapi.testclient import TestClient

from tests.reviewing.review_examples import begin
from tests.reviewing.review_visitor import HOME, PORT, Visitor
from vlsbench.reviewing import Person, Review, invite
from vlsbench.reviewing.app import make_app


@pytest.fixture
def review(tmp_path: Path) -> Review:
    return begin(tmp_path / "review")


@pytest.fixture
def people() -> tuple[Person, ...]:
    return invite(["ann", "ben"], ["cleo"])


@pytest.fixture
def visit(review: Review, people: tuple[Person, ...]) -> Callable[[str], Visitor]:
    """Let a person in by the name, in a browser of their own."""
    app = make_app(review, people, PORT)
    by_name = {person.name: person for person in people}
    return lambda name: Visitor(TestClient(app, base_url=HOME), by_name[name])
