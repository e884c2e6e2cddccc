"""Small sets without images of their own: harmful requests, and harmless ones as controls."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from vlsbench.pairs import (
    Fields,
    Image,
    RowError,
    Rows,
    file_image,
    find,
    read_jsonl,
)
from vlsbench.pairs.sources._declared import by_authors, read_english, shipped


@shipped("xstest")
def xstest(root: Path, variant: str) -> Rows:
    """XSTest: safe prompts that look unsafe, which are benign, and their unsafe contrasts."""

    def harmful(row: Fields) -> bool:
        return row.choice("label", "safe", "unsafe") == "unsafe"

    return read_english(
        find(root, "xstest_prompts.csv"),
        id="id",
        query="prompt",
        category="type",
        harmful=harmful,
        grades=lambda row: by_authors("U??" if harmful(row) else "S??"),
        meta=("focus", "note"),
        needs=("label",),
    )


@shipped("advbench")
def advbench(root: Path, variant: str) -> Rows:
    """AdvBench: goals; ids are row numbers from 1."""
    file = find(root, "data/advbench/harmful_behaviors.csv", "harmful_behaviors.csv")
    return read_english(file, query="goal", grades=by_authors("U??"))


@shipped("strongreject")
def strongreject(root: Path, variant: str) -> Rows:
    """StrongREJECT: forbidden prompts; ids are row numbers from 1."""
    name = "strongreject_dataset.csv" if variant == "full" else "strongreject_small_dataset.csv"
    return read_english(
        find(root, name, f"strongreject_dataset/{name}"),
        query="forbidden_prompt",
        # The two files write the same categories with different capitals.
        category=lambda row: row.text("category").capitalize(),
        source="source",
        grades=by_authors("U??"),
        needs=("category", "source"),
    )


@shipped("simplesafetytests")
def simplesafetytests(root: Path, variant: str) -> Rows:
    """SimpleSafetyTests: its test cases."""
    return read_english(
        find(root, "SimpleSafetyTests - test cases.csv"),
        id="id",
        query="prompts_final",
        category="harm_area",
        grades=by_authors("U??"),
        meta=("category",),
        needs=("category",),
    )


@shipped("or-bench")
def or_bench(root: Path, variant: str) -> Rows:
    """OR-Bench: one of its files; ids are row numbers from 1."""
    toxic = variant == "toxic"
    return read_english(
        find(root, f"or-bench-{variant}.csv"),
        query="prompt",
        category="category",
        harmful=toxic,
        grades=by_authors("U??" if toxic else "S??"),
    )


@shipped("sorry-bench")
def sorry_bench(root: Path, variant: str) -> Rows:
    """SORRY-Bench: unsafe instructions, as written or in other styles; the first turn is asked."""

    def query(row: Fields) -> str:
        turns = row.fields.get("turns")
        if not isinstance(turns, list) or not turns or not isinstance(turns[0], str):
            raise RowError("'turns' must be a list of texts")
        return Fields({"turns": turns[0]}).text("turns")

    files = [find(root, "question.jsonl")]
    files += sorted(root.glob("question_*.jsonl")) if variant == "all" else []
    for file in files:
        yield from read_english(
            file,
            id=lambda row: f"{row.id('question_id')}/{row.maybe('prompt_style') or 'base'}",
            query=query,
            category=lambda row: row.id("category"),
            subcategory="prompt_style",
            # Of the other styles, five are translations: `translate-zh-cn`.
            language=lambda row: row.maybe("prompt_style").partition("translate-")[2][:2] or "en",
            grades=by_authors("U??"),
            keep=lambda row: variant == "all" or row.maybe("prompt_style") in ("", "base"),
        )


@shipped("jbb-behaviors")
def jbb_behaviors(root: Path, variant: str) -> Rows:
    """JBB-Behaviors: misuse, and benign behaviours of the same topics; ids are `<half>/<Index>`."""
    for half in ("harmful", "benign") if variant == "all" else (variant,):
        name = f"{half}-behaviors.csv"
        yield from read_english(
            find(root, f"data/{name}", name),
            id=partial(_of_half, half),
            query="Goal",
            category="Category",
            subcategory="Behavior",
            harmful=half == "harmful",
            source="Source",
            grades=by_authors("U??" if half == "harmful" else "S??"),
            needs=("Index",),
        )


def _of_half(half: str, row: Fields) -> str:
    return f"{half}/{row.id('Index')}"


@shipped("alpaca-seed")
def alpaca_seed(root: Path, variant: str) -> Rows:
    """Alpaca's seed tasks: instructions, each with the input of its first instance."""

    def query(row: Fields) -> str:
        instances = row.fields.get("instances")
        if not isinstance(instances, list) or not instances or not isinstance(instances[0], dict):
            raise RowError("'instances' must be a list of objects")
        given = Fields(instances[0]).maybe("input")
        return f"{row.text('instruction')}\n\n{given}" if given else row.text("instruction")

    file = find(root, "seed_tasks.jsonl")
    return read_english(
        file,
        id="id",
        query=query,
        harmful=False,
        grades=by_authors("S??"),
        meta=("name",),
    )


@shipped("llava-coco")
def llava_coco(root: Path, variant: str) -> Rows:
    """LLaVA-Bench: harmless questions; an image's first caption is its description."""
    captions: dict[str, str] = {}
    if variant == "text":
        file = find(root, "llava/eval/table/question.jsonl")
    else:
        file = find(root, "playground/data/coco2014_val_qa_eval/qa90_questions.jsonl")
        captions = {
            item["image"]: item["captions"][0]
            for _, item in read_jsonl(
                find(root, "llava/eval/table/caps_boxes_coco2014_val_80.jsonl")
            )
            if isinstance(item, dict) and item.get("image") and item.get("captions")
        }

    def images(row: Fields) -> tuple[Image, ...]:
        name = row.maybe("image")
        return (file_image(root / "images", name),) if name else ()

    return read_english(
        file,
        id="question_id",
        query="text",
        images=images,
        category="category",
        harmful=False,
        description=lambda row: captions.get(row.maybe("image"), ""),
        grades=by_authors("S?S" if captions else "S??"),
    )
