from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vlsbench.errors import VlsbenchError
from vlsbench.reviewing import FILE, Answer, Question, Row, Said, Store, StoreError


def _row(person: str = "ann", pair: str = "toast-1", said: Said = Said()) -> Row:  # noqa: B008
    return Row(person, "reviewer", pair, "digest", "query", said)


def test_rows_come_back_in_order_after_another_opening(tmp_path: Path) -> None:
    with Store.write(tmp_path) as store:
        said = Said({Question.MATCHED: Answer.YES}, comment="crumbs \ud800 é")
        store.add(_row(said=said))
        store.add(_row("ben"), _row("ann", "toast-2"))
    with Store.read(tmp_path) as store:
        rows = store.rows()
        assert [row.number for row in rows] == [1, 2, 3]
        assert rows[0].said == said
        assert [row.pair for row in store.rows("ann")] == ["toast-1", "toast-2"]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE verdicts SET person = 'eve'",
        "DELETE FROM verdicts",
        "INSERT OR REPLACE INTO verdicts SELECT 1, at, 'eve', role, pair, shown, step, said, "
        "undoes FROM verdicts",
        "UPDATE review SET value = 'other'",
        "DELETE FROM review",
        "INSERT OR REPLACE INTO review VALUES ('bench', 'other')",
    ],
)
def test_no_statement_changes_what_is_recorded(tmp_path: Path, sql: str) -> None:
    with Store.write(tmp_path) as store:
        store.set(bench="toast")
        store.add(_row())
        with sqlite3.connect(tmp_path / FILE) as other, pytest.raises(sqlite3.IntegrityError):
            other.execute(sql)
        assert [row.person for row in store.rows()] == ["ann"]
        assert store.get("bench") == "toast"


def test_rows_are_added_all_or_none(tmp_path: Path) -> None:
    with Store.write(tmp_path) as store:
        with pytest.raises(StoreError, match="is safe"):
            store.add(_row(), Row("ann", None, "p", "d", "query", Said()))  # type: ignore[arg-type]
        assert store.rows() == []
        store.add(_row())
        assert len(store.rows()) == 1


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    with Store.write(tmp_path) as one, Store.write(tmp_path) as other:
        with ThreadPoolExecutor(4) as threads:
            adding = [
                threads.submit((one, other)[n % 2].add, _row("ann", f"toast-{n}"))
                for n in range(60)
            ]
            for done in adding:
                done.result()
        assert {row.pair for row in one.rows()} == {f"toast-{n}" for n in range(60)}


def test_writing_is_synchronous_and_journaled(tmp_path: Path) -> None:
    with Store.write(tmp_path) as store:
        assert store._file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._file.execute("PRAGMA synchronous").fetchone() == (2,)


def test_no_review_and_no_database_say_so(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match="no review found"):
        Store.read(tmp_path)
    (tmp_path / FILE).write_bytes(b"toast" * 1000)
    with pytest.raises(StoreError, match="cannot open"):
        Store.write(tmp_path)


def test_another_version_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as file:
        file.execute("CREATE TABLE review (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        file.execute("INSERT INTO review VALUES ('schema', '99')")
    with pytest.raises(VlsbenchError, match="another version"):
        Store.write(tmp_path)
