"""The site builds without a warning, holds every page, and asks no other host for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

LOADS = re.compile(
    r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"?(https?://[^\" >]+)|url\((https?://[^)]+)"
)


def build(config: Path, out: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("mkdocs")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "-f",
        str(config),
        "-d",
        str(out),
    ]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )


@pytest.mark.long
def test_the_site_is_whole_and_private(tmp_path: Path) -> None:
    done = build(ROOT / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")]
    for page in pages:
        folder = page.parent if page.name == "index.md" else page.with_suffix("")
        assert (tmp_path / "site" / folder / "index.html").is_file()
    for file in (tmp_path / "site").rglob("*"):
        if file.suffix in (".html", ".css"):
            assert not LOADS.findall(file.read_text("utf-8")), file
    reference = (tmp_path / "site" / "api" / "config" / "index.html").read_text("utf-8")
    assert "Stop before spending more than this many US dollars." in reference


@pytest.mark.long
def test_a_page_that_is_not_in_the_navigation_fails(tmp_path: Path) -> None:
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    (tmp_path / "docs").mkdir()
    for name in ("index.md", "stray.md"):
        (tmp_path / "docs" / name).write_text("# A page\n")
    short = (
        text[: text.index("\nplugins:")] + text[text.index("\nvalidation:") : text.index("\nnav:")]
    )
    (tmp_path / "mkdocs.yml").write_text(f"{short}\nnav:\n  - Home: index.md\n")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 1
    assert "stray.md" in done.stderr
