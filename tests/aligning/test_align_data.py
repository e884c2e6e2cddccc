"""Published sets and one's own, in their official forms, as the rows a method learns from."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.aligning.align_examples import ASK, NO, YES, picture, says, user
from vlsbench.aligning import Method, TrainingSettings, check_rows
from vlsbench.aligning.data import open_data, unpack
from vlsbench.aligning.sets import TRAINING_SETS
from vlsbench.errors import BadRows, VlsbenchError


def png(colour: str = "red") -> bytes:
    file = io.BytesIO()
    picture(colour).save(file, "PNG")
    return file.getvalue()


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path, row_group_size=2)
    return path


def saferlhf_row(safe: tuple[bool, bool], safer: int) -> dict[str, Any]:
    return {
        "prompt": ASK,
        "response_0": NO,
        "response_1": YES,
        "is_response_0_safe": safe[0],
        "is_response_1_safe": safe[1],
        "safer_response_id": safer,
        "better_response_id": safer,
    }


@pytest.fixture
def saferlhf(tmp_path: Path) -> Path:
    rows = [
        saferlhf_row((True, False), 0),
        saferlhf_row((False, False), 1),
        saferlhf_row((True, True), 0),
    ]
    write_jsonl(tmp_path / "data" / "Alpaca-7B" / "train.jsonl", rows)
    return tmp_path


def test_saferlhf_serves_sft_preferences_and_unlearning(saferlhf: Path) -> None:
    spec = [f"saferlhf={saferlhf}"]
    sft = open_data(spec, Method.T_SFT, accept_licence=True).rows
    assert [row["messages"][1]["content"] for row in sft] == [NO, NO]
    dpo = open_data(spec, Method.T_DPO, accept_licence=True).rows
    assert [row["chosen"][0]["content"] for row in dpo] == [NO, YES, NO]
    rows = open_data(spec, Method.T_SAFE_UNLEARNING, accept_licence=True).rows
    found = [(row["kind"], row["completion"][0]["content"]) for row in rows]
    assert found == [
        ("safe", NO),
        ("harmful", YES),
        ("harmful", NO),
        ("harmful", YES),
        ("retain", NO),
    ]
    check_rows(Method.T_SAFE_UNLEARNING, rows, TrainingSettings(), "saferlhf")


def test_a_licence_that_restricts_training_must_be_accepted(saferlhf: Path) -> None:
    spec = [f"saferlhf={saferlhf}"]
    with pytest.raises(VlsbenchError, match=r"CC BY-NC 4\.0.*--accept-licence"):
        open_data(spec, Method.T_SFT)
    data = open_data(spec, Method.T_SFT, accept_licence=True)
    assert data.accepted == ("saferlhf",)
    assert data.licences == {"saferlhf": "CC BY-NC 4.0"}
    restricted = {name for name, one in TRAINING_SETS.items() if not one.free}
    assert restricted == {"saferlhf", "beavertails-v", "vlguard-train"}


def vlguard_item(name: str, safe: bool) -> dict[str, Any]:
    both = [
        {"safe_instruction": "what is this ?", "response": YES},
        {"unsafe_instruction": ASK, "response": NO},
    ]
    one = [{"instruction": ASK, "response": NO}]
    return {"id": name, "image": f"{name}.png", "safe": safe, "instr-resp": both if safe else one}


def test_vlguard_gives_a_row_for_each_instruction(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for name in "ab":
        (tmp_path / "train" / f"{name}.png").write_bytes(png())
    items = [vlguard_item("a", True), vlguard_item("b", False)]
    (tmp_path / "train.json").write_text(json.dumps(items))
    data = open_data([f"vlguard-train={tmp_path}"], Method.MM_SFT, accept_licence=True)
    assert [row["harmful"] for row in data.rows] == [False, True, True]
    assert [row["messages"][1]["content"] for row in data.rows] == [YES, NO, NO]
    check_rows(Method.MM_SFT, data.rows, TrainingSettings(), "vlguard")
    with pytest.raises(VlsbenchError, match=r"no preference rows .* take saferlhf or spa-vl"):
        open_data([f"vlguard-train={tmp_path}"], Method.MM_DPO, accept_licence=True)


def test_vlguard_lists_every_row_it_cannot_use(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    items = [
        vlguard_item("a", False),
        vlguard_item("missing", False),
        {**vlguard_item("a", False), "instr-resp": [{"question": ASK}]},
        {**vlguard_item("a", False), "image": "../a.png"},
    ]
    (tmp_path / "train.json").write_text(json.dumps(items))
    spec = [f"vlguard-train={tmp_path}"]
    with pytest.raises(BadRows, match="3 unusable rows") as caught:
        open_data(spec, Method.MM_SFT, accept_licence=True)
    for reason in ("row 1: image missing.png is missing", "no instruction", "outside the folder"):
        assert reason in str(caught.value)
    left = open_data(spec, Method.MM_SFT, accept_licence=True, skip_bad=True)
    assert (len(left.rows), len(left.bad)) == (1, 3)


def test_spa_vl_pictures_are_read_from_parquet_and_unpacked_once(tmp_path: Path) -> None:
    colours = ("red", "blue", "red")
    rows = [
        {
            "image": {"bytes": png(colour), "path": "x.png"},
            "question": ASK,
            "chosen": NO,
            "rejected": YES,
        }
        for colour in colours
    ]
    write_parquet(tmp_path / "data" / "train-00000-of-00001.parquet", rows)
    data = open_data([f"spa-vl={tmp_path}"], Method.MM_DPO)
    assert data.accepted == ()
    check_rows(Method.MM_DPO, data.rows, TrainingSettings(), "spa-vl")
    ready = unpack(data.rows, tmp_path / "pictures")
    paths = [row["images"][0] for row in ready]
    assert [path.read_bytes() for path in paths] == [png(colour) for colour in colours]
    # The same picture is one file.
    assert len(set(paths)) == 2
    assert unpack(data.rows, tmp_path / "pictures") == ready
    for method in (Method.T_UNLEARNING, Method.T_SAFE_UNLEARNING):
        with pytest.raises(VlsbenchError, match=r"no unlearning rows .* take saferlhf$"):
            open_data([f"spa-vl={tmp_path}"], method)


def test_beavertails_v_prefers_the_safer_answer(tmp_path: Path) -> None:
    image = {"bytes": png(), "path": None}
    two = [
        {
            "image": image,
            "question": ASK,
            "response_1": YES,
            "response_2": NO,
            "safer_response_id": 2,
            "is_response_1_safe": False,
            "is_response_2_safe": True,
        }
    ]
    write_parquet(tmp_path / "animal_abuse" / "train.parquet", two)
    spec = [f"beavertails-v={tmp_path}"]
    for method, key in ((Method.MM_DPO, "chosen"), (Method.MM_SFT, "messages")):
        row = open_data(spec, method, accept_licence=True).rows[0]
        assert row[key][-1]["content"] == NO


def test_rows_of_ones_own_from_jsonl(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    rows = [
        {"messages": user(ASK) + says(NO), "images": ["a.png"]},
        {"messages": user(ASK) + says(NO), "image": "a.png", "harmful": False, "note": "x"},
    ]
    data = open_data([str(write_jsonl(tmp_path / "rows.jsonl", rows))], Method.MM_SFT)
    assert [len(row["images"]) for row in data.rows] == [1, 1]
    assert data.rows[1]["harmful"] is False
    assert "note" not in data.rows[1]


def test_rows_of_ones_own_from_parquet(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": user(ASK),
            "chosen": says(NO),
            "rejected": says(YES),
            "images": [{"bytes": png(), "path": "a.png"}],
        }
    ]
    path = write_parquet(tmp_path / "rows.parquet", rows)
    data = open_data([str(path)], Method.MM_DPO)
    check_rows(Method.MM_DPO, data.rows, TrainingSettings(), "rows")
    assert data.rows[0]["rejected"] == says(YES)


def test_plain_text_stands_for_a_message(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [{"prompt": ASK, "chosen": NO, "rejected": YES}])
    row = open_data([str(path)], Method.T_DPO).rows[0]
    assert (row["prompt"], row["chosen"]) == (user(ASK), says(NO))


def shared(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"from": speaker, "value": text} for speaker, text in turns]


@pytest.mark.parametrize("form", [".json", ".jsonl", ".parquet"])
def test_conversations_of_llava_are_read_as_messages(tmp_path: Path, form: str) -> None:
    (tmp_path / "a.png").write_bytes(png())
    rows = [
        {
            "id": "1",
            "image": "a.png",
            "conversations": shared(
                ("human", f"<image>\n{ASK}"), ("gpt", NO), ("human", "Why?"), ("gpt", "It is hot.")
            ),
        }
    ]
    path = tmp_path / f"rows{form}"
    if form == ".parquet":
        write_parquet(path, rows)
    elif form == ".jsonl":
        write_jsonl(path, rows)
    else:
        path.write_text(json.dumps(rows), "utf-8")
    data = open_data([str(path)], Method.MM_SFT)
    (row,) = data.rows
    assert row["messages"] == user(ASK) + says(NO) + user("Why?") + says("It is hot.")
    assert len(row["images"]) == 1
    check_rows(Method.MM_SFT, data.rows, TrainingSettings(), "rows")


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        (shared(("human", f"<image> {ASK}"), ("gpt", NO)), "<image> occurs 1 times, and the row"),
        (shared(("observation", ASK), ("gpt", NO)), "from 'observation' is not human, user"),
        ([{"from": "human"}], "no 'value'"),
        ("hello", "'conversations' must be a list of turns"),
        (shared(("human", ASK)), "does not end with an answer"),
    ],
)
def test_conversations_that_cannot_be_used_say_why(tmp_path: Path, turns: Any, said: str) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [{"conversations": turns}])

    def use() -> None:
        rows = open_data([str(path)], Method.T_SFT).rows
        check_rows(Method.T_SFT, rows, TrainingSettings(), path.name)

    with pytest.raises(BadRows, match=re.escape(said)) as caught:
        use()
    assert "rows.jsonl, row 1" in str(caught.value)


def test_an_image_after_the_first_question_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    turns = shared(("human", ASK), ("gpt", NO), ("human", "<image> And this?"), ("gpt", NO))
    path = write_jsonl(tmp_path / "rows.jsonl", [{"conversations": turns, "image": "a.png"}])
    with pytest.raises(BadRows, match="<image> occurs after the first question"):
        open_data([str(path)], Method.MM_SFT)


def test_every_bad_row_of_every_set_is_in_one_error(tmp_path: Path) -> None:
    one = write_jsonl(tmp_path / "one.jsonl", [{"messages": "hello"}, {"text": "x"}])
    two = write_jsonl(
        tmp_path / "two.jsonl",
        [
            {"messages": user(ASK) + says(NO), "images": ["gone.png"]},
            {"messages": [{"content": "x"}]},
        ],
    )
    with pytest.raises(BadRows, match="4 unusable rows") as caught:
        open_data([str(one), str(two)], Method.SFT)
    text = str(caught.value)
    assert "one.jsonl, row 1: 'messages' is text" in text
    assert "two.jsonl, row 1: image gone.png is missing" in text


def test_an_unknown_set_names_those_there_are() -> None:
    with pytest.raises(VlsbenchError, match="did you mean spa-vl"):
        open_data(["spavl"], Method.MM_DPO)


def test_a_folder_of_another_layout_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match=r"no \*train\*\.parquet in"):
        open_data([f"spa-vl={tmp_path}"], Method.MM_DPO)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["messages", "conversations", "prompt", "chosen", "rejected", "images", "kind"]
        ),
        json_values,
    )
)
def test_any_row_is_either_read_or_refused(row: dict[str, Any]) -> None:
    from vlsbench.aligning.data import read_row
    from vlsbench.pairs import Fields, RowError

    try:
        found = list(read_row(Fields(row), Path("nowhere")))
    except RowError:
        return
    try:
        check_rows(Method.SFT, found, TrainingSettings(), "rows")
    except BadRows:
        return
    assert found[0]["messages"][-1]["role"] == "assistant" or "completion" in found[0]


def test_skip_bad_leaves_out_rows_that_do_not_suit_the_method(tmp_path: Path) -> None:
    from vlsbench.aligning import AlignConfig, open_training

    (tmp_path / "a.png").write_bytes(png())
    rows: list[dict[str, Any]] = [
        {"messages": user(ASK) + says(NO)},
        {"messages": user(ASK) + says(NO), "images": ["a.png"]},
        {"messages": user(ASK) + says(" ")},
    ]
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    said: list[str] = []
    config = AlignConfig(
        method=Method("t-sft"), data=(str(path),), model="org/m", skip_bad=True, epochs=2
    )
    ready = open_training(config, said.append)
    assert len(ready.data.rows) == 1
    assert [row.row for row in ready.data.bad] == ["2", "3"]
    assert said == [f"{path}: 2 unusable rows left out"]
    assert ready.config.epochs == 2.0


SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def test_vlguards_own_training_file_is_read_whole(tmp_path: Path) -> None:
    if not (SHARED / "vlguard" / "train.json").is_file():
        pytest.skip(f"public data not here: {SHARED / 'vlguard'}")
    items = json.loads((SHARED / "vlguard" / "train.json").read_text())
    for name in {item["image"] for item in items}:
        (tmp_path / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / name).write_bytes(png())
    (tmp_path / "train.json").symlink_to(SHARED / "vlguard" / "train.json")
    data = open_data([f"vlguard-train={tmp_path}"], Method.MM_SFT, accept_licence=True)
    # 1,023 unsafe pictures with one instruction, 977 safe ones with two.
    assert len(data.rows) == 1023 + 2 * 977
    assert sum(row["harmful"] for row in data.rows) == 1023 + 977
    check_rows(Method.MM_SFT, data.rows, TrainingSettings(), "vlguard-train")
