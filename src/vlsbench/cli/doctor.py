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

LEAST_FREE_GB = 5
FULL_GB = 0.05
"""Below it a run cannot be recorded."""
KEYS = {
    "OPENAI_API_KEY": "openai/…",
    "VLSBENCH_API_KEY": "NAME@http://…",
    "HF_TOKEN": "gated benchmarks and models of the Hub",
}
PROGRAMS = {"tesseract": "text in images (audit, judge's view): install tesseract-ocr"}
STYLES = {State.OK: "", State.LACKS: "yellow", State.FAILS: "red"}
_REQUIREMENT = re.compile(r"([\w.-]+)(\[[\w,-]+\])?.*extra == ['\"]([\w-]+)['\"]")
NOT_FOR_USERS = ("bench", "dev", "docs")


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
    for program, remedy in PROGRAMS.items():
        there = shutil.which(program)
        yield Finding(
            program, *((State.OK, there) if there else (State.LACKS, "not found", remedy))
        )
    for name, use in KEYS.items():
        yield _key(name, use)
    for what, folder in (("disk, here", Path.cwd()), ("disk, cache", _existing_cache())):
        free = shutil.disk_usage(folder).free / 1e9
        full = free < FULL_GB or not os.access(folder, os.W_OK)
        enough = free >= LEAST_FREE_GB and not full
        remedy = "" if enough else "free up disk space, or give --out and VLSBENCH_HOME elsewhere"
        state = State.FAILS if full else State.OK if enough else State.LACKS
        yield Finding(what, state, f"{free:,.1f} GB free in {folder}", remedy)


def _key(name: str, use: str) -> Finding:
    from vlsbench.models import read_key

    try:
        there = read_key(name)
    except VlsbenchError as error:
        return Finding(name, State.FAILS, str(error), f"set it anew: it opens {use}")
    if there:
        return Finding(name, State.OK, f"set ({len(there)} characters)")
    return Finding(name, State.LACKS, "not set", f"needed for {use}")


def _existing_cache() -> Path:
    from vlsbench.files import cache_folder

    cache = cache_folder()
    return next(one for one in (cache, *cache.parents) if one.is_dir())


def _extras() -> dict[str, list[str]]:
    """Return extra → those of its packages that are not installed."""
    extras: dict[str, list[str]] = {}
    for line in metadata.requires("vlsbench") or ():
        if (found := _REQUIREMENT.match(line)) and found[3] not in NOT_FOR_USERS:
            missing = extras.setdefault(found[3], [])
            try:
                metadata.version(found[1])
            except metadata.PackageNotFoundError:
                missing.append(found[1])
    return extras
