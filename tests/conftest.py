"""For all tests: one thread a process (xdist gives every core one), and a headless Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import strategies
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

# Read when torch and tokenizers are imported, so set before any test file imports them.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

TORCH = (
    "aligning/",
    "auditing/test_card_truth",
    "auditing/test_overlap",
    "building/test_build_diffusers",
    "cli/test_audit_cli",
    "cli/test_audit_embedder",
    "compat/test_v0_1_made",
    "embed/test_embed",
    "lab/test_vlm",
    "models/test_hf",
    "releasing/test_beside",
    "test_examples",
    "test_objects",
    "test_plugin_package",
)
"""Tests that need torch, or another process that imports it: left out of `make check`."""
HERE = Path(__file__).parent


@pytest.fixture(scope="session", autouse=True)
def characters() -> None:
    """Have Hypothesis make its table of characters, once a folder and in more than a second.

    The first test to draw a text would be refused as slow.
    """
    strategies.text().validate()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(HERE).as_posix().startswith(TORCH):
            item.add_marker("torch")


@pytest.fixture(scope="session")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        missing = "Chromium or its driver is missing (Debian: chromium, chromium-driver)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    options = Options()
    options.binary_location = binary
    profile = tmp_path_factory.mktemp("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chromium = webdriver.Chrome(options, Service(driver))
    yield chromium
    chromium.quit()


@pytest.fixture
def browser(_chromium: webdriver.Chrome) -> webdriver.Chrome:
    """A browser at desk size, in light mode, with empty logs."""
    _chromium.get("about:blank")
    _chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    _chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    _chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    _chromium.set_window_size(1200, 900)
    _chromium.get_log("browser")
    _chromium.get_log("performance")
    return _chromium
