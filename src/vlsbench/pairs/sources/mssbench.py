"""MSSBench: the same query with an image that makes it safe and one that makes it unsafe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vlsbench.pairs import Fields, Pair, RowError, Rows, file_image, find, pairs_from, read_json
from vlsbench.pairs.sources._declared import by_authors, shipped

SIDES = {"safe": "unsafe", "unsafe": "safe"}


@shipped("mssbench")
def mssbench(root: Path, variant: str) -> Rows:
    """Yield the pairs of one task; ids are `<item>/<query>/<safe or unsafe>`, counted from 0."""
    file = find(root, "combined.json")
    items = dict(read_json(file)).get(variant)

    def sides() -> Iterator[tuple[str, object]]:
        for number, item in enumerate(items if isinstance(items, list) else ()):
            if not isinstance(item, dict):
                yield f"{variant}/{number}", RowError("is no object")
                continue
            for place, query in enumerate(_queries(item, variant)):
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


def _queries(item: dict[str, Any], variant: str) -> list[dict[str, Any]]:
    """Return what is asked with either image, for each query of an item."""
    if variant == "chat":
        queries = item.get("queries")
        return [dict.fromkeys(SIDES, query) for query in (queries or [None])]
    return [{side: item.get(f"{side}_instruction") for side in SIDES}]
