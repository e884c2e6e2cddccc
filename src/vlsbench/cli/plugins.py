"""`vlsbench plugins`: what is registered, and by whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from vlsbench.cli._config import AsJson
from vlsbench.cli._print import Listing, print_json, say

if TYPE_CHECKING:
    from vlsbench.registry import Entry


def plugins(as_json: AsJson = False) -> None:
    """List what is registered: benchmarks, models, judges and more, with where each comes from.

    Installed packages announce a module through the entry-point group `vlsbench`; `--plugin
    FILE.py|MODULE` loads one by hand.

    **Examples**

    - `vlsbench plugins`

    - `vlsbench --plugin parrot.py plugins --json`

    Exit codes: 0 done, 1 something must be changed, 2 wrong usage.
    """
    from vlsbench import registry

    found, broken = registry.entries(), registry.broken()
    if as_json:
        rows = [
            {
                "kind": str(entry.kind),
                "name": entry.name,
                "origin": entry.origin,
                "summary": _summary(entry),
                "simulated": entry.simulated,
            }
            for entry in found
        ]
        print_json({"entries": rows, "broken": dict(broken)})
        return
    table = Listing(("kind", "name", "origin", "summary"))
    for entry in found:
        table.line(entry.kind, entry.name, entry.origin, _summary(entry))
    Console().print(table)
    say(*broken.values(), style="red", console=Console(soft_wrap=True))


def _summary(entry: Entry) -> str:
    return str(entry.declaration.get("title") or entry.summary)
