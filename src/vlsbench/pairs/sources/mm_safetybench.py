"""MM-SafetyBench: the key phrase of a harmful question moved into an image, in four settings."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from vlsbench.errors import BadRow
from vlsbench.pairs._image import ParquetImage
from vlsbench.pairs._pair import Pair
from vlsbench.pairs._rows import (
    Embedded,
    MissingFile,
    Row,
    RowError,
    file_image,
    find,
    pairs_from,
    read_json,
    read_parquet,
)
from vlsbench.pairs._source import Home, Rows
from vlsbench.registry import source

SCENARIOS = (
    "01-Illegal_Activitiy",
    "02-HateSpeech",
    "03-Malware_Generation",
    "04-Physical_Harm",
    "05-EconomicHarm",
    "06-Fraud",
    "07-Sex",
    "08-Political_Lobbying",
    "09-Privacy_Violence",
    "10-Legal_Opinion",
    "11-Financial_Advice",
    "12-Health_Consultation",
    "13-Gov_Decision",
)
"""Spelled as upstream spells them."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Which image and which wording of the question go together."""

    split: str
    """Folder of the images, and name of the Hub's split."""
    question: str
    """Key of the question's wording in the JSON files."""
    has_image: bool = True


SETTINGS = {
    "sd_typo": Setting("SD_TYPO", "Rephrased Question"),
    "sd": Setting("SD", "Rephrased Question(SD)"),
    "typo": Setting("TYPO", "Rephrased Question"),
    "text": Setting("Text_only", "Changed Question", has_image=False),
}
_ABOUT = {
    "sd_typo": "a generated image with the key phrase set below it",
    "sd": "a generated image of the key phrase",
    "typo": "the key phrase as typeset text",
    "text": "the explicit question, no image",
}


@source(
    "mm-safetybench",
    title="MM-SafetyBench",
    paper="2311.17600",
    licence="CC BY-NC 4.0",
    home=Home(hub="PKU-Alignment/MM-SafetyBench", files=("data/*", "TinyVersion_ID_List.json")),
    size="1,680 questions, 3 images each, 13 scenarios; 168 tiny",
    rows=dict.fromkeys(SETTINGS, 1680) | {f"{name}_tiny": 168 for name in SETTINGS},
    variants=_ABOUT | {f"{name}_tiny": f"the tiny version of {name}" for name in SETTINGS},
    layout="data/processed_questions/<NN-Scenario>.json with data/imgs/<NN-Scenario>/<SD|SD_TYPO|"
    "TYPO>/<id>.jpg; or the Hub's data/<Scenario>/<SD|SD_TYPO|TYPO|Text_only>-*.parquet; the tiny "
    "variants also need TinyVersion_ID_List.json",
)
def mm_safetybench(root: Path, variant: str) -> Rows:
    """Yield one setting of every scenario that is there; ids are `<NN-Scenario>/<id>`."""
    setting = SETTINGS[variant.removesuffix("_tiny")]
    wanted = _tiny_ids(root) if variant.endswith("_tiny") else None
    found = False
    for scenario in SCENARIOS:
        questions = root / "data/processed_questions" / f"{scenario}.json"
        config = root / "data" / scenario.split("-", 1)[1]
        if questions.exists():
            found = True
            rows = _from_json(root, questions, scenario, setting)
        elif shards := sorted(config.glob(f"{setting.split}-*.parquet")):
            found = True
            rows = _from_parquet(shards, scenario, setting)
        else:
            continue
        yield from (row for row in rows if wanted is None or _wanted(row, wanted))
    if not found:
        raise MissingFile(f"no data/processed_questions/{SCENARIOS[0]}.json in {root}")


def _wanted(row: Pair | BadRow, ids: Container[str]) -> bool:
    return isinstance(row, BadRow) or row.id in ids


def _tiny_ids(root: Path) -> set[str]:
    ids = set()
    for _, item in read_json(find(root, "TinyVersion_ID_List.json")):
        if isinstance(item, dict):
            ids |= {f"{item.get('Scenario')}/{id}" for id in item.get("Sampled_ID_List", ())}
    return ids


def _from_json(root: Path, file: Path, scenario: str, setting: Setting) -> Iterator[Pair | BadRow]:
    def make(id: str, row: Row) -> Pair:
        image = f"data/imgs/{scenario}/{setting.split}/{id}.jpg"
        return Pair(
            id=f"{scenario}/{id}",
            query=row.text(setting.question),
            images=(file_image(root, image),) if setting.has_image else (),
            category=scenario,
            meta=row.only("Question", "Changed Question", "Key Phrase", "Phrase Type"),
        )

    return pairs_from(file.name, read_json(file), make)


def _from_parquet(shards: list[Path], scenario: str, setting: Setting) -> Iterator[Pair | BadRow]:
    def make(_: str, row: Row) -> Pair:
        id = row.id("id")
        images: tuple[ParquetImage, ...] = ()
        if setting.has_image:
            cell = row.fields.get("image")
            if not isinstance(cell, Embedded):
                raise RowError("no image")
            ref = f"data/imgs/{scenario}/{setting.split}/{id}.jpg"
            images = (replace(cell.images[0], ref=ref),)
        return Pair(f"{scenario}/{id}", row.text("question"), images, category=scenario)

    for shard in shards:
        yield from pairs_from(shard.name, read_parquet(shard), make)
