"""What outsiders read about the version agrees with the package."""

from __future__ import annotations

from pathlib import Path

import vlsbench

ROOT = Path(__file__).resolve().parents[1]


def test_the_citation_and_the_changelog_name_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {vlsbench.__version__}\n" in citation
    assert f"\n## [{vlsbench.__version__}] - " in (ROOT / "CHANGELOG.md").read_text()
