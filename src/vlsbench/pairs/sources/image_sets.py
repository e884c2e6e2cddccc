"""Small sets of image-text pairs: one file each, whose columns are what a pair holds."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import Fields, Image, Rows, file_image, find, folder_of
from vlsbench.pairs.sources._declared import by_authors, read_english, shipped

LANGUAGES = {
    "arabic": "ar", "chinese": "zh", "farsi": "fa", "french": "fr", "german": "de",
    "hindi": "hi", "italian": "it", "korean": "ko", "russian": "ru", "spanish": "es",
}  # fmt: skip
"""Variant of MSTS → ISO 639 code."""
CONTEXT_BREAK = "\n\n---\n\n"
"""Between the context of a contextual HarmBench behaviour and the behaviour."""


@shipped("harmbench")
def harmbench(root: Path, variant: str) -> Rows:
    """HarmBench: harmful behaviours, 110 of them about an image."""

    def query(row: Fields) -> str:
        context, behaviour = row.maybe("ContextString"), row.text("Behavior")
        return context + CONTEXT_BREAK + behaviour if context else behaviour

    def images(row: Fields) -> tuple[Image, ...]:
        if variant != "multimodal":
            return ()
        return (file_image(root / "data/multimodal_behavior_images", row.text("ImageFileName")),)

    part = variant if variant in ("standard", "contextual", "copyright") else ""
    name = {"multimodal": "multimodal_all", "text": "text_all"}.get(variant, variant)
    name = "text_all" if part else name
    about = "RedactedImageDescription" if variant == "multimodal" else "FunctionalCategory"
    return read_english(
        find(root, f"data/behavior_datasets/harmbench_behaviors_{name}.csv"),
        id="BehaviorID",
        query=query,
        images=images,
        category="SemanticCategory",
        description="ImageDescription",
        source="Source",
        grades=by_authors("??U" if variant == "multimodal" else "U??"),
        meta=(about, "Tags"),
        needs=("Behavior", "ImageFileName" if variant == "multimodal" else "ContextString"),
        keep=lambda row: part in ("", row.text("FunctionalCategory")),
    )


@shipped("siuo")
def siuo(root: Path, variant: str) -> Rows:
    """SIUO: a safe query and a safe image that are unsafe together (the generation task alone)."""
    file = find(root, "data/siuo_gen.json", "siuo_gen.json")
    folder = folder_of(file.parent, "images")
    return read_english(
        file,
        id="question_id",
        query="question",
        images=lambda row: (file_image(folder, row.text("image")),),
        category="category",
        reason="safety_warning",
        grades=by_authors("SSU"),
        meta=("reference_answer",),
    )


@shipped("mossbench")
def mossbench(root: Path, variant: str) -> Rows:
    """MOSSBench: harmless pairs that an oversensitive model refuses, or their harmful contrasts."""
    folder = root / ("data_contrast" if variant == "contrast" else "data")
    return read_english(
        find(folder, "images_information/information.json"),
        id="pid",
        query="question",
        images=lambda row: (file_image(folder, row.text("image")),),
        category=lambda row: row.row("metadata").text("over"),
        harmful=variant == "contrast",
        description=lambda row: row.maybe("description") or row.maybe("short description"),
        grades=by_authors("??U" if variant == "contrast" else "S?S"),
        meta=lambda row: row.row("metadata").only("human", "child", "syn", "ocr", "harm"),
    )


@shipped("msts")
def msts(root: Path, variant: str) -> Rows:
    """MSTS: phrases that are risky only with their image; `meta["case_id"]` joins languages."""
    language = "english" if variant in ("multimodal", "textonly") else variant
    form = "textonly" if variant == "textonly" else "multimodal"
    folder = root / "data/images"
    files = {path.stem: path.name for path in folder.iterdir()} if folder.is_dir() else {}

    def images(row: Fields) -> tuple[Image, ...]:
        if form == "textonly":
            return ()
        name = row.text("unsafe_image_id")
        return (file_image(folder, files.get(name, f"{name}.jpg")),)

    return read_english(
        find(root, f"data/prompts/{language}_{form}.csv"),
        id=lambda row: row.maybe("prompt_id") or f"{row.text('case_id')}_{row.text('prompt_type')}",
        query="prompt_text",
        images=images,
        category="hazard_category",
        subcategory="hazard_subcategory",
        description="unsafe_image_description",
        language=LANGUAGES.get(variant, "en"),
        grades=by_authors("U??" if form == "textonly" else "S?U"),
        meta=("case_id", "case_text", "prompt_type", "hazard_subsubcategory"),
        needs=("case_id", "prompt_type"),
    )
