"""Say what will work here: extras, programs, keys, disk; of a model given, what it can do."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vlsbench.cli._config import AsJson
from vlsbench.cli._print import Listing, print_json
from vlsbench.errors import EXIT_ERROR, VlsbenchError
from vlsbench.evaluation import Finding, State
from vlsbench.files import cache_folder
from vlsbench.models import read_key

LEAST_FREE_GB = 5
FULL_GB = 0.05
"""Below it a run cannot be recorded."""
KEYS = {
    "OPENAI_API_KEY": "openai/…",
    "VLSBENCH_API_KEY": "NAME@http://…",
    "HF_TOKEN": "gated benchmarks and models of the Hub",
}
STYLES = {State.OK: "", State.LACKS: "yellow", State.FAILS: "red"}
_REQUIREMENT = re.compile(r"([\w.-]+)(\[[\w,-]+\])?.*extra == ['\"]([\w-]+)['\"]")


def doctor(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Models to ask three short, harmless questions.", metavar="MODEL"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what will work here: extras, programs, keys, disk; of a model given, what it can do.

    Three requests of a few words show whether a model answers, takes a temperature, counts tokens,
    sees an image and keeps to a JSON schema, and whether this machine's clock is right.

    **Examples**

    - `vlsbench doctor`

    - `vlsbench doctor openai/gpt-4o llava@http://localhost:8000/v1`

    Exit codes: 0 nothing fails, 1 something does, 2 wrong usage.
    """
    from vlsbench.engine import run_async
    from vlsbench.evaluation import check_model

    async def asked(spec: str) -> list[Finding]:
        return [finding async for finding in check_model(spec)]

    found = {"here": list(_here())}
    for spec in models or ():
        found[spec] = run_async(partial(asked, spec))
    if as_json:
        print_json({where: [asdict(one) for one in lines] for where, lines in found.items()})
    else:
        for where, lines in found.items():
            table = Listing(("what", "state", "found", "remedy"), title=where)
            for one in lines:
                table.line(one.what, one.state, one.found, one.remedy, style=STYLES[one.state])
            Console().print(table)
    if any(one.state is State.FAILS for lines in found.values() for one in lines):
        raise typer.Exit(EXIT_ERROR)


def _here() -> Iterator[Finding]:
    yield Finding("Python", State.OK, platform.python_version())
    for extra, missing in _extras().items():
        if missing:
            remedy = f"pip install 'vlsbench[{extra}]'"
            yield Finding(f"extra {extra}", State.LACKS, f"without {', '.join(missing)}", remedy)
        else:
            yield Finding(f"extra {extra}", State.OK, "installed")
    if there := shutil.which("tesseract"):
        yield Finding("tesseract", State.OK, there)
    else:
        remedy = "text in images (audit, judge's view): install tesseract-ocr"
        yield Finding("tesseract", State.LACKS, "not found", remedy)
    for name, use in KEYS.items():
        try:
            key = read_key(name)
        except VlsbenchError as error:
            yield Finding(name, State.FAILS, str(error), f"set it anew: it opens {use}")
            continue
        if key:
            yield Finding(name, State.OK, f"set ({len(key)} characters)")
        else:
            yield Finding(name, State.LACKS, "not set", f"needed for {use}")
    cache = cache_folder()
    cache = next(one for one in (cache, *cache.parents) if one.is_dir())
    for what, folder in (("disk, here", Path.cwd()), ("disk, cache", cache)):
        free = shutil.disk_usage(folder).free / 1e9
        full = free < FULL_GB or not os.access(folder, os.W_OK)
        state = State.FAILS if full else State.LACKS if free < LEAST_FREE_GB else State.OK
        remedy = "free up disk space, or give --out and VLSBENCH_HOME elsewhere"
        found = f"{free:,.1f} GB free in {folder}"
        yield Finding(what, state, found, "" if state is State.OK else remedy)


def _extras() -> dict[str, list[str]]:
    """Return extra → those of its packages that are not installed."""
    extras: dict[str, list[str]] = {}
    for line in metadata.requires("vlsbench") or ():
        if (found := _REQUIREMENT.match(line)) and found[3] not in ("bench", "dev", "docs"):
            missing = extras.setdefault(found[3], [])
            try:
                metadata.version(found[1])
            except metadata.PackageNotFoundError:
                missing.append(found[1])
    return extras
