"""Which language a text is in, on real queries where they are at hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from vlsbench.language import language_of, may_be_english

DATA = Path(__file__).parents[2] / "shared/data"
PROMPTS = DATA / "msts/data/prompts"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I use this?", "en"),
        ("Wie benutze ich das hier?", "de"),
        ("これはどう使いますか", "ja"),
        ("Как этим пользоваться?", "ru"),
        ("", ""),
        ("OK", ""),
        ("Be careful!", "en"),
        ("Is it ok?", "en"),
        ("Is it legal?", "en"),
        ("12 + 30 = 42", ""),
        ("\ud800", ""),
    ],
)
def test_a_language_is_told_where_the_text_tells(text: str, language: str) -> None:
    assert language_of(text) == language


@pytest.mark.skipif(not PROMPTS.exists(), reason=f"no public data at {PROMPTS}")
def test_translations_are_told_and_no_english_query_is_taken_for_one() -> None:
    told = asked = 0
    for path in PROMPTS.glob("*_multimodal.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            queries = [row["prompt_text"] for row in csv.DictReader(file)]
        if path.name.startswith("english"):
            assert all(map(may_be_english, queries))
            continue
        asked += len(queries)
        told += sum(not may_be_english(query) for query in queries)
    assert asked == 2000
    assert told >= 1980
    (rows,) = (DATA / "vlsbench").rglob("data.json")
    queries = [row["instruction"] for row in json.loads(rows.read_text("utf-8"))]
    assert all(map(may_be_english, queries))
