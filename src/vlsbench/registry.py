"""Plug-ins: benchmarks, models, judges, embedders, rewards, stages and transforms from anywhere.

A decorator registers what stands below it under a name; commands and functions find it by that
name. What ships with vlsbench registers itself the same way, and is imported when its kind is
first asked for. Installed packages announce a module through the entry-point group `vlsbench`,
and `--plugin FILE.py|MODULE` loads one by hand.

    from vlsbench.registry import model

    @model("parrot")
    class Parrot: ...            # vlsbench eval … --model parrot/loud --plugin parrot.py
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from vlsbench.errors import Signal, VlsbenchError
from vlsbench.text import did_you_mean, first_line

GROUP = "vlsbench"
"""Entry-point group: each entry names a module that registers when it is imported."""
OWN = "vlsbench"
"""Origin of what ships with the package."""
OF_A_FILE = "vlsbench_plugin_"
"""How modules of plug-ins given as a file are called before their own name."""

T = TypeVar("T")


class Kind(StrEnum):
    """What can be registered."""

    SOURCE = "source"
    """A benchmark: a function `(root, variant)` that yields `Pair`s."""
    MODEL = "model"
    """A model: called with its spec, returns a `ChatModel`."""
    JUDGE = "judge"
    """A judge: a `Judge`, a class of one, or a function of a `Question`."""
    EMBEDDER = "embedder"
    """Called with its spec, returns an `Embedder`."""
    REWARD = "reward"
    """Called with its spec, returns a reward function for training."""
    STAGE = "stage"
    """A build stage: called with its options from the recipe, returns a `Stage`."""
    TRANSFORM = "transform"
    """A function `Pair -> Pair | None` that a benchmark passes through when it is opened."""


_SHIPPED: Mapping[Kind, str] = {
    Kind.SOURCE: "vlsbench.pairs.sources",
    Kind.MODEL: "vlsbench.models",
    Kind.JUDGE: "vlsbench.judge",
    Kind.EMBEDDER: "vlsbench.embed",
    Kind.REWARD: "vlsbench.aligning",
    Kind.STAGE: "vlsbench.building",
}
"""Module that registers what ships, by kind."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something registered under a name."""

    kind: Kind
    name: str
    target: Any = field(repr=False)
    origin: str
    """`vlsbench`, `PACKAGE VERSION` of an installed plug-in, or a file."""
    summary: str
    """The first line of its docstring."""
    simulated: bool = False
    """Results that it takes part in say nothing about real models."""
    declaration: Mapping[str, Any] = field(default_factory=dict)
    """What else its kind wants to know, such as a benchmark's licence."""

    def open(self, *given: Any) -> Any:
        """Call the target with what its kind is called with.

        Raises:
            PluginError: It fails in a way that vlsbench does not know.
        """
        with guarded(f"{self.kind} {self.name!r} of {self.origin} cannot be opened", always=True):
            return self.target(*given)


class PluginError(VlsbenchError):
    """A plug-in that cannot be loaded or that fails, or one that registers a name twice."""


@contextmanager
def guarded(what: str, *, always: bool = False) -> Iterator[None]:
    """Turn what code of others raises into one line that says what failed, why and where.

    What our own code raises is turned so only where `always`: in calling theirs.
    """
    try:
        yield
    except (VlsbenchError, Signal):
        raise
    except Exception as error:
        place = _place_of(error)
        if not place and not always:
            raise
        said = f"{what}: {type(error).__name__}: {first_line(error)}"
        shown = f" ({place}); --debug shows the trace" if place else ""
        raise PluginError(said + shown) from error


def _place_of(error: Exception) -> str:
    """Return `FILE:LINE` of the code of others that raised; empty where ours did."""
    home = str(Path(__file__).parent) + os.sep
    ours = (home, "<frozen", sysconfig.get_path("stdlib") + os.sep)
    trace = traceback.extract_tb(error.__traceback__)
    theirs = [one for one in trace if not one.filename.startswith(ours)]
    # The user's own file, else what is installed, which may lie within the standard library's.
    packages = [one for one in trace if "-packages" in one.filename]
    packages = [one for one in packages if not one.filename.startswith(home)]
    chosen = ([one for one in theirs if one not in packages] or packages)[-1:]
    return "".join(f"{Path(one.filename).name}:{one.lineno}" for one in chosen)


def conforming(brought: T, protocol: type[Any], what: str) -> T:
    """Return what a user brought.

    Raises:
        VlsbenchError: It lacks something that the protocol asks for.
    """
    kinds = [kind for kind in protocol.__mro__ if kind.__module__.startswith(OWN)]
    wanted = [name for kind in kinds for name in vars(kind) if not name.startswith("_")]
    if missing := [name for name in wanted if not hasattr(brought, name)]:
        kind = f"{protocol.__module__.partition('._')[0]}.{protocol.__name__}"
        raise VlsbenchError(
            f"{what} {type(brought).__name__!r} lacks {', '.join(missing)}: a {kind} has "
            f"{', '.join(wanted)}"
        )
    return brought


_entries: dict[tuple[Kind, str], Entry] = {}
_origin: list[str] = []
_broken: dict[str, str] = {}


def _register(kind: Kind, name: str, target: T, *, simulated: bool, **declaration: Any) -> T:
    # Whose code this is, not what it registers: what ships may be imported by a plug-in.
    module = str(sys._getframe(2).f_globals.get("__name__", ""))
    own = module.partition(".")[0] == OWN
    origin = OWN if own else _origin[-1] if _origin else module or "this session"
    known = _entries.get((kind, name))
    if known and known.origin != origin:
        raise PluginError(f"{origin}: {kind} {name!r} is already registered by {known.origin}")
    said = declaration.pop("summary", "") or (getattr(target, "__doc__", None) or "")
    summary = said.strip().partition("\n")[0]
    entry = Entry(kind, name, target, origin, summary, simulated, declaration)
    _entries[kind, name] = entry
    return target


