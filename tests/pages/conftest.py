"""What the tests of pages share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Where a test writes its page."""
    return tmp_path / "report.html"
