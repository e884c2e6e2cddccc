"""How each record came about: the lines of `provenance.jsonl` that belong to a release."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.files import write_jsonl
from vlsbench.releasing._about import Made
from vlsbench.schemas import read_jsonl


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in read_jsonl(path, dict[str, Any]):
        if not isinstance(line.get("id"), str):
            raise VlsbenchError(f"{path}: a record without an id")
        yield line


class Provenance:
    """The provenance of a set, read once, to be written with a release."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises `VlsbenchError`."""
        self._path = path
        self._parents: dict[str, list[str]] = {}
        """What a record was made from; of a twin, the pair that it is a twin of too."""
        self._dropped: dict[str, str] = {}
        """Stage and reason of a record that was dropped."""
        self._models: Counter[str] = Counter()
        self._cost: float | None = 0.0
        self._calls: set[int] = set()
        for number, line in enumerate(_lines(path), start=1):
            if line["id"] in self._parents:
                raise VlsbenchError(f"{path}: record {line['id']} occurs twice")
            try:
                self._see(line)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise VlsbenchError(
                    f"{path}, record {number}: not as `vlsbench build` writes it ({error!r})"
                ) from None

    def _see(self, line: Mapping[str, Any]) -> None:
        above = [*(line.get("parents") or ()), line.get("twin_of")]
        self._parents[line["id"]] = [str(parent) for parent in above if parent]
        if line.get("ended") == "dropped":
            why = ": ".join(str(line[key]) for key in ("stage", "reason") if line.get(key))
            self._dropped[line["id"]] = why or "dropped"
        for call in (call for step in line.get("steps") or () for call in step.get("calls") or ()):
            # What a record was made from is in the lines of all its children: each call counts
            # once. A number for the key, since there may be millions.
            if (key := hash(call["key"])) not in self._calls:
                self._calls.add(key)
                self._models[str(call.get("model") or "unknown")] += 1
                cost = call.get("cost")
                self._cost = None if cost is None or self._cost is None else self._cost + cost

    @property
    def simulated(self) -> bool:
        """Whether a lab model took part."""
        return any(model.startswith("lab/") for model in self._models)

    def check(self, released: Collection[str]) -> None:
        """Raise `VlsbenchError` where a released record has no line."""
        if missing := sorted(set(released) - self._parents.keys()):
            raise VlsbenchError(
                f"{self._path} has no line for {len(missing):,} released pairs "
                f"({', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}): it is the "
                "provenance of another set, or incomplete"
            )

    def write(self, to: Path, released: Collection[str], excluded: Mapping[str, str]) -> Made:
        """Write the lines of released records, what they descend from, and what was dropped.

        The line of a finished record that is `excluded` says why (`left_out`).
        """
        wanted: set[str] = set()
        waiting = [*released, *excluded]
        while waiting:
            id = waiting.pop()
            if id not in wanted:
                wanted.add(id)
                waiting += self._parents.get(id, ())
        reasons: Counter[str] = Counter()

        def lines() -> Iterator[dict[str, Any]]:
            for line in _lines(self._path):
                id = line["id"]
                if reason := self._dropped.get(id) or excluded.get(id):
                    reasons[reason] += 1
                if id in wanted or reason:
                    yield line | ({"left_out": excluded[id]} if id in excluded else {})

        written = write_jsonl(lines(), to)
        return Made(
            records=len(self._parents),
            written=written,
            dropped=dict(reasons.most_common()),
            models=dict(self._models.most_common()),
            cost=self._cost,
        )
