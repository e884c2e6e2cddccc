"""Scores of other measures beside the rates, from a CSV that the user writes."""

from __future__ import annotations

from pathlib import Path

import pytest

import vlsbench
from vlsbench.comparing import Kind
from vlsbench.errors import VlsbenchError


def _csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "scores.csv"
    path.write_text(text, "utf-8")
    return path


def test_scores_stand_in_their_rows_and_in_the_papers_columns(runs: Path, tmp_path: Path) -> None:
    path = _csv(tmp_path, "row;MMMU;mme_cognition;POPE\nblind;36.44;355;86.5\ncareful;;300;\n")
    two = {"blind": runs / "leaky-blind", "careful": runs / "leaky-careful"}
    found = vlsbench.compare(two, ability=path, published="llava-v1.5-7b")
    abilities = [one for one in found.columns if one.kind is Kind.ABILITY]
    titles = ["MME perception", "MME cognition", "MMMU", "MMStar", "MMVet", "POPE"]
    assert [one.title for one in abilities] == titles
    blind, careful, *published = found.rows
    assert [blind.cells[key].score for key in ("mmmu", "mme_cognition", "POPE")] == [
        36.44,
        355,
        86.5,
    ]
    assert careful.cells["mme_cognition"].score == 300
    assert not {"mmmu", "POPE"} & careful.cells.keys()
    assert all(row.cells["mmmu"].score for row in published if "mmmu" in row.cells)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model,MMMU\nblind,36\n", "no column row"),
        ("row,MMMU\nblind,36\nnobody,12\n", "row 2: no row is named 'nobody'; choose blind"),
        ("row,MMMU\nblind,n/a\n", "row 1: MMMU is 'n/a'; write a number"),
        ("row,MMMU\nblind,inf\n", "row 1: MMMU is 'inf'; write a number"),
        ("row,MMMU\nblind,1,2\n", "row 1: "),
        ("", "no header line"),
    ],
)
def test_what_is_no_table_of_scores_is_one_line(
    runs: Path, tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(VlsbenchError, match=rf"scores\.csv.*{said}"):
        vlsbench.compare({"blind": runs / "leaky-blind"}, ability=_csv(tmp_path, text))
    with pytest.raises(VlsbenchError, match=r"none\.csv"):
        vlsbench.compare({"blind": runs / "leaky-blind"}, ability=tmp_path / "none.csv")
