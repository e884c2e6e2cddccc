"""How a run stands, read from its ledger while another process writes it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from vlsbench.engine._batch_rows import OVER, BatchRow, read_batches
from vlsbench.engine._ledger import Ledger

RECENT_S = 60.0
"""The rate is that of so many seconds."""
RECENT_ROWS = 5_000
"""Or of so many rows, where more came in that time."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One look at a run."""

    ended: int
    expected: int
    """0 where the job does not say."""
    calls: int
    reused: int
    """Of them, answered by other runs."""
    cost: float
    """US dollars, of the calls whose cost is known."""
    cost_unknown: int
    """Calls whose cost is not."""
    calls_per_s: float
    """Over the last minute."""
    seconds_left: float | None
    """By how many records ended in the last minute; None where none did."""
    unscored: dict[str, int]
    """Reason → records, the commonest first."""
    batches: tuple[BatchRow, ...]
    """Those that are not merged yet."""
    state: str
    """The latest event of the whole run: started, stopped, finished."""
    still_s: float
    """Seconds since anything was recorded."""


class Watch:
    """Looks at a run again and again; each look reads what is new alone."""

    def __init__(self, ledger: Ledger) -> None:
        """Take a ledger, open for reading."""
        self._ledger = ledger
        self._last = 0
        self._calls = self._reused = self._cost_unknown = 0
        self._cost = 0.0

    def look(self) -> Standing:
        """Return how the run stands now."""
        ledger, now = self._ledger, time.time()
        calls, reused, priced, cost, last = ledger.rows(
            "SELECT count(*), count(reused_from), count(cost), total(cost), max(rowid) FROM calls "
            "WHERE rowid > ?",
            self._last,
        )[0]
        self._last = last or self._last
        self._calls += calls
        self._reused += reused
        self._cost += cost
        self._cost_unknown += calls - priced
        called, done = (self._rate(table, now) for table in ("calls", "outcomes"))
        ended, expected = len(ledger.ended()), ledger.expected()
        states = ledger.rows(
            "SELECT kind FROM events WHERE kind IN ('started', 'stopped', 'finished') "
            "ORDER BY rowid DESC LIMIT 1"
        )
        latest = ledger.rows(
            "SELECT max((SELECT at FROM calls ORDER BY rowid DESC LIMIT 1), "
            "(SELECT at FROM events ORDER BY rowid DESC LIMIT 1))"
        )[0][0]
        return Standing(
            ended=ended,
            expected=expected,
            calls=self._calls,
            reused=self._reused,
            cost=self._cost,
            cost_unknown=self._cost_unknown,
            calls_per_s=called,
            seconds_left=max(0, expected - ended) / done if done and expected else None,
            unscored=self._unscored(),
            batches=tuple(row for row in read_batches(ledger) if row.state not in OVER),
            state=states[0][0] if states else "being made",
            still_s=max(0.0, now - latest) if latest else 0.0,
        )

    def _rate(self, table: str, now: float) -> float:
        """Return how many rows a second came lately."""
        count, since = self._ledger.rows(
            f"SELECT count(*), min(at) FROM {table} WHERE at > ? AND rowid > "
            f"(SELECT max(rowid) FROM {table}) - ?",
            now - RECENT_S,
            RECENT_ROWS,
        )[0]
        return count / max(now - since, 1.0) if count else 0.0

    def _unscored(self) -> dict[str, int]:
        """Count reasons: of records that a stage set aside, and of verdicts without a label."""
        found: Counter[str] = Counter()
        rows = self._ledger.rows(
            "SELECT reason, json_extract(value, '$.reason'), count(*) FROM outcomes WHERE kind = "
            "'quarantine' OR json_extract(value, '$.label') = 'unscored' "
            "OR json_type(value, '$.harmful') = 'null' GROUP BY 1, 2"
        )
        for reason, told, count in rows:
            found[str(told or reason or "unknown")] += count
        return dict(found.most_common())
