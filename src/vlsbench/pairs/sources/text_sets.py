"""Small sets without images of their own: harmful requests, and harmless ones as controls."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs._pair import Pair
from vlsbench.pairs._rows import (
    Row,
    RowError,
    file_image,
    find,
    pairs_from,
    read_csv,
    read_jsonl,
)
from vlsbench.pairs._source import Home, Rows
from vlsbench.registry import source


@source(
    "advbench",
    title="AdvBench harmful behaviours",
    paper="2307.15043",
    licence="MIT",
    home=Home(
        github="llm-attacks/llm-attacks",
        commit="a62d1307e38b3a076e614b20781c785fd860d813",
        files=("data/advbench/harmful_behaviors.csv",),
    ),
    size="520 prompts, no images",
    rows={"": 520},
    layout="data/advbench/harmful_behaviors.csv (or the file alone)",
)
def advbench(root: Path, variant: str) -> Rows:
    """Yield the goals; ids are row numbers from 1."""
    file = find(root, "data/advbench/harmful_behaviors.csv", "harmful_behaviors.csv")
    rows = read_csv(file, "goal")
    yield from pairs_from(file.name, rows, lambda label, row: Pair(label, row.text("goal")))


@source(
    "strongreject",
    title="StrongREJECT",
    paper="2402.10260",
    licence="MIT",
    home=Home(github="alexandrasouly/strongreject", files=("strongreject_dataset/*.csv",)),
    size="313 prompts; 60 in the small set; no images",
    rows={"full": 313, "small": 60},
    variants={"full": "all prompts", "small": "the small set"},
    layout="strongreject_dataset.csv and strongreject_small_dataset.csv (or both in "
    "strongreject_dataset/)",
)
def strongreject(root: Path, variant: str) -> Rows:
    """Yield the forbidden prompts; ids are row numbers from 1."""
    name = "strongreject_dataset.csv" if variant == "full" else "strongreject_small_dataset.csv"
    file = find(root, name, f"strongreject_dataset/{name}")
    yield from pairs_from(
        name,
        read_csv(file, "category", "source", "forbidden_prompt"),
        lambda label, row: Pair(
            id=label,
            query=row.text("forbidden_prompt"),
            # The two files write the same categories with different capitals.
            category=row.text("category").capitalize(),
            source=row.maybe("source"),
        ),
    )


@source(
    "simplesafetytests",
    title="SimpleSafetyTests",
    paper="2311.08370",
    licence="CC BY 4.0",
    home=Home(
        github="bertiev/SimpleSafetyTests",
        commit="d7aee9a9422a5a5488f478fd79c2479c891c0f3b",
        files=("SimpleSafetyTests - test cases.csv",),
    ),
    size="100 prompts, no images",
    rows={"": 100},
    layout="SimpleSafetyTests - test cases.csv",
)
def simplesafetytests(root: Path, variant: str) -> Rows:
    """Yield the test cases."""
    file = find(root, "SimpleSafetyTests - test cases.csv")
    yield from pairs_from(
        file.name,
        read_csv(file, "id", "harm_area", "category", "prompts_final"),
        lambda _, row: Pair(
            id=row.text("id"),
            query=row.text("prompts_final"),
            category=row.text("harm_area"),
            meta=row.only("category"),
        ),
    )


@source(
    "alpaca-seed",
    title="Alpaca seed tasks (benign)",
    paper="2212.10560",
    licence="Apache-2.0; read as non-commercial where in doubt",
    home=Home(
        github="tatsu-lab/stanford_alpaca",
        commit="761dc5bfbdeeffa89b8bff5d038781a4055f796a",
        files=("seed_tasks.jsonl",),
    ),
    size="175 harmless instructions, no images",
    rows={"": 175},
    layout="seed_tasks.jsonl",
)
def alpaca_seed(root: Path, variant: str) -> Rows:
    """Yield instructions, each with the input of its first instance."""
    file = find(root, "seed_tasks.jsonl")
    yield from pairs_from(file.name, read_jsonl(file), lambda _, row: _seed(row))


def _seed(row: Row) -> Pair:
    instances = row.fields.get("instances")
    if not isinstance(instances, list) or not instances or not isinstance(instances[0], dict):
        raise RowError("'instances' is no list of objects")
    given = Row(instances[0]).maybe("input")
    query = row.text("instruction")
    return Pair(
        id=row.text("id"),
        query=f"{query}\n\n{given}" if given else query,
        harmful=False,
        meta=row.only("name"),
    )


@source(
    "llava-coco",
    title="LLaVA-Bench (COCO) (benign)",
    paper="2304.08485",
    licence="CC BY 4.0 (captions), Apache-2.0 (repository)",
    home=Home(
        github="haotian-liu/LLaVA",
        commit="c121f0432da27facab705978f83c4ada465e46fd",
        files=(
            "playground/data/coco2014_val_qa_eval/qa90_questions.jsonl",
            "llava/eval/table/*.jsonl",
        ),
    ),
    size="90 pairs over 30 images (COCO val2014, not in the repository); 80 text questions",
    rows={"images": 90, "text": 80},
    variants={"images": "questions about COCO images", "text": "questions without an image"},
    layout="playground/data/coco2014_val_qa_eval/qa90_questions.jsonl and "
    "llava/eval/table/{caps_boxes_coco2014_val_80,question}.jsonl; COCO images in images/",
)
def llava_coco(root: Path, variant: str) -> Rows:
    """Yield harmless questions; an image's first caption is its description."""
    if variant == "text":
        file = find(root, "llava/eval/table/question.jsonl")
        captions: dict[str, str] = {}
    else:
        file = find(root, "playground/data/coco2014_val_qa_eval/qa90_questions.jsonl")
        captions = _captions(find(root, "llava/eval/table/caps_boxes_coco2014_val_80.jsonl"))
    yield from pairs_from(
        file.name, read_jsonl(file), lambda _, row: _question(row, root / "images", captions)
    )


def _captions(file: Path) -> dict[str, str]:
    return {
        item["image"]: item["captions"][0]
        for _, item in read_jsonl(file)
        if isinstance(item, dict) and item.get("image") and item.get("captions")
    }


def _question(row: Row, images: Path, captions: dict[str, str]) -> Pair:
    name = row.maybe("image")
    return Pair(
        id=row.id("question_id"),
        query=row.text("text"),
        images=(file_image(images, name),) if name else (),
        category=row.text("category"),
        harmful=False,
        description=captions.get(name, ""),
    )
