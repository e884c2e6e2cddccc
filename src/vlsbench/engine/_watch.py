"""How a run stands, read from its ledger while another process writes it."""

from __future__ import annotations

import time
from functools import partial

from vlsbench.engine._batch_rows import describe, read_batches
from vlsbench.engine._context import Tally
from vlsbench.engine._ledger import Ledger
from vlsbench.engine._session import progress_bar

LOOK_S = 2.0
"""Seconds between two looks."""
UNSCORED = """SELECT coalesce(json_extract(value, '$.reason'), reason), count(*) FROM outcomes
WHERE kind = 'quarantine' OR json_extract(value, '$.label') = 'unscored'
OR json_type(value, '$.harmful') = 'null' GROUP BY 1 ORDER BY 2 DESC"""


def watch_run(ledger: Ledger) -> str:
    """Show the progress of a run that another process writes; return its state when it ends."""
    tally = Tally(what="records")
    _look(ledger, tally)
    tally.earlier = tally.calls
    with progress_bar(tally):
        while (state := state_of(ledger)) == "running":
            began = time.monotonic()
            _look(ledger, tally)
            # A record of millions takes its time to read.
            time.sleep(max(LOOK_S, 5 * (time.monotonic() - began)))
        _look(ledger, tally)
    return state


def state_of(ledger: Ledger) -> str:
    """Return `running`, `finished`, `stopped`, or `killed`: not over, and nobody writes it."""
    if ledger.is_written():
        return "running"
    last = ledger.rows(
        "SELECT kind FROM events WHERE kind IN ('started', 'stopped', 'finished') "
        "ORDER BY rowid DESC LIMIT 1"
    )
    return str(last[0][0]) if last and last[0][0] != "started" else "killed"


def _look(ledger: Ledger, tally: Tally) -> None:
    calls, tally.reused, priced, tally.cost, tally.done = ledger.rows(
        "SELECT count(*), count(reused_from), count(cost), total(cost), "
        "(SELECT count(*) FROM outcomes) FROM calls"
    )[0]
    tally.calls, tally.cost_known = calls - tally.reused, priced == calls
    tally.total = max(ledger.expected(), tally.done)
    reasons = ledger.rows(UNSCORED)
    tally.outcomes["unscored"] = sum(count for _, count in reasons)
    tally.note = ", ".join(f"{count:,} {reason}" for reason, count in reasons)
    tally.batches = partial(str, describe(read_batches(ledger)))
