"""docs/benchmarks.md says of every source what its declaration says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from vlsbench.pairs import list_sources

ROOT = Path(__file__).parents[2]


def test_the_page_is_as_the_declarations_have_it() -> None:
    command = [sys.executable, "scripts/benchmarks_md.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs/benchmarks.md").read_text("utf-8")
    for source in list_sources().values():
        assert not source.home or f"\n### {source.name}\n" in page
