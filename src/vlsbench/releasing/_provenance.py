"""How each record came about: the lines of `provenance.jsonl` that belong to a release."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.releasing._types import Made

LAB = "lab/"
LEFT_OUT = "left_out"
"""Field that is added to the line of a finished record that is not released: why."""
DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class _Seen:
    parents: tuple[str, ...]
    """What it was made from; of a twin, the pair that it is a twin of too."""
    dropped: str
    """Stage and reason; empty where it was not dropped."""


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                if not text.strip():
                    continue
                try:
                    line = json.loads(text)
                except ValueError as error:
                    raise VlsbenchError(f"{path}, line {number}: not JSON ({error})") from None
                if not isinstance(line, dict) or not isinstance(line.get("id"), str):
                    raise VlsbenchError(f"{path}, line {number}: no record with an id")
                yield line
    except (OSError, UnicodeError) as error:
        raise VlsbenchError(f"{path} cannot be read: {error}") from None


def _seen(line: Mapping[str, Any]) -> _Seen:
    parents = [str(parent) for parent in line.get("parents") or ()]
    if twin_of := line.get("twin_of"):
        parents.append(str(twin_of))
    why = ": ".join(str(line[key]) for key in ("stage", "reason") if line.get(key))
    return _Seen(tuple(parents), (why or DROPPED) if line.get("ended") == DROPPED else "")


class _Bill:
    """Counts each call once: what a record was made from is in the lines of all its children."""

    def __init__(self) -> None:
        self.models: Counter[str] = Counter()
        self.cost: float | None = 0.0
        self._known: set[int] = set()

    def add(self, line: Mapping[str, Any]) -> None:
        for step in line.get("steps") or ():
            for call in step.get("calls") or ():
                # A number for the key, since there may be millions.
                if (key := hash(call["key"])) in self._known:
                    continue
                self._known.add(key)
                self.models[str(call.get("model") or "unknown")] += 1
                cost = call.get("cost")
                self.cost = None if self.cost is None or cost is None else self.cost + float(cost)


class Provenance:
    """The provenance of a set, read once, to be written with a release."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            VlsbenchError: The file cannot be read, or a line is no record.
        """
        self._path = path
        self._seen: dict[str, _Seen] = {}
        self._bill = _Bill()
        for number, line in enumerate(_lines(path), start=1):
            if line["id"] in self._seen:
                raise VlsbenchError(f"{path}: record {line['id']} is there twice")
            try:
                self._seen[line["id"]] = _seen(line)
                self._bill.add(line)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise VlsbenchError(
                    f"{path}, record {number}: not as `vlsbench build` writes it ({error!r})"
                ) from None

    @property
    def simulated(self) -> bool:
        """Whether a lab model took part."""
        return any(model.startswith(LAB) for model in self._bill.models)

    def check(self, released: Collection[str]) -> None:
        """Raise `VlsbenchError` where a released record has no line."""
        missing = sorted(id for id in released if id not in self._seen)
        if missing:
            raise VlsbenchError(
                f"{self._path} says nothing of {len(missing):,} released pairs "
                f"({', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}): it is the "
                "provenance of another set, or incomplete"
            )

    def write(self, to: Path, released: Collection[str], excluded: Mapping[str, str]) -> Made:
        """Write the lines of released records, what they descend from, and what was dropped.

        Args:
            to: File to write.
            released: Their ids.
            excluded: Id → why a finished record is not released; its line says so.
        """
        wanted = set(released)
        waiting = [*released, *(id for id in excluded if id in self._seen)]
        while waiting:
            id = waiting.pop()
            wanted.add(id)
            seen = self._seen.get(id)
            waiting += [p for p in (seen.parents if seen else ()) if p not in wanted]
        reasons: Counter[str] = Counter()
        written = 0
        # Half surrogates, legal in JSON, have no UTF-8 form: they stay escapes.
        with open(to, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            for line in _lines(self._path):
                id = line["id"]
                reason = self._seen[id].dropped or excluded.get(id, "")
                if reason:
                    reasons[reason] += 1
                if id in wanted or reason:
                    if id in excluded:
                        line = {**line, LEFT_OUT: excluded[id]}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
                    written += 1
        return Made(
            len(self._seen),
            written,
            dict(reasons.most_common()),
            dict(self._bill.models.most_common()),
            self._bill.cost,
        )
