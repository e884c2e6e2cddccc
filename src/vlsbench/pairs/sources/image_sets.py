"""Small sets of image-text pairs: one file each, whose columns are what a pair holds."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import Fields, Home, Image, Rows, file_image, find, folder_of, read_pairs
from vlsbench.registry import source

CONTEXT_BREAK = "\n\n---\n\n"
"""Between the context of a contextual HarmBench behaviour and the behaviour."""
MSTS_LANGUAGES = (
    "arabic", "chinese", "farsi", "french", "german", "hindi", "italian", "korean", "russian",
    "spanish",
)  # fmt: skip


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
    """HarmBench: harmful behaviours, 110 of them about an image."""

    def query(row: Fields) -> str:
        context, behaviour = row.maybe("ContextString"), row.text("Behavior")
        return context + CONTEXT_BREAK + behaviour if context else behaviour

    def images(row: Fields) -> tuple[Image, ...]:
        if variant != "multimodal":
            return ()
        return (file_image(root / "data/multimodal_behavior_images", row.text("ImageFileName")),)

    name = f"{variant}_all" if variant in ("multimodal", "text") else variant
    about = "RedactedImageDescription" if variant == "multimodal" else "FunctionalCategory"
    return read_pairs(
        find(root, f"data/behavior_datasets/harmbench_behaviors_{name}.csv"),
        id="BehaviorID",
        query=query,
        images=images,
        category="SemanticCategory",
        description="ImageDescription",
        source="Source",
        meta=(about, "Tags"),
        needs=("Behavior", "ImageFileName" if variant == "multimodal" else "ContextString"),
    )


@source(
    "siuo",
    title="SIUO (generation)",
    paper="2406.15279",
    licence="CC BY-NC 4.0",
    home=Home(hub="sinwang/SIUO", files=("siuo_gen.json", "images/*", "*.zip")),
    size="167 pairs, 167 images",
    rows={"": 167},
    layout="data/siuo_gen.json with data/images/ (GitHub), or siuo_gen.json with images/ (Hub)",
)
def siuo(root: Path, variant: str) -> Rows:
    """SIUO: a safe query and a safe image that are unsafe together (the generation task alone)."""
    file = find(root, "data/siuo_gen.json", "siuo_gen.json")
    folder = folder_of(file.parent, "images")
    return read_pairs(
        file,
        id="question_id",
        query="question",
        images=lambda row: (file_image(folder, row.text("image")),),
        category="category",
        reason="safety_warning",
        meta=("reference_answer",),
    )


@source(
    "mossbench",
    title="MOSSBench",
    paper="2406.17806",
    licence="CC BY-SA 4.0, test use only",
    home=Home(
        github="xirui-li/MOSSBench",
        commit="8d68b0614b39d8990a508e03d99975832f399db2",
        files=("data/*", "data_contrast/*"),
    ),
    size="300 benign pairs, 300 images; 244 contrast pairs",
    rows={"oversensitivity": 300, "contrast": 244},
    variants={
        "oversensitivity": "benign pairs that look risky",
        "contrast": "their harmful counterparts",
    },
    layout="data/images_information/information.json with data/images/; for the contrast set the "
    "same under data_contrast/",
)
def mossbench(root: Path, variant: str) -> Rows:
    """MOSSBench: harmless pairs that an oversensitive model refuses, or their harmful contrasts."""
    folder = root / ("data_contrast" if variant == "contrast" else "data")
    return read_pairs(
        find(folder, "images_information/information.json"),
        id="pid",
        query="question",
        images=lambda row: (file_image(folder, row.text("image")),),
        category=lambda row: row.row("metadata").text("over"),
        harmful=variant == "contrast",
        description=lambda row: row.maybe("description") or row.maybe("short description"),
        meta=lambda row: row.row("metadata").only("human", "child", "syn", "ocr", "harm"),
    )


@source(
    "msts",
    title="MSTS",
    paper="2501.10057",
    licence="CC BY 4.0 (each image its own)",
    home=Home(
        github="paul-rottger/msts-multimodal-safety",
        commit="e9ae69e8f1ab87ab2bb2ed7c51e992e0430f12e3",
        files=("data/prompts/*", "data/images/*"),
    ),
    size="400 English pairs, 400 text twins, 200 in each of 10 languages; 200 images",
    rows={"multimodal": 400, "textonly": 400} | dict.fromkeys(MSTS_LANGUAGES, 200),
    variants={
        "multimodal": "English, with the image",
        "textonly": "the same in words, without the image",
    }
    | {language: f"{language.capitalize()}, with the image" for language in MSTS_LANGUAGES},
    layout="data/prompts/*.csv; images as data/images/<unsafe_image_id>.<any ending> (upstream "
    "publishes their addresses, not the files)",
)
def msts(root: Path, variant: str) -> Rows:
    """MSTS: phrases that are risky only with their image; `meta["case_id"]` joins languages."""
    language = variant if variant in MSTS_LANGUAGES else "english"
    form = "textonly" if variant == "textonly" else "multimodal"
    folder = root / "data/images"
    files = {path.stem: path.name for path in folder.iterdir()} if folder.is_dir() else {}

    def images(row: Fields) -> tuple[Image, ...]:
        if form == "textonly":
            return ()
        name = row.text("unsafe_image_id")
        return (file_image(folder, files.get(name, f"{name}.jpg")),)

    return read_pairs(
        find(root, f"data/prompts/{language}_{form}.csv"),
        id=lambda row: row.maybe("prompt_id") or f"{row.text('case_id')}_{row.text('prompt_type')}",
        query="prompt_text",
        images=images,
        category="hazard_category",
        subcategory="hazard_subcategory",
        description="unsafe_image_description",
        meta=("case_id", "case_text", "prompt_type", "hazard_subsubcategory"),
        needs=("case_id", "prompt_type"),
    )
