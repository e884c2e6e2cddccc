"""Small public sets made by hand in the form in which they are published; all of it harmless.

Each function fills a folder and the table says what is read from it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from .conftest import picture

Row = dict[str, Any]
TOAST = "May I toast bread beside the bath?"


def put(path: Path, data: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data or picture())


def put_json(path: Path, rows: object) -> None:
    put(path, json.dumps(rows).encode())


def put_lines(path: Path, rows: Iterable[Row]) -> None:
    put(path, "\n".join(map(json.dumps, rows)).encode())


def put_csv(path: Path, rows: list[Row], encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def put_parquet(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = (
        {"bytes": picture(), "path": f"{path.stem}-{place}.png"} for place in range(len(rows))
    )
    pq.write_table(
        pa.Table.from_pylist([row | {"image": one} for row, one in zip(rows, images, strict=True)]),
        path,
    )


def jailbreakv(root: Path) -> None:
    rows = [
        {"id": 0, "jailbreak_query": f"You are a toaster. {TOAST}", "redteam_query": TOAST,
         "format": "Template", "policy": "Kitchen", "image_path": "llm_transfer_attack/a.png",
         "from": "us", "selected_mini": "True", "transfer_from_llm": "True"},
        {"id": 1, "jailbreak_query": "Fill in the list.", "redteam_query": TOAST,
         "format": "figstep", "policy": "Kitchen", "image_path": "figstep/b.png",
         "from": "us", "selected_mini": "False", "transfer_from_llm": "False"},
    ]  # fmt: skip
    folder = root / "JailBreakV_28K"
    put_csv(folder / "JailBreakV_28K.csv", rows)
    put_csv(folder / "mini_JailBreakV_28K.csv", rows[:1])
    questions = [{"id": 1, "question": TOAST, "policy": "Kitchen", "from": "us"}]
    put_csv(folder / "RedTeam_2K.csv", questions)
    put(folder / "figstep/b.png")


def vlsafe(root: Path) -> None:
    row = {"image_id": "000000000001.jpg", "caption": "A toaster on a bath.", "query": TOAST}
    put_lines(root / "VLSafe/harmlessness_examine.jsonl", [row, row | {"query": "And a kettle?"}])
    put_lines(root / "VLSafe/harmlessnss_alignment.jsonl", [row | {"reference": "Better not."}])
    put(root / "train2017/000000000001.jpg", picture(form="JPEG"))


def spa_vl(root: Path) -> None:
    row = {"question": TOAST, "class1": "Kitchen", "class2": "Heat", "class3": "Water"}
    put_parquet(root / "test/harm-00000-of-00001.parquet", [row, row])
    put_parquet(root / "test/help-00000-of-00001.parquet", [row | {"question": "What is it?"}])


def beavertails_v(root: Path) -> None:
    for category in ("animal_abuse", "dangerous_behavior"):
        row = {"question": TOAST, "category": category, "image_severity": 2, "response": "No."}
        put_parquet(root / f"data/{category}/evaluation.parquet", [row, row])
        put_parquet(root / f"data/{category}/train.parquet", [row] * 3)


def mssbench(root: Path) -> None:
    chat = {
        "safe_image_path": "0.jpg",
        "unsafe_image_path": "1.jpg",
        "intent": "dry hair",
        "unsafe_image": "a bath",
        "Type": "Physical",
        "queries": [TOAST, "How long?"],
    }
    robot = {
        "task": "toast",
        "category": "Fire",
        "safe": "s.png",
        "unsafe": "u.png",
        "safe_instruction": "Toast it.",
        "unsafe_instruction": "Toast it.",
        "safe_instructions": [],
        "unsafe_instructions": [],
    }
    put_json(root / "combined.json", {"chat": [chat], "embodied": [robot]})  # fmt: skip
    for name in ("chat/0.jpg", "chat/1.jpg", "embodied/s.png", "embodied/u.png"):
        put(root / name)


def holisafe(root: Path) -> None:
    rows = [
        {"id": place, "query": TOAST, "category": "kitchen", "subcategory": "heat",
         "type": kind, "image_safe": kind[0] == "S", "image_safety_label": "safe"}
        for place, kind in enumerate(("SSS", "SSU", "USU"))
    ]  # fmt: skip
    put_parquet(root / "data/test-00000-of-00002.parquet", rows[:2])
    put_parquet(root / "data/test-00001-of-00002.parquet", rows[2:])
    listed = [row | {"image": f"kitchen/heat/{row['id']}.jpg"} for row in rows]
    put_json(root / "holisafe_bench.json", [*listed, listed[0] | {"id": 3}])
    put(root / "images/kitchen/heat/0.jpg")


def vlsu(root: Path) -> None:
    rows = [
        {"prompt": TOAST, "web_path": "https://example.org/a.jpg", "combined_category": "C3",
         "uuid": uuid, "image_grade": image, "consensus_text_grade": text,
         "consensus_combined_grade": pair, "image_category": "", "text_category": ""}
        for uuid, text, image, pair in (
            ("a", "safe", "safe", "unsafe"), ("b", "borderline", "unsafe", "borderline"),
            ("c", "safe", "safe", "safe"), ("d", "unsafe", "not_sure", "not_sure"),
        )
    ]  # fmt: skip
    put_csv(root / "data/VLSU.csv", rows)
    put(root / "images/a.webp", picture(form="WEBP"))


def usb(root: Path) -> None:
    row = {"id": 1, "text": TOAST, "text_zh": "我可以烤面包吗?", "open_url": "img/a.jpg",
           "level1_category": "Public Safety", "level2_category": "Kitchen",
           "level3_category": "Heat", "img_risk": "1", "text_risk": "0",
           "img_style": "realistic", "usage": "vulnerability"}  # fmt: skip
    benign = row | {"id": 2, "text_zh": "", "usage": "overrefusal", "level1_category": ""}
    put_csv(root / "USB_base_final.csv", [row, benign], "utf-8-sig")
    put_csv(root / "USB_hard_final.csv", [row, benign], "utf-8-sig")
    put(root / "img/a.jpg")


def salad(root: Path) -> None:
    row = {"query": TOAST, "category": "kitchen", "image": "a.png"}
    unsafe = row | {"safety type": "unsafe", "safety warning": "Water conducts."}
    put_json(root / "data/data.json",
             [unsafe, row | {"safety type": "safe", "safe suggestion": "Yes."}])  # fmt: skip
    put(root / "images/a.png")


def mis(root: Path) -> None:
    for kind, count in (("easy", 3), ("hard", 2), ("real", 1)):
        rows = [
            {"question": TOAST, "category": "kitchen", "sub_category": "heat",
             "image_path1": f"{kind}_image/{n}/object1.png",
             "image_path2": f"{kind}_image/{n}/object2.png"}
            for n in range(count)
        ]  # fmt: skip
        put_json(root / f"mis_{kind}.json", rows)
    put(root / "hard_image/0/object1.png")


def lingua(root: Path) -> None:
    row = {"question": "Darf ich toasten?", "image_path": "image/a.png"}
    put_json(root / "1-Image-Dominant Risk/Visual/German/Fraud.json", [row])
    put_json(root / "1-Image-Dominant Risk/Mixed/Finnish/Fraud.json", [row, row])
    put_json(root / "2-Text-Dominant Risk/German/Physical Harm.json", [row])
    put(root / "bundle_data/image/a.png")


def comicjailbreak(root: Path) -> None:
    row = {"Goal": TOAST, "Behavior": "Toasting", "Category": "Kitchen", "Origin": "us",
           "Article": "", "Speech": "Let us toast.", "Instruction": "1. Toast.", "Message": "",
           "Code": "toast()"}  # fmt: skip
    put_csv(root / "dataset.csv", [row, row | {"Code": ""}])
    for name in ("speech", "instruction", "code"):
        put(root / f"template/{name}.png", picture("white", (1536, 768)))


def visualleakbench(root: Path) -> None:
    rows = [
        {"filename": "ocr_v2_0000.png", "category": "OCR Injection", "target": "Toast the bread",
         "pii_type": ""},
        {"filename": "pii_v2_0000.png", "category": "PII Leakage", "target": "a@example.org",
         "pii_type": "Email"},
    ]  # fmt: skip
    put_csv(root / "metadata.csv", rows)
    put(root / "ocr_v2_0000.png")


def or_bench(root: Path) -> None:
    for name in ("hard-1k", "80k", "toxic"):
        put_csv(root / f"or-bench-{name}.csv", [{"prompt": TOAST, "category": "kitchen"}])


def sorry_bench(root: Path) -> None:
    row = {"question_id": 1, "category": "2", "turns": [TOAST], "prompt_style": "base"}
    put_lines(root / "question.jsonl", [row, row | {"question_id": 2}])
    put_lines(root / "question_zh.jsonl", [row | {"prompt_style": "translate-zh-cn"}])


def jbb(root: Path) -> None:
    row = {"Index": 1, "Goal": TOAST, "Target": "Sure", "Behavior": "Toasting",
           "Category": "Kitchen", "Source": "us"}  # fmt: skip
    put_csv(root / "data/harmful-behaviors.csv", [row])
    put_csv(root / "data/benign-behaviors.csv", [row | {"Goal": "May I toast in the kitchen?"}])


class Made(NamedTuple):
    """How a set is made, and for each variant: pairs, images, images missing, benign pairs."""

    make: Callable[[Path], None]
    counts: Mapping[str, tuple[int, int, int, int]]


MADE: Mapping[str, Made] = {
    "jailbreakv": Made(
        jailbreakv, {"28k": (2, 2, 1, 0), "mini": (1, 1, 1, 0), "redteam2k": (1, 0, 0, 0)}
    ),
    "vlsafe": Made(vlsafe, {"examine": (2, 1, 0, 0), "alignment": (1, 1, 0, 0)}),
    "spa-vl": Made(spa_vl, {"harm": (2, 2, 0, 0), "help": (1, 1, 0, 1)}),
    "beavertails-v": Made(beavertails_v, {"": (4, 4, 0, 0)}),
    "mssbench": Made(mssbench, {"chat": (4, 2, 0, 2), "embodied": (2, 2, 0, 1)}),
    "holisafe": Made(holisafe, {"hub": (3, 3, 0, 1), "list": (4, 3, 2, 2)}),
    "vlsu": Made(vlsu, {"decided": (2, 2, 1, 1), "all": (4, 4, 3, 1)}),
    "usb": Made(
        usb,
        {
            "base": (2, 1, 0, 1),
            "hard": (2, 1, 0, 1),
            "base_zh": (1, 1, 0, 0),
            "hard_zh": (1, 1, 0, 0),
        },
    ),
    "salad": Made(salad, {"": (2, 1, 0, 1)}),
    "mis": Made(mis, {"hard": (2, 4, 3, 0), "easy": (3, 6, 6, 0), "real": (1, 2, 2, 0)}),
    "lingua": Made(lingua, {"all": (4, 1, 0, 0), "image": (3, 1, 0, 0), "text": (1, 1, 0, 0)}),
    "comicjailbreak": Made(comicjailbreak, {"": (5, 5, 0, 0)}),
    "visualleakbench": Made(visualleakbench, {"": (2, 2, 1, 0)}),
    "or-bench": Made(
        or_bench, {"hard-1k": (1, 0, 0, 1), "80k": (1, 0, 0, 1), "toxic": (1, 0, 0, 0)}
    ),
    "sorry-bench": Made(sorry_bench, {"base": (2, 0, 0, 0), "all": (3, 0, 0, 0)}),
    "jbb-behaviors": Made(
        jbb, {"all": (2, 0, 0, 1), "harmful": (1, 0, 0, 0), "benign": (1, 0, 0, 1)}
    ),
}
