"""MM-SafetyBench: the key phrase of a harmful question moved into an image, in four settings."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import Fields, Image, MissingFile, Rows, file_image, find, read_json, read_pairs
from vlsbench.pairs.sources._declared import by_authors

SCENARIOS = (
    *("01-Illegal_Activitiy", "02-HateSpeech", "03-Malware_Generation", "04-Physical_Harm"),
    *("05-EconomicHarm", "06-Fraud", "07-Sex", "08-Political_Lobbying", "09-Privacy_Violence"),
    *("10-Legal_Opinion", "11-Financial_Advice", "12-Health_Consultation", "13-Gov_Decision"),
)
"""Spelled as upstream spells them."""
SETTINGS = {
    "sd_typo": ("SD_TYPO", "Rephrased Question"),
    "sd": ("SD", "Rephrased Question(SD)"),
    "typo": ("TYPO", "Rephrased Question"),
    "text": ("Text_only", "Changed Question"),
}
"""Variant → folder of its images (the Hub's split), and key of its wording in the JSON files."""


def read(root: Path, variant: str) -> Rows:
    """Yield one setting of every scenario that is there; ids are `<NN-Scenario>/<id>`."""
    split, wording = SETTINGS[variant.removesuffix("_tiny")]
    listed = find(root, "TinyVersion_ID_List.json") if variant.endswith("_tiny") else None
    tiny = {
        f"{item.get('Scenario')}/{id}"
        for _, item in (read_json(listed) if listed else ())
        if isinstance(item, dict)
        for id in item.get("Sampled_ID_List", ())
    }

    def scenario_of(scenario: str, file: Path) -> Rows:
        embedded = file.suffix == ".parquet"

        def id(row: Fields) -> str:
            return f"{scenario}/{row.id('id') if embedded else row.label}"

        def images(row: Fields) -> tuple[Image, ...]:
            if split == "Text_only":
                return ()
            ref = f"data/imgs/{scenario}/{split}/{id(row).rpartition('/')[2]}.jpg"
            return (row.image("image", ref) if embedded else file_image(root, ref),)

        return read_pairs(
            file,
            id=id,
            query="question" if embedded else wording,
            images=images,
            category=lambda row: scenario,
            language="en",
            grades=by_authors("U??" if split == "Text_only" else "??U"),
            meta=("Question", "Changed Question", "Key Phrase", "Phrase Type"),
            keep=lambda row: not listed or id(row) in tiny,
        )

    found = False
    for scenario in SCENARIOS:
        questions = root / "data/processed_questions" / f"{scenario}.json"
        shards = sorted((root / "data" / scenario.split("-", 1)[1]).glob(f"{split}-*.parquet"))
        for file in (questions,) if questions.exists() else shards:
            found = True
            yield from scenario_of(scenario, file)
    if not found:
        raise MissingFile(f"no data/processed_questions/{SCENARIOS[0]}.json in {root}")
