"""The builder that the tests of this room share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.building.build_examples import Builder


@pytest.fixture
def lab_build(tmp_path: Path) -> Builder:
    return Builder(tmp_path)
