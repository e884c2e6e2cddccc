"""`vlsbench plugins`: what is registered, and by whom."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from vlsbench.cli._config import AsJson
from vlsbench.text import terminal

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
        typer.echo(json.dumps({"entries": rows, "broken": dict(broken)}, ensure_ascii=False))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("kind", "name", "origin", "summary"):
        table.add_column(name, overflow="fold")
    for entry in found:
        table.add_row(*map(terminal, (str(entry.kind), entry.name, entry.origin, _summary(entry))))
    console = Console()
    console.print(table)
    for why in broken.values():
        console.print(terminal(why), style="red", highlight=False, soft_wrap=True)


def _summary(entry: Entry) -> str:
    return str(entry.declaration.get("title") or entry.summary)
