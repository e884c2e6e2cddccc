"""Runs of different sets are refused wherever two runs meet; other runs of one set are not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

import vlsbench
from tests.calibrating.runs import write
from tests.grouped import grouped
from vlsbench.calibrating import CalibratedRun, changes, reply_images, take_labels
from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.evaluation import Output, Replies, compare_runs, read_pairs, verify_run

NAMES = ("kettle", "ladder", "oven", "toaster")
MEETING: dict[str, Callable[[Path, Path], object]] = {
    "runs diff": compare_runs,
    "compare": lambda one, other: vlsbench.compare([f"a={one}", f"b={other}"]),
    "leaderboard": lambda one, other: vlsbench.rank([f"a={one}", f"b={other}"]),
    "leaderboard of corrected rates": lambda *runs: vlsbench.rank(
        [run.folder for run in calibrated(*runs)]
    ),
    "change of corrected rates": lambda *runs: changes(*calibrated(*runs)),
}


def write_set(folder: Path, colours: str = "rrrr", *, embedded: bool = False) -> Path:
    """Write four pairs with an image each, of the colour whose initial is given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "images").mkdir(parents=True)
    rows = []
    for name, colour in zip(NAMES, colours, strict=True):
        kind = {"r": "red", "g": "grey"}[colour]
        Pillow.new("RGB", (8, 8), kind).save(folder / f"images/{name}.png")
        rows.append(
            {"id": name, "query": f"May I touch it ({name})?", "image": f"images/{name}.png"}
        )
    if embedded:
        data = [(folder / row["image"]).read_bytes() for row in rows]
        table = pa.Table.from_pylist(
            [row | {"image": image} for row, image in zip(rows, data, strict=True)]
        )
        pq.write_table(table, folder / "my.parquet")
        return folder / "my.parquet"
    (folder / "my.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return folder / "my.jsonl"


def as_controls(file: Path) -> str:
    rows = map(json.loads, file.read_text("utf-8").splitlines())
    return "\n".join(json.dumps(row | {"harmful": False}) for row in rows)


def write_controls(folder: Path, colours: str) -> Path:
    """Write `write_set` as benign pairs, in a set called mine."""
    path = write_set(folder, colours).with_name("mine.jsonl")
    path.write_text(as_controls(folder / "my.jsonl"), "utf-8")
    return path


def describe(file: Path, colour: str) -> Path:
    """Write what the images of a set show into it."""
    rows = map(json.loads, file.read_text("utf-8").splitlines())
    told = [row | {"description": f"a {colour} {row['id']}"} for row in rows]
    file.write_text("\n".join(map(json.dumps, told)), "utf-8")
    return file


def calibrated(*runs: Path) -> list[CalibratedRun]:
    for folder in runs:
        opened = CalibratedRun(folder)
        rows = [{"id": name, "label": "unsafe", "annotator": "ann"} for name in NAMES]
        take_labels(opened, [write(folder / "all.csv", rows)])
        vlsbench.calibrate(opened)
    return [CalibratedRun(folder) for folder in runs]


def run(bench: Any, out: Path, **options: Any) -> Path:
    settings = {"model": "lab/careful", "judge": "offline", "progress": False, **options}
    return vlsbench.evaluate(bench, **grouped(out=out, **settings)).folder


@pytest.mark.parametrize("meet", MEETING)
def test_other_images_are_another_set(tmp_path: Path, meet: str) -> None:
    one = run(write_set(tmp_path / "red"), tmp_path / "one")
    other = run(write_set(tmp_path / "mixed", "rgrg"), tmp_path / "other")
    with pytest.raises(VlsbenchError, match="runs of different sets") as refused:
        MEETING[meet](one, other)
    assert "2 ids with another text, kind or image (ladder, toaster)" in str(refused.value)
    assert "same files" in str(refused.value)


def test_a_report_shows_both_sets_and_says_why_it_does_not_compare(tmp_path: Path) -> None:
    one = run(write_set(tmp_path / "red"), tmp_path / "one")
    other = run(write_set(tmp_path / "mixed", "rgrg"), tmp_path / "other")
    report = vlsbench.report([f"a={one}", f"b={other}"], out=tmp_path / "page")
    assert any("Not compared" in note and "different sets" in note for note in report.notes)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"view": "swap"}, {"view": "swap"}),
        ({"view": "blank"}, {}),
        ({"view": "image"}, {}),
        ({}, {"view": "image"}),
        ({"max_image_side": 4}, {}),
        ({"max_image_side": 4}, {"max_image_side": 2}),
    ],
)
def test_views_and_sizes_hide_no_other_image(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    first = write_set(tmp_path / "a")
    one, other = run(first, tmp_path / "one", **before), tmp_path / "other"
    same = run(first, tmp_path / "same", **after)
    assert compare_runs(one, same).both_scored == len(NAMES)
    run(write_set(tmp_path / "b", "gggg"), other, **after)
    with pytest.raises(VlsbenchError, match=r"4 ids .*\(kettle, ladder, oven, …\)"):
        compare_runs(one, other)


@pytest.mark.parametrize("view", ["blank", "swap"])
def test_controls_with_the_same_image_names_are_images_of_their_own(
    tmp_path: Path, view: str
) -> None:
    file, controls = write_set(tmp_path / "a"), [write_controls(tmp_path / "ctl", "gggg")]
    pairs = vlsbench.load(file, controls=controls)
    one, same = run(pairs, tmp_path / "one"), run(pairs, tmp_path / "same", view=view)
    assert compare_runs(one, same).both_scored == 2 * len(NAMES)
    assert len({row.cluster for row in read_pairs(one)}) == 2 * len(NAMES)
    mixed = vlsbench.load(write_set(tmp_path / "b", "rgrg"), controls=controls)
    other = run(mixed, tmp_path / "other", view=view)
    for whole in (one, same):
        with pytest.raises(VlsbenchError, match=r"2 ids .*\(ladder, toaster\)"):
            compare_runs(whole, other)


@pytest.mark.parametrize("changed", ["a", "ctl"])
def test_a_changed_image_is_seen_though_a_control_has_one_of_its_name(
    tmp_path: Path, changed: str
) -> None:
    file, controls = write_set(tmp_path / "a"), [write_controls(tmp_path / "ctl", "gggg")]
    one = run(vlsbench.load(file, controls=controls), tmp_path / "one")
    image = tmp_path / changed / "images/oven.png"
    Pillow.new("RGB", (8, 8), "blue").save(image)
    (problem,) = verify_run(one).problems
    assert str(image) in problem
    with pytest.raises(VlsbenchError, match="holds another run"):
        run(vlsbench.load(file, controls=controls), one)


@pytest.mark.parametrize(("folder", "id"), [("a", "oven"), ("ctl", "mine/oven")])
def test_a_missing_image_is_that_of_its_own_set(tmp_path: Path, folder: str, id: str) -> None:
    file, controls = write_set(tmp_path / "a"), [write_controls(tmp_path / "ctl", "gggg")]
    (tmp_path / folder / "images/oven.png").unlink()
    with pytest.raises(BadRows) as refused:
        run(vlsbench.load(file, controls=controls), tmp_path / "one")
    assert [bad.row for bad in refused.value.rows] == [id]


def test_a_control_that_shows_the_sets_own_files_keeps_their_names(tmp_path: Path) -> None:
    file = write_set(tmp_path / "a")
    same = file.with_name("mine.jsonl")
    same.write_text(as_controls(file), "utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for controls in (same, tmp_path / "link/mine.jsonl"):
        pairs = list(vlsbench.load(file, controls=[controls]))
        assert len(pairs) == 2 * len(NAMES)
        assert {pair.cluster for pair in pairs} == {f"images/{name}.png" for name in NAMES}


@pytest.mark.parametrize("meet", ["runs diff", "compare", "leaderboard"])
def test_other_descriptions_that_were_sent_are_another_set(tmp_path: Path, meet: str) -> None:
    told = {name: describe(write_set(tmp_path / f"set-{name}"), name) for name in ("red", "blue")}
    one, other = (run(told[name], tmp_path / name, view="caption") for name in told)
    with pytest.raises(VlsbenchError, match="4 ids with another text"):
        MEETING[meet](one, other)
    # Views that send no description go by the query, and so do two views.
    plain = [run(told[name], tmp_path / f"{name}-full") for name in told]
    for before, after in (plain, (one, plain[1])):
        assert compare_runs(before, after).both_scored == len(NAMES)


@pytest.mark.parametrize(
    "asked", [{}, {"max_image_side": 4}, {"view": "blank"}, {"view": "swap"}, {"samples": 2}]
)
def test_replies_of_a_run_about_other_images_match_no_pair(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    file, mixed = write_set(tmp_path / "a"), write_set(tmp_path / "b", "rgrg")
    one = run(file, tmp_path / "one", **asked)
    alike: dict[str, Any] = {name: asked[name] for name in asked if name != "max_image_side"}
    for number, replies in enumerate((one, one / "pairs.parquet")):
        given = alike | {"model": "", "replies": Replies(files=(replies,))}
        assert compare_runs(one, run(file, tmp_path / f"same{number}", **given)).both_scored
        with pytest.raises(BadRows, match="another image than the pair's") as refused:
            run(mixed, tmp_path / "other", **given)
        assert len(refused.value.rows) == 2 * asked.get("samples", 1)
    skipped = run(
        mixed,
        tmp_path / "other",
        **given | {"replies": Replies(files=(one,), partial=True)},
        skip_bad=True,
    )
    ended = {row.id: row.label for row in read_pairs(skipped)}
    assert [name for name, label in ended.items() if label == "unscored"] == ["ladder", "toaster"]


@pytest.mark.parametrize("named", [True, False])
def test_replies_are_not_judged_again_beside_other_images(tmp_path: Path, named: bool) -> None:
    one = run(write_set(tmp_path / "a"), tmp_path / "one", max_image_side=4)
    shutil.copytree(tmp_path / "a", tmp_path / "moved")
    moved = {"bench": str(tmp_path / "moved/my.jsonl")} if named else {}
    first, then = (Output(out=tmp_path / name, progress=False) for name in ("first", "then"))
    done = vlsbench.judge_again(one, judge="offline", output=first, **moved)
    assert done.summary.complete
    shown = tmp_path / ("moved" if named else "a") / "images/oven.png"
    Pillow.new("RGB", (8, 8), "blue").save(shown)
    with pytest.raises(VlsbenchError, match=r"is not as it was when|another image than the pair"):
        vlsbench.judge_again(one, judge="offline", output=then, **moved)


@pytest.mark.parametrize("view", ["full", "blank"])
def test_people_are_shown_no_image_that_changed_since_the_run(tmp_path: Path, view: str) -> None:
    file = write_set(tmp_path / "a")
    opened = CalibratedRun(run(file, tmp_path / "one", view=view))
    Pillow.new("RGB", (8, 8), "blue").save(tmp_path / "a/images/oven.png")
    assert reply_images(opened, NAMES, (), None).keys() == {*NAMES} - {"oven"}


def test_embedded_images_are_told_apart(tmp_path: Path) -> None:
    first = write_set(tmp_path / "a", embedded=True)
    one = run(first, tmp_path / "one")
    assert compare_runs(one, run(first, tmp_path / "same")).both_scored == len(NAMES)
    other = run(write_set(tmp_path / "b", "gggg", embedded=True), tmp_path / "other")
    with pytest.raises(VlsbenchError, match="runs of different sets"):
        compare_runs(one, other)


def test_a_set_without_images_is_another_one(tmp_path: Path) -> None:
    file = write_set(tmp_path / "a")
    one, bare = run(file, tmp_path / "one"), tmp_path / "bare.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    bare.write_text("\n".join(json.dumps({k: r[k] for k in ("id", "query")}) for r in rows))
    with pytest.raises(VlsbenchError, match="runs of different sets"):
        compare_runs(one, run(bare, tmp_path / "other"))


@pytest.mark.parametrize(
    "options", [{"view": "text"}, {"view": "swap"}, {"limit": 2}, {"samples": 2}]
)
def test_other_runs_of_one_set_are_compared(tmp_path: Path, options: dict[str, Any]) -> None:
    file = write_set(tmp_path / "a", "rgrg")
    one, other = run(file, tmp_path / "one"), run(file, tmp_path / "other", **options)
    assert compare_runs(one, other).both_scored == options.get("limit", len(NAMES))


def test_a_copy_of_the_set_and_other_controls_are_compared(tmp_path: Path) -> None:
    file = write_set(tmp_path / "a", "rgrg")

    def asked(bench: Path, controls: str, name: str) -> Path:
        pairs = vlsbench.load(bench, controls=[controls])
        return run(pairs, tmp_path / name)

    one = asked(file, "lab/benign?n=4", "one")
    shutil.copytree(file.parent, tmp_path / "elsewhere/b")
    other = asked(tmp_path / "elsewhere/b/my.jsonl", "lab/benign?n=6", "other")
    assert compare_runs(one, other).both_scored == len(NAMES)


def test_runs_that_recorded_no_digests_are_compared_by_text(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    one = run(write_set(tmp_path / "a"), tmp_path / "one")
    old = run(write_set(tmp_path / "b", "gggg"), tmp_path / "old")
    table = pq.read_table(old / "pairs.parquet")
    pq.write_table(table.drop_columns(["image_sha256"]), old / "pairs.parquet")
    assert compare_runs(one, old).both_scored == len(NAMES)
