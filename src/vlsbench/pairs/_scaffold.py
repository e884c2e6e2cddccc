"""A plug-in with one source and its test, to start from."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from string import Template

from vlsbench import registry
from vlsbench.errors import VlsbenchError
from vlsbench.registry import Kind

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def scaffold(name: str, folder: Path | None = None) -> tuple[Path, Path]:
    """Write a source and a test of it, which passes, into a new folder.

    Args:
        name: What users will type for the benchmark.
        folder: Where to; a folder of that name here by default.

    Returns:
        The plug-in and its test.

    Raises:
        VlsbenchError: The name cannot be one or is taken, or the folder is there already.
    """
    if not _NAME.fullmatch(name):
        raise VlsbenchError(
            f"{name!r} cannot be the name of a benchmark: lower-case letters, digits and single "
            "hyphens, such as kitchen-safety"
        )
    if taken := registry.find(Kind.SOURCE, name):
        raise VlsbenchError(f"{name} is a benchmark already ({taken.origin}): choose another name")
    folder = folder or Path(name)
    if folder.exists():
        raise VlsbenchError(f"{folder} is there already: give another --dest")
    module = name.replace("-", "_")
    said = {"name": name, "module": module, "function": module}
    written = {"source.py.txt": f"{module}.py", "test_source.py.txt": f"test_{module}.py"}
    try:
        folder.mkdir(parents=True)
        for template, target in written.items():
            text = files("vlsbench.pairs").joinpath("scaffold", template).read_text("utf-8")
            (folder / target).write_text(Template(text).substitute(said), "utf-8")
    except OSError as error:
        raise VlsbenchError(f"{folder} cannot be written: {error.strerror}") from None
    plugin, test = (folder / target for target in written.values())
    return plugin, test
