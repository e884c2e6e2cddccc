"""List, show, fetch and add benchmarks."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict, field, fields
from importlib.resources import files
from pathlib import Path
from shlex import quote
from string import Template
from typing import Annotated, Any

import typer
from rich.console import Console

from vlsbench import registry
from vlsbench.cli._config import AsJson, command
from vlsbench.cli._print import Listing, print_json, prose, say
from vlsbench.config import Data, option, settings, values_of
from vlsbench.errors import VlsbenchError
from vlsbench.exchange import ExportConfig
from vlsbench.files import output_folder, write_text
from vlsbench.pairs import (
    METRICS,
    Description,
    PairSet,
    Source,
    describe,
    fetch,
    find_source,
    list_sources,
    load,
)
from vlsbench.registry import Kind
from vlsbench.text import counted

app = typer.Typer(no_args_is_help=True)

BAD_ROWS_SHOWN = 20
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@settings()
class ShowConfig:
    """The settings of `vlsbench bench show`."""

    bench: str = option("NAME, NAME:VARIANT, or the path of a custom dataset.", argument=True)
    data: Data = field(default_factory=Data)
    figures: Path | None = option(
        "Draw the taxonomy and statistics into this folder (extra `figures`).",
        default=None,
        metavar="DIR",
    )


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
    table = Listing(("name", "holds", "arXiv", "licence", "variants"))
    for source in list_sources().values():
        variants = ", ".join(source.variants)
        table.line(source.name, source.size, source.paper or None, source.licence, variants)
    Console().print(table)
    say("Give NAME or NAME:VARIANT; the first variant is what NAME alone stands for.", style="dim")


@app.command("show")
@command(ShowConfig)
def show(config: ShowConfig, *, as_json: bool) -> None:
    """Show what a benchmark holds: categories, images, oddities.

    Rows that cannot be read are listed, and do not stop it.

    **Examples**

    - `vlsbench bench show vlsbench`
    - `vlsbench bench show figstep:tiny --data ~/FigStep`
    - `vlsbench bench show ./pairs.csv --columns query=prompt,image=photo`
    """
    try:
        opened = load(config.bench, **values_of(config.data), skip_bad=True)
    except VlsbenchError:
        if config.data == Data() and not as_json:
            # What is declared can be told without a file.
            with suppress(VlsbenchError):
                _print_source(find_source(config.bench)[0])
        raise
    found = describe(opened)
    if as_json:
        declared = _declared(opened.source) if opened.source else None
        print_json({"source": declared, "root": str(opened.root), **asdict(found)}, indent=1)
    else:
        _print_description(opened, found)
    if config.figures:
        from vlsbench.reporting import draw_taxonomy

        drawn = config.figures / "taxonomy"
        draw_taxonomy(found.categories, drawn, title=found.name, said=_statistics(found))
        files = f"Files: {config.figures}/ taxonomy.png, taxonomy.svg, taxonomy.pdf"
        say(files, console=prose(quiet=as_json))


@app.command("new")
def new_benchmark(
    name: Annotated[str, typer.Argument(help="What users will type for the benchmark.")],
    dest: Annotated[
        Path | None, typer.Option(help="Folder to write (else: one of that name here).")
    ] = None,
) -> None:
    """Write a plug-in with one source and a test of it, to start from.

    **Examples**

    - `vlsbench bench new kitchen-safety`
    - `vlsbench bench new kitchen-safety --dest ~/plugins/kitchen`
    """
    if not _NAME.fullmatch(name):
        raise VlsbenchError(
            f"{name!r} cannot be the name of a benchmark: lower-case letters, digits and single "
            "hyphens, such as kitchen-safety"
        )
    if taken := registry.find(Kind.SOURCE, name):
        raise VlsbenchError(f"{name} is a benchmark already ({taken.origin}): choose another name")
    folder, module = dest or Path(name), name.replace("-", "_")
    if folder.exists():
        raise VlsbenchError(f"{folder} is there already: give another --dest")
    output_folder(folder)
    plugin, test = folder / f"{module}.py", folder / f"test_{module}.py"
    for template, path in (("source.py.txt", plugin), ("test_source.py.txt", test)):
        text = files("vlsbench.pairs").joinpath("scaffold", template).read_text("utf-8")
        write_text(Template(text).substitute(name=name, module=module, function=module), path)
    say(
        f"{plugin}: the source; change what it declares and how a row becomes a pair",
        f"{test}: its test, on a set made by hand",
        f"Next: pytest {quote(str(test))}",
        f"      vlsbench bench show {name} --plugin {quote(str(plugin))} --data FOLDER",
        console=prose(stderr=False),
    )


@app.command("fetch")
def fetch_benchmark(
    name: Annotated[str, typer.Argument(help="Name of the benchmark; all its variants come.")],
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
    console = prose()
    say(f"{source.title}: {source.size}; licence: {source.licence}", console=console)
    with console.status(f"fetching {home}"):
        folder = fetch(source, dest=dest)
    where = f" --data {folder}" if dest else ""
    say(f"in {folder}", f"Next: vlsbench bench show {source.name}{where}", console=console)


@app.command("export")
@command(ExportConfig)
def export_benchmark(config: ExportConfig, *, as_json: bool) -> None:
    """Write a benchmark in the form of another program.

    **Examples**

    - `vlsbench bench export lab/leakless --format vlmevalkit --out lmudata`
    - `vlsbench bench export figstep --data ~/FigStep --format lmms-eval --out tasks`
    """
    from vlsbench.exchange import export

    settings = values_of(config)
    bench, data = settings.pop("bench"), settings.pop("data")
    skip_bad, sets = config.sample.skip_bad, settings.pop("controls")
    pairs = load(bench, **values_of(data), skip_bad=skip_bad, controls=sets)
    done = export(pairs, settings.pop("format"), settings.pop("out"), **settings)
    if as_json:
        print_json(done)
        return
    say(f"{counted(done.pairs, 'pair')} in {done.file}")
    say(*(f"left out: {row}" for row in done.left_out[:BAD_ROWS_SHOWN]), style="yellow")
    limit = config.sample.limit
    sample = f" --limit {limit} --seed {config.sample.seed}" if limit else ""
    then = f"vlsbench eval {pairs.arguments}{sample} --replies FILE --judge …"
    say("Next: run the program (docs/exchange.md),", f"      then {then}", style="dim")


def _declared(source: Source) -> dict[str, Any]:
    """Return the declaration of a source as plain JSON values."""
    told = {one.name: getattr(source, one.name) for one in fields(source)}
    del told["read"], told["content"]
    home = asdict(source.home) if source.home else None
    paper = f"https://arxiv.org/abs/{source.paper}"
    return {**told, "paper": paper, "variants": dict(source.variants), "home": home}


def _statistics(found: Description) -> str:
    return (
        f"{counted(found.pairs, 'pair')} ({found.harmful:,} harmful, {found.benign:,} benign), "
        f"{counted(found.images, 'distinct image')} ({found.images_missing:,} missing), "
        f"{found.described:,} with a description"
    )


def _print_source(source: Source) -> None:
    say(f"{source.title} — {source.size}", style="bold")
    paper = f"arXiv {source.paper}" if source.paper else "no paper"
    say(f"{paper} · licence: {source.licence}")
    if home := source.home:
        place = home.hub or f"github.com/{home.github}"
        say(f"{place} @ {home.revision or home.commit or 'pinned at the first fetch'}")
    if source.probes:
        say(f"probes {source.probes}", f"read by {METRICS.get(source.metric, source.metric)}")
    mark = ":" if source.needs_files else "/"
    say(*(f"{source.name}{mark}{name}: {about}" for name, about in source.variants.items()))
    if source.layout:
        say(f"--data DIR holds {source.layout}")
    if source.caution:
        say(f"caution: {source.caution}", style="yellow")


def _print_description(opened: PairSet, found: Description) -> None:
    if opened.source:
        _print_source(opened.source)
    say(_statistics(found))
    for column, counts in found.labels.items():
        said = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        say(f"{column.replace('_', ' ')}: {said}")
    table = Listing(("category", "sub-category"), ["pairs"])
    for category, counts in found.categories.items():
        table.line(category or None, "", sum(counts.values()), style="bold")
        for name, count in counts.items():
            if name:
                table.line("", name, count)
    Console().print(table)
    say(*opened.columns.said(), style="yellow")
    for oddity in found.oddities:
        shown = f": {', '.join(oddity.examples)}" if oddity.examples else ""
        more = ", …" if len(oddity.examples) < oddity.count and oddity.examples else ""
        say(f"oddity: {oddity.what} ({oddity.count:,}){shown}{more}")
    say(*(f"unreadable: {row}" for row in found.bad[:BAD_ROWS_SHOWN]), style="red")
    if (hidden := len(found.bad) - BAD_ROWS_SHOWN) > 0:
        say(f"unreadable: … and {hidden:,} more", style="red")
    bench = opened.arguments
    say(f"Next: vlsbench eval {bench} --model MODEL --judge JUDGE", f"      vlsbench audit {bench}")
