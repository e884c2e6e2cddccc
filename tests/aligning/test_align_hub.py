"""Sets to train on from the Hub, over real HTTP: licences first, then one pinned state."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.aligning.align_examples import ASK, NO, YES, picture, says, user
from tests.pairs.homes import COMMIT, OTHER, Homes, serving
from vlsbench.aligning import Method
from vlsbench.aligning.data import FREE, open_data
from vlsbench.errors import VlsbenchError

PROGRAM = """
import json, sys
from vlsbench.aligning import AlignConfig, Method, open_training
from vlsbench.errors import VlsbenchError

for method, spec, accept in json.loads(sys.argv[1]):
    try:
        config = AlignConfig(
            method=Method(method), data=(spec,), model="org/m", accept_licence=accept
        )
        found = open_training(config)
    except VlsbenchError as error:
        print(json.dumps({"error": str(error)}))
        continue
    rows = found.data.rows
    shown = [sorted(row) + [len(row.get("images", ()))] for row in rows]
    print(json.dumps({"rows": shown, "about": found.about()}))
"""


def png() -> bytes:
    file = io.BytesIO()
    picture("red").save(file, "PNG")
    return file.getvalue()


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def files() -> dict[str, bytes]:
    """All the sets' files in one repository: each fetch takes its own."""
    table = io.BytesIO()
    row = {
        "image": {"bytes": png(), "path": None},
        "question": ASK,
        "chosen": NO,
        "rejected": YES,
        "response_1": YES,
        "response_2": NO,
        "safer_response_id": 2,
        "is_response_2_safe": True,
    }
    pq.write_table(pa.Table.from_pylist([row]), table)
    pictures = io.BytesIO()
    with zipfile.ZipFile(pictures, "w") as archive:
        archive.writestr("train/a.png", png())
    item = {"image": "a.png", "instr-resp": [{"instruction": ASK, "response": NO}]}
    two = {
        "prompt": ASK,
        "response_0": NO,
        "response_1": YES,
        "is_response_0_safe": True,
        "is_response_1_safe": False,
        "safer_response_id": 0,
    }
    return {
        "toast/train-00000-of-00001.parquet": table.getvalue(),
        "data/Alpaca-7B/train.jsonl": lines(two),
        "train.json": json.dumps([item]).encode(),
        "train.zip": pictures.getvalue(),
        "kitchen/rows.jsonl": lines({"messages": user(ASK) + says(NO), "images": ["a.png"]}),
        "kitchen/a.png": png(),
        "README.md": b"---\nlicense: mit\n---\nToasters.\n",
    }


@pytest.fixture
def homes() -> Iterator[Homes]:
    with serving(Homes(files())) as found:
        yield found


def prepare(homes: Homes, cache: Path, *asked: tuple[str, str, bool]) -> list[dict[str, Any]]:
    """Open sets in a fresh process: the Hub's client reads its endpoint when it is imported."""
    environment = {**homes.environment(cache), "VLSBENCH_HOME": str(cache / "vlsbench")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(asked)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def fetched(homes: Homes) -> Sequence[str]:
    return [request for request in homes.requests if "/resolve/" in request]


def test_every_published_set_is_fetched_by_its_name(homes: Homes, tmp_path: Path) -> None:
    named = ["saferlhf", "vlguard-train", "beavertails-v", "spa-vl"]
    refused = prepare(homes, tmp_path, *(("sft", name, False) for name in named[:3]))
    assert all("say --accept-licence" in one["error"] for one in refused)
    assert homes.requests == []
    taken = prepare(
        homes,
        tmp_path,
        *(("sft", name, True) for name in named),
        ("mm-dpo", "beavertails-v", True),
        ("mm-dpo", "spa-vl", False),
    )
    assert [one["rows"] for one in taken] == [
        [["messages", 0]],
        *[[["harmful", "images", "messages", 1]]] * 3,
        *[[["chosen", "harmful", "images", "prompt", "rejected", 1]]] * 2,
    ]
    about = taken[0]["about"]
    repository = {"repository": "PKU-Alignment/PKU-SafeRLHF", "revision": COMMIT}
    assert about["fetched"] == {"saferlhf": repository}
    assert about["accepted"] == ["saferlhf"]


@pytest.mark.parametrize("licence", ["", "cc-by-nc-4.0"])
def test_a_licence_is_asked_for_before_anything_is_fetched(
    licence: str, homes: Homes, tmp_path: Path
) -> None:
    homes.licence = licence
    (done,) = prepare(homes, tmp_path, ("mm-sft", "hub:kitchen/toasters:kitchen", False))
    assert f"restricts training ({licence or 'none stated'})" in done["error"]
    assert fetched(homes) == []


def test_any_set_of_the_hub_is_pinned_at_its_first_fetch(homes: Homes, tmp_path: Path) -> None:
    homes.licence = "apache-2.0"
    ask = ("mm-sft", "hub:kitchen/toasters:kitchen", False)
    (first,) = prepare(homes, tmp_path, ask)
    assert first["rows"] == [["images", "messages", 1]]
    assert first["about"]["licences"] == {"hub/kitchen/toasters": "apache-2.0"}
    assert fetched(homes)
    homes.commit = OTHER
    homes.requests.clear()
    again, nothing, other = prepare(
        homes,
        tmp_path,
        ask,
        ("mm-sft", "hub:kitchen/toasters:garden", False),
        ("mm-sft", f"hub:kitchen/toasters@{OTHER}:kitchen", False),
    )
    pin = {"repository": "kitchen/toasters", "revision": COMMIT}
    assert again["about"]["fetched"] == {"hub/kitchen/toasters": pin}
    # What was fetched is read without the Hub, its licence too.
    assert again["about"]["licences"] == {"hub/kitchen/toasters": "mit"}
    assert "no .jsonl or .parquet file of the split 'garden'" in nothing["error"]
    assert other["about"]["fetched"]["hub/kitchen/toasters"]["revision"] == OTHER


def test_a_licence_that_lets_anyone_train_is_known() -> None:
    free = ("mit", "apache-2.0", "cc-by-4.0", "cc-by-sa-3.0", "cc0-1.0", "cdla-permissive-2.0")
    assert all(FREE.fullmatch(licence) for licence in free)
    restricted = ("", "other", "cc-by-nc-4.0", "cc-by-nd-4.0", "openrail", "mit, cc-by-nc-4.0")
    assert not any(FREE.fullmatch(licence) for licence in restricted)


@pytest.mark.parametrize(
    "spec", ["hub:toasters", "hub:../x", "hub:a/..", "hub:a/b/c", "hub:a/b@../c", "hub:a/b:../c"]
)
def test_what_is_no_name_of_a_set_is_refused(spec: str) -> None:
    with pytest.raises(VlsbenchError, match="is not hub:OWNER/NAME"):
        open_data([spec], Method.SFT)


def test_a_folder_is_read_by_its_training_split(tmp_path: Path) -> None:
    row = {"messages": user(ASK) + says(NO)}
    (tmp_path / "train-00000-of-00001.jsonl").write_bytes(lines(row, row))
    (tmp_path / "test.jsonl").write_bytes(lines(row))
    assert len(open_data([str(tmp_path)], Method.T_SFT).rows) == 2
    (tmp_path / "train-00000-of-00001.jsonl").rename(tmp_path / "rows.jsonl")
    assert len(open_data([str(tmp_path)], Method.T_SFT).rows) == 2
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(VlsbenchError, match=r"split 'train' in .*; it holds test\.jsonl"):
        open_data([str(tmp_path)], Method.T_SFT)
