"""Barrier *quota*: how many pairs of a sub-category and of a category are kept, by id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from vlsbench.building._items import Item
from vlsbench.building._recipe import Quota

NAME = "quota"


def over_quota(
    items: Iterable[tuple[str, Item]], settings: Quota
) -> Iterator[tuple[str, str | None]]:
    """Say of each pair whether its place is taken.

    Args:
        items: Id and pair, in the order of the ids.
        settings: The quotas; None has no limit.

    Yields:
        Id, and which quota is full (`subcategory`, `category`); None where it is kept.
    """
    cells: Counter[tuple[str, str]] = Counter()
    categories: Counter[str] = Counter()
    for name, item in items:
        cell = (item.category, item.subcategory)
        full = None
        if _full(cells[cell], settings.per_subcategory):
            full = "subcategory"
        elif _full(categories[item.category], settings.per_category):
            full = "category"
        else:
            cells[cell] += 1
            categories[item.category] += 1
        yield name, full


def _full(count: int, most: int | None) -> bool:
    return most is not None and count >= most
