"""A review behind its web pages, and a headless Chromium to look at them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra review")

from fastapi.testclient import TestClient
from review_examples import begin
from review_visitor import HOME, PORT, Visitor
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from vlsbench.reviewing import Person, Review, invite
from vlsbench.reviewing._app import make_app


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


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        missing = "Chromium or its driver is missing (Debian: chromium, chromium-driver)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    options = Options()
    options.binary_location = binary
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chromium = webdriver.Chrome(options, Service(driver))
    yield chromium
    chromium.quit()
