"""MSSBench: the same query with an image that makes it safe and one that makes it unsafe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vlsbench.pairs import Fields, Pair, RowError, Rows, file_image, find, pairs_from, read_json
from vlsbench.pairs.sources._declared import by_authors

SIDES = {"safe": "unsafe", "unsafe": "safe"}


def read(root: Path, variant: str) -> Rows:
    """Yield the pairs of one task; ids are `<item>/<query>/<safe or unsafe>`, counted from 0."""
    file = find(root, "combined.json")
    items = dict(read_json(file)).get(variant)

    def sides() -> Iterator[tuple[str, object]]:
        for number, item in enumerate(items if isinstance(items, list) else ()):
            asked = _queries(item, variant)
            if isinstance(asked, RowError):
                yield f"{variant}/{number}", asked
                continue
            for place, query in enumerate(asked):
                for side in SIDES:
                    yield f"{number}/{place}/{side}", {**item, "asked": query}

    def make(row: Fields) -> Pair:
        place, _, side = row.label.rpartition("/")
        asked = row.fields["asked"]
        key = f"{side}_image_path" if variant == "chat" else side
        return Pair(
            id=row.label,
            query=Fields(asked).text(side),
            images=(file_image(root / variant, row.text(key)),),
            category=row.maybe("Type") or row.maybe("category"),
            harmful=side == "unsafe",
            description=row.maybe("unsafe_image") if side == "unsafe" else "",
            meta=row.only("intent", "task"),
            language="en",
            twin=f"{place}/{SIDES[side]}" if asked["safe"] == asked["unsafe"] else "",
            grades=by_authors("S?U" if side == "unsafe" else "S?S"),
        )

    return pairs_from(file.name, sides(), make)


def _queries(item: object, variant: str) -> list[dict[str, object]] | RowError:
    """Return what is asked with either image, for each query of an item."""
    if not isinstance(item, dict):
        return RowError("is no object")
    keys = {side: "queries" if variant == "chat" else f"{side}_instructions" for side in SIDES}
    if variant != "chat" and not any(item.get(key) for key in keys.values()):
        # An item without other wordings has the one instruction.
        return [{side: item.get(f"{side}_instruction") for side in SIDES}]
    lists = [one if isinstance(one := item.get(key), list) else [] for key in keys.values()]
    if not lists[0] or len(lists[0]) != len(lists[1]):
        named = " or ".join(dict.fromkeys(keys.values()))
        return RowError(f"{named} must be a list of texts, as many for either image")
    return [dict(zip(SIDES, asked, strict=True)) for asked in zip(*lists, strict=True)]
