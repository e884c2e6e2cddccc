"""Audits of sets that share a name, or whose images change, keep apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import vlsbench
from vlsbench import lab
from vlsbench.auditing import AuditOutput
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import verify_run


def write_set(folder: Path, bench: str) -> Path:
    """Write a lab's benchmark as a custom dataset of a name that says nothing."""
    folder.mkdir(parents=True)
    rows = []
    for number, pair in enumerate(lab.benchmark(bench)):
        (folder / f"{number}.png").write_bytes(pair.images[0].read().data)
        rows.append({"id": pair.id, "query": pair.query, "image": f"{number}.png"})
    (folder / "my.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return folder / "my.jsonl"


def audit(file: Path, out: Path | None = None) -> vlsbench.auditing.Audit:
    return vlsbench.audit(
        file,
        measures=("judged",),
        judge="lab",
        controls=("lab/benign?n=10",),
        output=AuditOutput(out=out, progress=False),
    )


def test_two_sets_of_one_name_have_two_cards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    leaky, leakless = (
        write_set(tmp_path / name, f"lab/{name}?n=5") for name in ("leaky", "leakless")
    )
    first = audit(leaky)
    card = (first.folder / "card.json").read_text("utf-8")
    second = audit(leakless)
    assert second.folder != first.folder
    assert (first.folder / "card.json").read_text("utf-8") == card
    assert (audit(leaky).folder, audit(leakless).folder) == (first.folder, second.folder)
    with pytest.raises(VlsbenchError, match="holds the audit of another set; choose another --out"):
        audit(leakless, first.folder)


def test_other_images_are_not_answered_for(tmp_path: Path) -> None:
    file = write_set(tmp_path / "set", "lab/leaky?n=5")
    audit(file, tmp_path / "card")
    (run,) = (tmp_path / "card").glob("judged-*")
    assert verify_run(run).problems == ()
    (file.parent / "0.png").write_bytes((file.parent / "1.png").read_bytes())
    assert ["0.png is no longer" in problem for problem in verify_run(run).problems] == [True]
    with pytest.raises(VlsbenchError, match="differs in: content"):
        audit(file, tmp_path / "card")
