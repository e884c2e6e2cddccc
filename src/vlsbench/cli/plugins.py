"""List what is registered: benchmarks, models, judges and more, with where each comes from."""

from __future__ import annotations

from rich.console import Console

from vlsbench.cli._config import AsJson, Plugin
from vlsbench.cli._print import Listing, print_json, prose, say


def plugins(plugin: Plugin = None, as_json: AsJson = False) -> None:
    """List what is registered: benchmarks, models, judges and more, with where each comes from.

    Installed packages announce a module through the entry-point group `vlsbench`; `--plugin
    FILE.py|MODULE` loads one by hand.

    **Examples**

    - `vlsbench plugins`

    - `vlsbench plugins --plugin parrot.py --json`

    Exit codes: 0 done, 1 something must be changed, 2 wrong usage.
    """
    from vlsbench import registry

    for one in plugin or ():
        registry.load_plugin(one)
    rows = [
        {
            "kind": str(entry.kind),
            "name": entry.name,
            "origin": entry.origin,
            "summary": str(entry.declaration.get("title") or entry.summary),
            "simulated": entry.simulated,
        }
        for entry in registry.entries()
    ]
    if as_json:
        print_json({"entries": rows, "broken": registry.broken()})
        return
    shown = ("kind", "name", "origin", "summary")
    table = Listing(shown)
    for row in rows:
        table.line(*(row[name] for name in shown))
    Console().print(table)
    say(*registry.broken().values(), style="red", console=prose(stderr=False))
