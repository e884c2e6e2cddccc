from __future__ import annotations

from pathlib import Path

import pytest

from tests.compat.earlier import Old, unpack


@pytest.fixture
def old(tmp_path: Path) -> Old:
    """What a test may change."""
    return unpack(tmp_path)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Old:
    """What is only looked at."""
    return unpack(tmp_path_factory.mktemp("v0_1"))