def _decorator(kind: Kind) -> Callable[..., Callable[[T], T]]:
    def register(name: str, *, simulated: bool = False, **declaration: Any) -> Callable[[T], T]:
        return lambda target: _register(kind, name, target, simulated=simulated, **declaration)

    return register


source = _decorator(Kind.SOURCE)
"""Register the function below, `(root, variant) -> rows`, as a benchmark.

It takes the name that users type, `simulated` where its pairs are not real ones, and fields of
`pairs.Source`: `title`, `paper`, `licence`, `home`, `size`, `rows`, `variants`, `layout`, `probes`,
`metric`. A source without a `home` is made on demand and needs no files.
"""
model = _decorator(Kind.MODEL)
judge = _decorator(Kind.JUDGE)
embedder = _decorator(Kind.EMBEDDER)
reward = _decorator(Kind.REWARD)
stage = _decorator(Kind.STAGE)
transform = _decorator(Kind.TRANSFORM)


RENAMED = {"rules": "offline", "all-MiniLM-L6-v2": "minilm"}
"""Names of earlier versions, and further ones."""


def find(kind: Kind, name: str, *, announced: bool = False) -> Entry | None:
    """Look a name up; plug-ins are loaded only where what ships does not have it.

    Of names that need not be registered ones, such as those by which servers call their models, no
    plug-in is loaded but one `announced` under that name.
    """
    name = RENAMED.get(name, name)
    _load_shipped(kind)
    if (kind, name) not in _entries and (not announced or name in _entry_points().names):
        _load_entry_points(name)
    return _entries.get((kind, name))


def get(
    kind: Kind, name: str, *, what: str = "", remedy: str = "`vlsbench plugins` lists all"
) -> Entry:
    """Look a name up; the error calls the kind `what`, and tells the `remedy`.

    Raises:
        VlsbenchError: Nothing has that name; suggests the closest ones.
    """
    if entry := find(kind, name):
        return entry
    hint = did_you_mean(name.lower().replace("_", "-"), names(kind))
    hint += "".join(f"({error}) " for error in _broken.values())
    raise VlsbenchError(f"no {what or kind} {name!r}: {hint}{remedy}")


def names(kind: Kind) -> list[str]:
    """Return every name of a kind, what ships first."""
    return [entry.name for entry in entries(kind)]


def entries(kind: Kind | None = None) -> list[Entry]:
    """Return everything of a kind, or of all kinds, plug-ins included; what ships first."""
    kinds = list(Kind) if kind is None else [kind]
    for one in kinds:
        _load_shipped(one)
    _load_entry_points()

    found = [entry for entry in _entries.values() if entry.kind in kinds]
    return sorted(found, key=lambda one: (kinds.index(one.kind), one.origin != OWN))


def is_simulated(name: str) -> bool:
    """Tell whether a model or benchmark, given as users name it, belongs to a simulation."""
    prefix = name.partition("@")[0].partition("/")[0].partition(":")[0]
    return any(
        entry.simulated
        for kind in (Kind.MODEL, Kind.SOURCE, Kind.JUDGE)
        if (entry := find(kind, prefix, announced=True))
    )


def load_plugin(name: str) -> None:
    """Import a plug-in given by hand: a Python file or a module.

    Raises:
        PluginError: It cannot be found or imported, or registers a name twice.
    """
    path = Path(name).expanduser()
    if path.suffix != ".py":
        with _from(name):
            importlib.import_module(name)
        return
    if not path.is_file():
        raise PluginError(f"plug-in {name}: no such file")
    key = f"{OF_A_FILE}{path.stem}"
    if getattr(sys.modules.get(key), "__file__", "") == str(path):
        return
    with _from(str(path)):
        module = sys.modules[key] = ModuleType(key)
        module.__file__ = str(path)
        try:
            SourceFileLoader(key, str(path)).exec_module(module)
        except BaseException:
            del sys.modules[key]
            raise


@contextmanager
def _from(origin: str) -> Iterator[None]:
    """Attribute what is registered within to `origin`; whatever fails is a `PluginError`.

    What fails leaves nothing registered.
    """
    before = set(_entries)
    _origin.append(origin)
    try:
        yield
    except Exception as error:
        for key in _entries.keys() - before:
            if _entries[key].origin == origin:
                del _entries[key]
        if isinstance(error, VlsbenchError):
            raise
        raise PluginError(
            f"plug-in {origin} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    finally:
        _origin.pop()


def _load_shipped(kind: Kind) -> None:
    if home := _SHIPPED.get(kind):
        importlib.import_module(home)


def broken() -> Mapping[str, str]:
    """Return the installed plug-ins that could not be loaded: module → what went wrong."""
    return dict(_broken)


@cache
def _entry_points() -> importlib.metadata.EntryPoints:
    # Cached: it looks into the metadata of every installed package.
    return importlib.metadata.entry_points(group=GROUP)


def _load_entry_points(name: str = "") -> None:
    """Load the plug-in that is called `name`, or else all of them.

    Raises:
        PluginError: The one that was asked for cannot be loaded; others are left to `broken`.
    """
    points = _entry_points()
    chosen = [point for point in points if point.name == name] if name else []
    for point in chosen or points:
        package = point.dist.name if point.dist else point.value
        version = point.dist.version if point.dist else ""
        origin = OWN if package == OWN else f"{package} {version}".strip()
        if point.value in _broken:
            continue
        try:
            with _from(origin):
                point.load()
        except VlsbenchError as error:
            _broken[point.value] = str(error)
            if chosen:
                raise
