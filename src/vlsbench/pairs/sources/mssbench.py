"""MSSBench: the same query with an image that makes it safe and one that makes it unsafe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vlsbench.pairs import Fields, Pair, RowError, Rows, file_image, find, pairs_from, read_json
from vlsbench.pairs.sources._declared import by_authors

SIDES = {"safe": "unsafe", "unsafe": "safe"}


def read(root: Path, variant: str) -> Rows:
    """Yield the pairs of one task; ids are `<item>/<query>/<safe or unsafe>`, counted from 0."""
    file = find(root, "combined.json")
    items = dict(read_json(file)).get(variant)

    def sides() -> Iterator[tuple[str, object]]:
        for number, item in enumerate(items if isinstance(items, list) else ()):
            try:
                asked = list(_queries(item, variant))
            except RowError as error:
                yield f"{variant}/{number}", error
                continue
            for place, query in enumerate(asked):
                for side, other in SIDES.items():
                    said = {"side": side, "ask": query[side], "same": query[side] == query[other]}
                    yield f"{number}/{place}/{side}", {**item, **said}

    def make(row: Fields) -> Pair:
        side = row.fields["side"]
        place, _, _ = row.label.rpartition("/")
        key = f"{side}_image_path" if variant == "chat" else side
        return Pair(
            id=row.label,
            query=row.text("ask"),
            images=(file_image(root / variant, row.text(key)),),
            category=row.maybe("Type") or row.maybe("category"),
            harmful=side == "unsafe",
            description=row.maybe("unsafe_image") if side == "unsafe" else "",
            meta=row.only("intent", "task"),
            language="en",
            twin=f"{place}/{SIDES[side]}" if row.fields["same"] else "",
            grades=by_authors("S?U" if side == "unsafe" else "S?S"),
        )

    return pairs_from(file.name, sides(), make)


def _queries(item: Any, variant: str) -> Iterator[dict[str, Any]]:
    """Yield what is asked with either image, for each query of an item."""
    if not isinstance(item, dict):
        raise RowError("is no object")
    keys = {side: "queries" if variant == "chat" else f"{side}_instructions" for side in SIDES}
    if variant != "chat" and not any(item.get(key) for key in keys.values()):
        # An item without other wordings has the one instruction.
        yield {side: item.get(f"{side}_instruction") for side in SIDES}
        return
    lists = [item.get(key) for key in keys.values()]
    if not all(isinstance(one, list) and one for one in lists):
        raise RowError(f"{' or '.join(dict.fromkeys(keys.values()))} must be a list of texts")
    if len({len(one or ()) for one in lists}) > 1:
        raise RowError(f"{' and '.join(keys.values())} are of different lengths")
    yield from (dict(zip(SIDES, asked, strict=True)) for asked in zip(*lists, strict=True))
