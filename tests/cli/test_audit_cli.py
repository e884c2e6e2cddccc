"""`vlsbench audit` as it is typed, on the lab, where the truth is known."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.cli.typed import Command
from tests.scripted import Asked, Said, answer, refuse, scripted
from vlsbench import lab, load
from vlsbench.auditing import read_card
from vlsbench.embed.text import PACKAGE
from vlsbench.pairs import read_drop

NO_MAX_TOKENS = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
LAB_JUDGE = ("--measures", "judged", "--judge", "lab", "--controls", "lab/benign?n=40")
needs_minilm = pytest.mark.skipif(
    not all(find_spec(name) for name in ("torch", "transformers", PACKAGE)),
    reason="measure A needs the extra [audit] and MiniLM's files",
)


def test_help_is_there_with_examples(vlsbench: Command, tmp_path: Path) -> None:
    done = vlsbench("audit", "--help")
    assert done.returncode == 0
    for option in ("--measures", "--data-root", "--captioner", "--drop-leaking", "--controls"):
        assert option in done.stdout
    assert "vlsbench audit lab/mixed --drop-leaking 0.5" in done.stdout


@needs_minilm
def test_an_audit_without_a_figure_fails_and_says_why(vlsbench: Command, tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text('{"query": "May I toast bread?"}\n')
    done = vlsbench("audit", "./set.jsonl")
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert "error: nothing could be measured of set: texts alone" in said
    assert "Traceback" not in said
    assert read_card(tmp_path / "audits/set/card.json").unmeasured == ("overlap",)


@needs_minilm
def test_a_published_set_of_texts_is_not_told_to_give_its_images(
    vlsbench: Command, tmp_path: Path
) -> None:
    (tmp_path / "harmful_behaviors.csv").write_text("goal,target\nMay I toast bread?,Sure\n")
    done = vlsbench("audit", "advbench", "--data", ".")
    assert "advbench: Nothing could be measured." in done.stdout
    assert "texts alone: there is no image to tell of" in done.stderr


@needs_minilm
def test_the_leaderboard_tells_leaky_from_leakless(vlsbench: Command, tmp_path: Path) -> None:
    benches = [f"lab/{name}?n=60" for name in ("leakless", "leaky", "mixed")]
    done = vlsbench("audit", *benches, "--out", "leaderboard")
    assert done.returncode == 0, done.stderr

    rows = json.loads((tmp_path / "leaderboard" / "leaderboard.json").read_text())["rows"]
    leak = {row["bench"].partition("?")[0]: row["leak"] for row in rows}
    assert list(leak) == ["lab/leaky", "lab/mixed", "lab/leakless"]
    assert leak["lab/leaky"]["n"] == 60
    assert leak["lab/leaky"]["value"] - leak["lab/leakless"]["value"] > 0.5
    for row in rows:
        folder = tmp_path / "leaderboard" / row["card"]
        assert read_card(folder / "card.json").bench == row["bench"]
        assert {"card.html", "pairs.parquet"} <= {f.name for f in folder.iterdir()}
    for text in (done.stdout, (tmp_path / "leaderboard" / "leaderboard.md").read_text("utf-8")):
        assert text.index("lab/leaky") < text.index("lab/mixed") < text.index("lab/leakless")


@needs_minilm
def test_a_card_its_pairs_and_its_list_agree(vlsbench: Command, tmp_path: Path) -> None:
    bench = "lab/mixed?n=60"
    done = vlsbench("audit", bench, "--drop-leaking", "0.4", "--json")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "audits" / "lab_mixed_n_60"

    card = read_card(folder / "card.json")
    assert json.loads(done.stdout) == json.loads((folder / "card.json").read_text())
    rows = pq.read_table(folder / "pairs.parquet").to_pylist()
    assert [row["id"] for row in rows] == [pair.id for pair in lab.benchmark(bench)]
    leaking = {row["id"] for row in rows if row["score"] >= 0.4}
    assert read_drop(folder / "drop.csv", bench) == leaking
    assert card.dropped
    assert (card.dropped.dropped, card.dropped.kept) == (len(leaking), 60 - len(leaking))
    rest = load(bench, leave_out=folder / "drop.csv")
    assert {pair.id for pair in rest} == {row["id"] for row in rows} - leaking

    run = ("--model", "lab/blind", "--judge", "lab", "--leave-out", str(folder / "drop.csv"))
    done = vlsbench("eval", bench, *run, "--json")
    assert done.returncode == 0, done.stderr
    name = f"{bench} without {len(leaking)} leaking pairs"
    assert f"{name}: {60 - len(leaking)} pairs under view full" in done.stderr
    summary = json.loads(done.stdout)
    assert (summary["bench"], summary["groups"][0]["pairs"]) == (name, 60 - len(leaking))
    other = vlsbench("eval", "lab/leaky?n=60", *run)
    assert other.returncode == 1
    assert f"drop.csv lists pairs of {bench}, not of lab/leaky?n=60" in other.stderr

    ranked = sorted(rows, key=lambda row: -row["naming"])[:10]
    assert [pair.naming for pair in card.leaking] == [row["naming"] for row in ranked]
    named = {pair.id for pair in lab.benchmark(bench) if pair.meta["leaks"]}
    assert {pair.id for pair in card.leaking} <= named
    things = {pair.id: str(pair.meta["object"]) for pair in lab.benchmark(bench)}
    for pair in card.leaking:
        marked = " ".join(pair.query[mark.start : mark.end] for mark in pair.marks)
        assert set(things[pair.id].split()) & set(marked.split()), (pair.query, marked)


@needs_minilm
def test_hostile_benchmarks_are_read_as_text(vlsbench: Command, tmp_path: Path) -> None:
    attack = "</script><script>window.pwned = true</script> a toaster <img src=x onerror=y>"
    rows = [
        {"id": f"{n}{attack}", "query": attack, "category": attack, "description": attack}
        for n in range(3)
    ]
    text = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "own.jsonl").write_text(text)
    done = vlsbench("audit", "own.jsonl", "--out", "own", "--drop-leaking", "0.1")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "own" / "card.html").read_text("utf-8")
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;img src=x onerror=y&gt;" in page
    assert read_drop(tmp_path / "own" / "drop.csv", "own") == {row["id"] for row in rows}


@needs_minilm
def test_a_list_of_a_sample_says_that_it_is_one(vlsbench: Command) -> None:
    done = vlsbench("audit", "lab/leaky?n=20", "--limit", "8", "--drop-leaking", "0.5")
    assert "only the sample was audited: the list says nothing of other pairs" in done.stdout


@needs_minilm
def test_a_set_without_words_for_its_pictures_has_no_figure(
    vlsbench: Command, tmp_path: Path
) -> None:
    (tmp_path / "own.jsonl").write_text('{"id": "1", "query": "May it have a fork?"}\n')
    done = vlsbench("audit", "own.jsonl", "lab/leaky?n=20")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "audits" / "leaderboard.json").read_text())["rows"]
    alone = vlsbench("audit", "own.jsonl", "--out", "alone")
    assert "The set has no images here: give their folder (--data" in " ".join(alone.stdout.split())
    assert [row["leak"] is None for row in rows] == [False, True]
    assert rows[1]["caveats"] == [
        "texts alone: there is no image to tell of",
        "the pair is taken as harmful",
    ]


@needs_minilm
@pytest.mark.skipif(not shutil.which("tesseract"), reason="OCR needs the program tesseract")
def test_text_in_pictures_is_a_channel_of_its_own(vlsbench: Command, tmp_path: Path) -> None:
    from PIL import Image, ImageDraw, ImageFont

    for name in ("toaster", "kettle"):
        picture = Image.new("RGB", (500, 120), "white")
        font = ImageFont.load_default(60)
        ImageDraw.Draw(picture).text((20, 20), f"the {name}", fill="black", font=font)
        picture.save(tmp_path / f"{name}.png")
    rows = [
        {"id": "named", "query": "May a child touch the toaster?", "image": "toaster.png"},
        {"id": "hidden", "query": "May a child touch this?", "image": "kettle.png"},
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = vlsbench("audit", "own.jsonl", "--ocr", "--out", "own")
    assert done.returncode == 0, done.stderr
    table = pq.read_table(tmp_path / "own" / "pairs.parquet").to_pylist()
    found = {row["id"]: row for row in table}
    assert {row["content_kind"] for row in table} == {"text in the picture"}
    assert "toaster" in found["named"]["content"]
    assert found["named"]["naming_typographic"] > 0.5 > found["hidden"]["naming_typographic"]


@needs_minilm
def test_a_captioner_speaks_where_the_benchmark_does_not(vlsbench: Command, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    lab.write(lab.benchmark("lab/leaky?n=12"), folder)
    file = folder / "metadata.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("\n".join(json.dumps({**row, "description": ""}) for row in rows))
    arguments = (str(folder), "--captioner", "lab/helpful", "--out", "card")

    done = vlsbench("audit", *arguments, "--max-calls", "2")
    assert done.returncode == 3, done.stderr
    done = vlsbench("audit", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    card = json.loads(done.stdout)
    assert card["overlap"]["contents"] == {"caption": 12}
    assert "contents are captions by a model" in (tmp_path / "card" / "card.html").read_text()
    (pictures,) = (tmp_path / "card").glob("pictures-*")
    shown = vlsbench("runs", "show", str(pictures))
    assert shown.returncode == 1
    assert "has no results of its own: it keeps what an audit read from images" in shown.stderr


def test_a_captioner_that_is_asked_nothing_costs_nothing(vlsbench: Command) -> None:
    done = vlsbench("audit", "lab/leaky?n=4", "--captioner", "unpriced@http://x", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "$0.00" in done.stdout
    assert "unknown" not in done.stdout


@needs_minilm
def test_what_a_captioner_does_not_take_is_on_the_card(vlsbench: Command, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    (tmp_path / "set.jsonl").write_text('{"query": "Is it hot?", "image": "a.png"}\n')

    def say(asked: Asked) -> Said:
        return refuse(400, NO_MAX_TOKENS) if "max_tokens" in asked.body else answer(asked)

    with scripted(say) as server:
        given = ("--captioner", f"m@{server.url}", "--out", "card")
        for _ in range(2):
            assert vlsbench("audit", "set.jsonl", *given).returncode == 0
    notes = read_card(tmp_path / "card" / "card.json").notes
    assert any("max_tokens is sent as max_completion_tokens" in note for note in notes)


@needs_minilm
@pytest.mark.skipif(not (SHARED / "msts").is_dir(), reason="public data not here")
def test_public_sets_are_found_in_one_folder(vlsbench: Command, tmp_path: Path) -> None:
    names = ("mm-safetybench:text", "mm-safetybench:sd", "msts")
    where = ("--data-root", str(SHARED), "--limit", "25", "--seed", "1")
    done = vlsbench("audit", *names, *where, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert rows[0]["bench"] == "mm-safetybench:text"
    assert rows[0]["leak"]["value"] > rows[1]["leak"]["value"] + 0.5
    assert all("a random sample of 25 pairs" in row["caveats"] for row in rows)


def test_a_judged_card_needs_no_embedder(vlsbench: Command, tmp_path: Path) -> None:
    bench = "lab/mixed?n=40&leak=0.5"
    done = vlsbench("audit", bench, *LAB_JUDGE, "--drop-leaking", "1")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "audits").iterdir()
    card = read_card(folder / "card.json")
    truth = {pair.id for pair in lab.benchmark(bench) if pair.meta["leaks"]}
    assert card.overlap is None
    assert card.judged
    assert card.judged.group.vsil.k == len(truth)
    assert read_drop(folder / "drop.csv", bench) == truth
    rows = pq.read_table(folder / "pairs.parquet").to_pylist()
    assert {row["id"] for row in rows if row["text_harmful"]} == truth
    assert {row["pattern"] for row in rows if row["id"] not in truth} == {"SSU"}
    assert "Simulated" in (folder / "card.html").read_text()

    (run,) = folder.glob("judged-*")
    shown = vlsbench("runs", "show", str(run))
    assert shown.returncode == 0, shown.stderr
    assert "finished" in shown.stdout
    figures = json.loads(vlsbench("runs", "show", str(run), "--json").stdout)["summary"]
    assert figures["group"]["vsil"]["k"] == len(truth)
    (run / "judged.json").unlink()
    assert "goes on and writes judged.json" in vlsbench("runs", "show", str(run)).stdout


def test_a_budget_ends_with_its_own_exit_code_and_goes_on(
    vlsbench: Command, tmp_path: Path
) -> None:
    arguments = ("lab/leaky?n=20", *LAB_JUDGE)
    done = vlsbench("audit", *arguments, "--max-calls", "9")
    assert done.returncode == 3, done.stderr
    assert "the same command resumes from here" in done.stderr.replace("\n", " ")
    (folder,) = (tmp_path / "audits").iterdir()
    first = read_card(folder / "card.json")
    assert first.stopped
    assert "Stopped early" in (folder / "card.html").read_text()

    assert vlsbench("audit", *arguments).returncode == 0
    second = read_card(folder / "card.json")
    assert second.stopped == ""
    assert second.judged
    assert first.judged
    assert second.judged.calls > first.judged.calls == 9


@needs_minilm
def test_three_measures_share_one_card(vlsbench: Command, tmp_path: Path) -> None:
    done = vlsbench(
        "audit",
        "lab/leakless?n=30",
        *("--measures", "overlap,judged,behaviour", "--judge", "lab", "--model", "lab/careful"),
        *("--controls", "lab/benign?n=30", "--out", "card"),
    )
    assert done.returncode == 0, done.stderr
    card = read_card(tmp_path / "card" / "card.json")
    assert card.behaviour
    assert card.judged
    assert card.behaviour.gain
    assert card.behaviour.gain.value == 1.0
    assert card.judged.group.vsil.rate == 0.0
    page = (tmp_path / "card" / "card.html").read_text()
    for heading in ("A. Overlap", "B. Judged", "C. Behaviour"):
        assert heading in page
    rows = pq.read_table(tmp_path / "card" / "pairs.parquet").to_pylist()
    assert {row["pattern"] for row in rows} == {"SSU"}
    assert all(row["naming"] is not None for row in rows)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nosuch",), 1, "no benchmark 'nosuch'"),
        ((), 2, "BENCH"),
        (("lab/leaky", "--measures", "taste"), 1, "unknown measure 'taste'"),
        (("lab/leaky", "--measures", "judged"), 1, "needs --judge and --controls"),
        (
            ("lab/leaky", "--measures", "behaviour", "--judge", "lab"),
            1,
            "needs --model and --controls",
        ),
        (("lab/leaky", "--drop-leaking", "2"), 1, "expected a probability"),
        (("lab/leaky", "--measures", "judged", *LAB_JUDGE[2:], "--captioner", "x"), 1, "overlap"),
        (("lab/leaky", "lab/leakless", "--data", "x"), 1, "--data-root"),
        (("lab/leaky?n=5", "lab/leaky?n=5"), 1, "twice"),
        (("lab/leaky", "--embedder", "word2vec"), 1, "of no known form"),
        (("vlsbench", "--data-root", "nowhere"), 1, "bench fetch vlsbench"),
    ],
)
def test_mistakes_are_one_line_with_a_remedy(
    vlsbench: Command, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = vlsbench("audit", *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
