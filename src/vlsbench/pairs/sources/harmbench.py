"""HarmBench: harmful behaviours, 110 of them about an image."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs._pair import Pair
from vlsbench.pairs._rows import Row, file_image, find, pairs_from, read_csv
from vlsbench.pairs._source import Home, Rows
from vlsbench.registry import source

CONTEXT_BREAK = "\n\n---\n\n"
"""Between the context of a contextual behaviour and the behaviour."""


@source(
    "harmbench",
    title="HarmBench",
    paper="2402.04249",
    licence="MIT (images of mixed origin)",
    home=Home(
        github="centerforaisafety/HarmBench",
        commit="8e1604d1171fe8a48d8febecd22f600e462bdcdd",
        files=("data/behavior_datasets/*", "data/multimodal_behavior_images/*"),
    ),
    size="110 pairs, 110 images; 400 text behaviours",
    rows={"multimodal": 110, "text": 400, "text_test": 320, "text_val": 80},
    variants={
        "multimodal": "behaviours about an image",
        "text": "all text behaviours",
        "text_test": "test split of the text behaviours",
        "text_val": "validation split of the text behaviours",
    },
    layout="data/behavior_datasets/harmbench_behaviors_*.csv and data/multimodal_behavior_images/",
)
def harmbench(root: Path, variant: str) -> Rows:
    """Yield the behaviours; a contextual one stands after its context."""
    name = f"harmbench_behaviors_{'text_all' if variant == 'text' else variant}.csv"
    if variant == "multimodal":
        name = "harmbench_behaviors_multimodal_all.csv"
    file = find(root, f"data/behavior_datasets/{name}")
    if variant == "multimodal":
        images = root / "data/multimodal_behavior_images"
        rows = read_csv(file, "Behavior", "BehaviorID", "SemanticCategory", "ImageFileName")
        yield from pairs_from(name, rows, lambda _, row: _multimodal(row, images))
    else:
        rows = read_csv(file, "Behavior", "BehaviorID", "SemanticCategory", "ContextString")
        yield from pairs_from(name, rows, lambda _, row: _text(row))


def _multimodal(row: Row, images: Path) -> Pair:
    return Pair(
        id=row.text("BehaviorID"),
        query=row.text("Behavior"),
        images=(file_image(images, row.text("ImageFileName")),),
        category=row.text("SemanticCategory"),
        description=row.maybe("ImageDescription"),
        source=row.maybe("Source"),
        meta=row.only("RedactedImageDescription", "Tags"),
    )


def _text(row: Row) -> Pair:
    context = row.maybe("ContextString")
    behaviour = row.text("Behavior")
    return Pair(
        id=row.text("BehaviorID"),
        query=context + CONTEXT_BREAK + behaviour if context else behaviour,
        category=row.text("SemanticCategory"),
        meta=row.only("FunctionalCategory", "Tags"),
    )
