"""What a run's models were asked, what it cost, and what their servers called them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan, nan

import numpy as np

from vlsbench.engine import Ledger
from vlsbench.models import BATCHED


@dataclass(frozen=True, slots=True)
class Spend:
    """What one role's model was asked and what it cost."""

    role: str
    """`target` or `judge`."""
    model: str
    calls: int
    """Recorded calls that this run asked for itself."""
    reused: int
    """Recorded calls taken over from other runs, paid there."""
    requests: int
    """HTTP requests, retries included."""
    input_tokens: int
    output_tokens: int
    cost: float | None
    """US dollars by the dated price table; None where the price is unknown."""
    latency_p50_s: float | None
    latency_p95_s: float | None
    served: Mapping[str, int] = field(default_factory=dict)
    """What the server called the model → calls, reused ones too; unnamed ones are left out."""

    @property
    def counted(self) -> bool:
        """Whether the server said how many tokens it counted, where it was asked at all."""
        return not self.calls or self.input_tokens + self.output_tokens > 0

    def served_otherwise(self) -> str:
        """Say that another model was served than asked for, or several; else nothing."""
        asked = self.model.partition("@")[0]
        named = ", ".join(f"{name} ({calls:,})" for name, calls in self.served.items())
        if len(self.served) > 1:
            return (
                f"The server of {self.role} {self.model} named several models within the run "
                f"(calls): {named}."
            )
        if any(name != asked and not asked.endswith(f"/{name}") for name in self.served):
            return f"{self.model} as {self.role} was served as {named.rpartition(' ')[0]}."
        return ""


def spend_by_role(ledger: Ledger) -> tuple[tuple[Spend, ...], set[str]]:
    """Count what was asked and paid, one walk over the calls.

    Returns:
        A row for each role and model, and the names that the servers gave of themselves,
        or else those by which they were asked.
    """
    served_by: set[str] = set()
    reused: Counter[tuple[str, str]] = Counter()
    paid: dict[tuple[str, str], array[float]] = {}
    named: dict[tuple[str, str], Counter[str]] = {}
    for call in ledger.calls():
        reply, key = call.reply, (call.role, call.model)
        served_by.add(reply.served_by or call.model)
        numbers = paid.setdefault(key, array("d"))
        names = named.setdefault(key, Counter())
        names[reply.served_by] += bool(reply.served_by)
        reused[key] += bool(call.reused_from)
        if not call.reused_from:
            tokens = reply.usage.input_tokens or 0, reply.usage.output_tokens or 0
            # How long a batch took says nothing of its requests.
            latency = nan if BATCHED in reply.extra else reply.latency_s
            cost = nan if call.cost is None else call.cost
            numbers.extend((reply.attempts, *tokens, cost, latency))
    rows = []
    for key, numbers in sorted(paid.items(), key=lambda item: (item[0][0] != "target", item[0])):
        requests, tokens_in, tokens_out, costs, latencies = np.array(numbers).reshape(-1, 5).T
        timed = latencies[~np.isnan(latencies)]
        p50, p95 = map(float, np.quantile(timed, (0.5, 0.95))) if len(timed) else (None, None)
        total = float(costs.sum())
        rows.append(
            Spend(
                *key,
                calls=len(costs),
                reused=reused[key],
                requests=int(requests.sum()),
                input_tokens=int(tokens_in.sum()),
                output_tokens=int(tokens_out.sum()),
                cost=None if isnan(total) else total,
                latency_p50_s=p50,
                latency_p95_s=p95,
                served=dict((+named[key]).most_common()),
            )
        )
    return tuple(rows), served_by
