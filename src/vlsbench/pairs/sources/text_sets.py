"""Small sets without images of their own: harmful requests, and harmless ones as controls."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import (
    Fields,
    Home,
    Image,
    RowError,
    Rows,
    file_image,
    find,
    read_jsonl,
    read_pairs,
)
from vlsbench.registry import source


@source(
    "xstest",
    title="XSTest",
    paper="2308.01263",
    licence="CC BY 4.0",
    home=Home(
        github="paul-rottger/xstest",
        commit="d7bb5bd738c1fcbc36edd83d5e7d1b71a3e2d84d",
        files=("xstest_prompts.csv",),
    ),
    size="450 prompts (250 safe, 200 unsafe), no images",
    rows={"": 450},
    layout="xstest_prompts.csv",
)
def xstest(root: Path, variant: str) -> Rows:
    """XSTest: safe prompts that look unsafe, which are benign, and their unsafe contrasts."""

    def harmful(row: Fields) -> bool:
        label = row.text("label")
        if label not in ("safe", "unsafe"):
            raise RowError(f"label is {label!r}, not safe or unsafe")
        return label == "unsafe"

    return read_pairs(
        find(root, "xstest_prompts.csv"),
        id="id",
        query="prompt",
        category="type",
        harmful=harmful,
        meta=("focus", "note"),
        needs=("label",),
    )


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
    """AdvBench: goals; ids are row numbers from 1."""
    file = find(root, "data/advbench/harmful_behaviors.csv", "harmful_behaviors.csv")
    return read_pairs(file, query="goal")


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
    """StrongREJECT: forbidden prompts; ids are row numbers from 1."""
    name = "strongreject_dataset.csv" if variant == "full" else "strongreject_small_dataset.csv"
    return read_pairs(
        find(root, name, f"strongreject_dataset/{name}"),
        query="forbidden_prompt",
        # The two files write the same categories with different capitals.
        category=lambda row: row.text("category").capitalize(),
        source="source",
        needs=("category", "source"),
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
    """SimpleSafetyTests: its test cases."""
    return read_pairs(
        find(root, "SimpleSafetyTests - test cases.csv"),
        id="id",
        query="prompts_final",
        category="harm_area",
        meta=("category",),
        needs=("category",),
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
    """Alpaca's seed tasks: instructions, each with the input of its first instance."""

    def query(row: Fields) -> str:
        instances = row.fields.get("instances")
        if not isinstance(instances, list) or not instances or not isinstance(instances[0], dict):
            raise RowError("'instances' is no list of objects")
        given = Fields(instances[0]).maybe("input")
        return f"{row.text('instruction')}\n\n{given}" if given else row.text("instruction")

    file = find(root, "seed_tasks.jsonl")
    return read_pairs(file, id="id", query=query, harmful=False, meta=("name",))


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

    return read_pairs(
        file,
        id="question_id",
        query="text",
        images=images,
        category="category",
        harmful=False,
        description=lambda row: captions.get(row.maybe("image"), ""),
    )
