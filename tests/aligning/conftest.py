from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the extra align")

from tests.aligning.align_examples import make_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny LLaVA with random weights."""
    return make_tiny(tmp_path_factory.mktemp("tiny"))
