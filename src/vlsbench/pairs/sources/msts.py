"""MSTS: short phrases that are risky only with their image, in eleven languages."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs._image import Image
from vlsbench.pairs._pair import Pair
from vlsbench.pairs._rows import Row, file_image, find, inside, pairs_from, read_csv
from vlsbench.pairs._source import Home, Rows
from vlsbench.registry import source

LANGUAGES = (
    "arabic",
    "chinese",
    "farsi",
    "french",
    "german",
    "hindi",
    "italian",
    "korean",
    "russian",
    "spanish",
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
    rows={"multimodal": 400, "textonly": 400} | dict.fromkeys(LANGUAGES, 200),
    variants={
        "multimodal": "English, with the image",
        "textonly": "the same in words, without the image",
    }
    | {language: f"{language.capitalize()}, with the image" for language in LANGUAGES},
    layout="data/prompts/*.csv; images as data/images/<unsafe_image_id>.<any ending> (upstream "
    "publishes their addresses, not the files)",
)
def msts(root: Path, variant: str) -> Rows:
    """Yield the prompts of one language; `meta["case_id"]` joins the languages."""
    form = variant if variant == "textonly" else "multimodal"
    language = variant if variant in LANGUAGES else "english"
    file = find(root, f"data/prompts/{language}_{form}.csv")
    rows = read_csv(file, "hazard_category", "case_id", "prompt_text", "prompt_type")
    folder = root / "data/images"
    files = {path.stem: path.name for path in folder.iterdir()} if folder.is_dir() else {}
    yield from pairs_from(
        file.name,
        rows,
        lambda _, row: _pair(row, _image(row, folder, files) if form == "multimodal" else ()),
    )


def _image(row: Row, folder: Path, files: dict[str, str]) -> tuple[Image, ...]:
    name = inside(row.text("unsafe_image_id"))
    return (file_image(folder, files.get(name, f"{name}.jpg")),)


def _pair(row: Row, images: tuple[Image, ...]) -> Pair:
    prompt = row.maybe("prompt_id") or f"{row.text('case_id')}_{row.text('prompt_type')}"
    return Pair(
        id=prompt,
        query=row.text("prompt_text"),
        images=images,
        category=row.text("hazard_category"),
        subcategory=row.maybe("hazard_subcategory"),
        description=row.maybe("unsafe_image_description"),
        meta=row.only("case_id", "case_text", "prompt_type", "hazard_subsubcategory"),
    )
