"""`vlsbench bench`: which benchmarks there are, what they hold, and how to get them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from vlsbench.cli._config import AsJson
from vlsbench.cli._print import print_json, say
from vlsbench.pairs import (
    Description,
    PairSet,
    Source,
    describe,
    fetch,
    find_source,
    list_sources,
    load,
    parse_columns,
)
from vlsbench.text import terminal

app = typer.Typer(help="List, show and fetch benchmarks.", no_args_is_help=True)

BAD_ROWS_SHOWN = 20


@app.command("list")
def list_benchmarks(as_json: AsJson = False) -> None:
    """List the benchmarks that vlsbench reads.

    **Examples**

    - `vlsbench bench list`
    - `vlsbench bench list --json`
    """
    if as_json:
        print_json([_declared(source) for source in list_sources().values()], indent=1)
        return
    table = Table.grid(padding=(0, 2))
    for source in list_sources().values():
        paper = f"arXiv {source.paper} · " if source.paper else ""
        lines = [f"[bold]{terminal(source.size)}[/]", terminal(f"{paper}{source.licence}")]
        if source.variants:
            lines.append(f"variants: {', '.join(source.variants)}")
        table.add_row(f"[bold]{source.name}[/]", "\n".join(lines))
    Console().print(table)
    say("Give NAME or NAME:VARIANT; the first variant is what NAME alone stands for.", style="dim")


@app.command("show")
def show_benchmark(
    name: Annotated[str, typer.Argument(help="NAME, NAME:VARIANT, or the path of your own set.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder with the official layout (else: what was fetched).")
    ] = None,
    columns: Annotated[
        str, typer.Option(help="Columns of your own set, as FIELD=COLUMN,FIELD=COLUMN.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show what a benchmark holds: categories, images, query lengths, oddities.

    Rows that cannot be read are listed, and do not stop it.

    **Examples**

    - `vlsbench bench show vlsbench`
    - `vlsbench bench show figstep:tiny --data ~/FigStep`
    - `vlsbench bench show ./pairs.csv --columns query=prompt,image=photo`
    """
    opened = load(name, data=data, skip_bad=True, columns=parse_columns(columns))
    found = describe(opened)
    if as_json:
        declared = _declared(opened.source) if opened.source else None
        print_json({"source": declared, "root": str(opened.root), **asdict(found)}, indent=1)
    else:
        _print_description(opened, found)


@app.command("fetch")
def fetch_benchmark(
    name: Annotated[str, typer.Argument(help="Name of the benchmark; all its variants come.")],
    revision: Annotated[
        str | None, typer.Option(help="Commit, tag or branch (else: the pinned one).")
    ] = None,
    dest: Annotated[
        Path | None, typer.Option(help="Folder to fill (else: the cache, $VLSBENCH_HOME).")
    ] = None,
) -> None:
    """Fetch a benchmark from its home at a pinned revision, and check what came.

    A benchmark that asks you to accept terms needs `HF_TOKEN` in the environment.

    **Examples**

    - `vlsbench bench fetch vlsbench`
    - `vlsbench bench fetch figstep --dest ~/FigStep`
    """
    source, _ = find_source(name)
    home = (source.home.hub or source.home.github) if source.home else ""
    console = Console(stderr=True)
    console.print(terminal(f"{source.title}: {source.size}; licence: {source.licence}"))
    with console.status(f"fetching {home}"):
        folder = fetch(source, revision=revision, dest=dest)
    console.print(f"in {folder}", markup=False, soft_wrap=True)
    where = f" --data {folder}" if dest else ""
    console.print(f"next: vlsbench bench show {source.name}{where}", markup=False, soft_wrap=True)


def _declared(source: Source) -> dict[str, Any]:
    """Return the declaration of a source as plain JSON values."""
    return {
        "name": source.name,
        "title": source.title,
        "paper": f"https://arxiv.org/abs/{source.paper}",
        "licence": source.licence,
        "size": source.size,
        "rows": dict(source.rows),
        "variants": dict(source.variants),
        "layout": source.layout,
        "home": asdict(source.home) if source.home else None,
    }


def _print_description(opened: PairSet, found: Description) -> None:
    console = Console()
    if source := opened.source:
        console.print(f"[bold]{terminal(source.title)}[/] — {terminal(source.size)}")
        paper = f"arXiv {source.paper}" if source.paper else "no paper"
        console.print(terminal(f"{paper} · licence: {source.licence}"))
        if home := source.home:
            place = home.hub or f"github.com/{home.github}"
            revision = home.revision or home.commit or "pinned at the first fetch"
            say(f"{place} @ {revision}")
    console.print(
        f"{found.pairs:,} pairs ({found.harmful:,} harmful, {found.benign:,} benign), "
        f"{found.images:,} distinct images ({found.images_missing:,} missing), "
        f"{found.described:,} with a description"
    )
    least, q1, median, q3, most = found.query_chars
    console.print(
        f"query length in characters: {least} · {q1} · {median} · {q3} · {most} (quartiles)"
    )
    table = Table("category", "sub-category")
    table.add_column("pairs", justify="right")
    for category, counts in found.categories.items():
        table.add_row(terminal(category) or "—", "", f"{sum(counts.values()):,}", style="bold")
        for name, count in counts.items():
            if name:
                table.add_row("", terminal(name), f"{count:,}")
    console.print(table)
    say(*opened.columns.said(), style="yellow")
    for oddity in found.oddities:
        shown = f": {', '.join(oddity.examples)}" if oddity.examples else ""
        more = ", …" if len(oddity.examples) < oddity.count and oddity.examples else ""
        say(f"oddity: {oddity.count:,} {oddity.what}{shown}{more}")
    say(*(f"unreadable: {row}" for row in found.bad[:BAD_ROWS_SHOWN]), style="red")
    if (hidden := len(found.bad) - BAD_ROWS_SHOWN) > 0:
        console.print(f"unreadable: … and {hidden:,} more", style="red")
