"""A release opens wherever it should, says what it holds, and is not written where it must not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import vlsbench
from tests.releasing import kitchen
from vlsbench.config import resolve, to_toml, values_of
from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.evaluation import Output
from vlsbench.releasing import ReleaseConfig, verify


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return kitchen.write(tmp_path / "pairs", kitchen.rows(16))


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


def opened(kind: str, tmp_path: Path, **options: Any) -> Any:
    datasets = pytest.importorskip("datasets")
    return datasets.load_dataset(kind, cache_dir=str(tmp_path / "cache"), **options)


def test_load_dataset_gives_images_texts_and_splits(source: Path, tmp_path: Path) -> None:
    from PIL import Image as Pillow

    made = kitchen.released(source, tmp_path / "out", split="train=0.5,test=0.5")
    found = opened(str(tmp_path / "out"), tmp_path)
    assert {name: len(split) for name, split in found.items()} == {
        split.name: split.pairs for split in made.splits
    }
    rows = {row["id"]: row for split in found.values() for row in split}
    assert sorted(rows) == [f"pair-{number:03d}" for number in range(16)]
    for wanted in kitchen.rows(16):
        row = rows[wanted["id"]]
        assert isinstance(row["image"], Pillow.Image)
        colour = Path(wanted["file_name"]).stem
        assert row["image"].getpixel((0, 0)) == Pillow.new("RGB", (1, 1), colour).getpixel((0, 0))
        for name in ("query", "category", "harmful", "reason", "source", "pattern", "round"):
            assert row[name] == wanted[name]
        assert row["image_licence"] == "CC0-1.0"


def test_several_images_a_pair(tmp_path: Path) -> None:
    rows = kitchen.rows(8)
    for number, row in enumerate(rows):
        names = [f"images/{kitchen.COLOURS[number]}.png", f"images/{kitchen.COLOURS[-1]}.png"]
        del row["file_name"]
        row["images"] = names if number % 2 else names[:1]
    source = kitchen.write(tmp_path / "pairs", rows)
    made = kitchen.released(source, tmp_path / "out")
    assert "images" in {column.name for column in made.columns}
    found = opened(str(tmp_path / "out"), tmp_path)["test"]
    assert [len(row["images"]) for row in found] == [1, 2] * 4
    assert verify(tmp_path / "out").sound
    assert [len(pair.images) for pair in vlsbench.load(tmp_path / "out")] == [1, 2] * 4


def test_languages_twins_and_grades_come_back(tmp_path: Path) -> None:
    rows = kitchen.rows(8)
    rows[0] |= {"language": "en", "text_grade": "safe", "pair_grade": "unsafe", "twin": "pair-003"}
    rows[3] |= {"language": "de", "image_grade": "borderline", "graded_by": "authors"}
    source = kitchen.write(tmp_path / "pairs", rows)
    made = kitchen.released(source, tmp_path / "out")
    assert {"language", "twin", "graded_by", "text_grade"} <= {one.name for one in made.columns}
    before = {pair.id: pair.labels for pair in vlsbench.load(source)}
    assert {pair.id: pair.labels for pair in vlsbench.load(tmp_path / "out")} == before
    assert before["pair-003"]["image_grade"] == "borderline"


def test_a_lab_set_is_released_and_evaluated_like_the_lab_itself(tmp_path: Path) -> None:
    made = kitchen.released("lab/leakless?n=24", tmp_path / "out", content=None)
    assert made.simulated
    assert made.gated
    pairs = vlsbench.load(tmp_path / "out")
    assert len({pair.cluster for pair in pairs}) == made.images < len(pairs)
    for name, bench in (("released", pairs), ("lab", "lab/leakless?n=24")):
        run = vlsbench.evaluate(
            bench, model="lab/careful", judge="lab", output=Output(out=tmp_path / name)
        )
        safety = run.summary.groups[0]
        assert safety.pairs == 24
        if name == "released":
            first = safety
    assert (first.safety, first.images) == (safety.safety, safety.images)


def test_the_same_pairs_in_another_order_give_the_same_bytes(tmp_path: Path) -> None:
    rows = kitchen.rows(16)
    outs = []
    for name, order in (("a", rows), ("b", rows[::-1])):
        source = kitchen.write(tmp_path / name / "pairs", order)
        outs.append(tmp_path / name / "out")
        kitchen.released(source, outs[-1], split="train=0.5,test=0.5")
    one, other = ((out / "checksums.sha256").read_text() for out in outs)
    assert one == other


def test_shards_are_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlsbench.releasing._write.SHARD", 64)
    rows = kitchen.rows(100)
    source = kitchen.write(tmp_path / "many", rows)
    made = kitchen.released(source, tmp_path / "out")
    (split,) = made.splits
    assert len(split.files) == 2
    assert split.files[0] == "data/test-00000-of-00002.parquet"
    assert [pair.id for pair in vlsbench.load(tmp_path / "out")] == [row["id"] for row in rows]
    assert verify(tmp_path / "out").sound


def test_croissant_is_valid_and_reads_the_records(source: Path, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    made = kitchen.released(source, tmp_path / "out", split="train=0.5,test=0.5", authors=["A. B."])
    dataset = mlcroissant.Dataset(jsonld=tmp_path / "out" / "croissant.json")
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings
    about = dataset.metadata
    assert about.personal_sensitive_information[0] == "Real people: Nobody is shown."
    assert about.data_limitations
    assert about.data_biases
    assert about.data_use_cases
    assert about.ctx.is_v1_1()
    records = list(dataset.records("pairs"))
    assert len(records) == made.pairs
    split_of = {}
    for record in records:
        assert record["pairs/image"].size == (8, 6)
        split_of[record["pairs/id"].decode()] = record["pairs/split"].decode()
    assert {name: list(split_of.values()).count(name) for name in ("train", "test")} == {
        split.name: split.pairs for split in made.splits
    }


@pytest.mark.parametrize("synthetic", [True, False, None])
def test_croissant_says_what_dataset_tracks_require(
    source: Path, tmp_path: Path, synthetic: bool | None
) -> None:
    kitchen.released(
        source,
        tmp_path / "out",
        synthetic=synthetic,
        derived_from=["https://example.org/kitchen"],
    )
    about = json.loads((tmp_path / "out" / "croissant.json").read_text("utf-8"))
    assert about.get("rai:hasSyntheticData") is synthetic
    assert about["prov:wasDerivedFrom"] == [
        {"@id": "https://example.org/kitchen"},
        {
            "@type": "prov:Entity",
            "prov:label": "drawn",
            "sc:license": "CC0-1.0",
            "sc:description": "16 pairs of pairs",
        },
    ]
    assert [one["prov:label"] for one in about["prov:wasGeneratedBy"]] == [
        "Data collection",
        "Data preprocessing",
    ]
    assert about["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    limits = ["Leakage was not measured.", "No agreement of reviewers is on record."]
    assert {*limits} <= {*about["rai:dataLimitations"]}
    for name in ("Limitations", "Biases", "UseCases", "SocialImpact"):
        assert about[f"rai:data{name}"]
    assert about["rai:personalSensitiveInformation"]
    lacking = "croissant.json lacks what dataset tracks require: rai:hasSyntheticData"
    assert verify(tmp_path / "out").notes == ((lacking,) if synthetic is None else ())


def test_croissant_reads_several_images_a_pair(tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    (row,) = kitchen.rows(1)
    del row["file_name"]
    source = kitchen.write(
        tmp_path / "pairs", [row | {"images": ["images/red.png", "images/blue.png"]}]
    )
    kitchen.released(source, tmp_path / "out")
    (record,) = mlcroissant.Dataset(jsonld=tmp_path / "out" / "croissant.json").records("pairs")
    assert len(record["pairs/images"]) == 2


def test_an_origin_that_is_no_web_address_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match="derived_from 'kitchen' must be a web address"):
        kitchen.released(source, tmp_path / "out", derived_from=["kitchen"])


def test_the_card_says_what_is_in_it(source: Path, tmp_path: Path) -> None:
    import yaml

    kitchen.released(source, tmp_path / "out", licence="Toaster Licence 1", title="A kitchen")
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    _, header, body = text.split("---\n", 2)
    about = yaml.safe_load(header)
    assert about["license"] == "other"
    assert about["license_name"] == "toaster-licence-1"
    assert about["configs"][0]["data_files"] == [{"split": "test", "path": "data/test-*.parquet"}]
    assert "not-for-all-audiences" in about["tags"]
    assert about["extra_gated_prompt"].startswith("Toasters near water.")
    assert about["extra_gated_fields"]["I agree to the terms above"] == "checkbox"
    assert "# A kitchen" in body
    assert "16 pairs of a query and its image: 12 harmful, 4 benign controls" in body
    assert "| Bathroom | toaster | 6 | 4 | 2 |" in body
    assert "| drawn | CC0-1.0 | 16 |" in body
    for line in ("Toasters near water.", "Nobody is shown.", "Not measured for this release."):
        assert line in body


def test_benign_pairs_alone_need_no_gate(tmp_path: Path) -> None:
    rows = [row | {"harmful": False} for row in kitchen.rows(4)]
    source = kitchen.write(tmp_path / "pairs", rows)
    made = kitchen.released(source, tmp_path / "out", content=None)
    assert not made.gated
    card = (tmp_path / "out" / "README.md").read_text()
    assert "extra_gated" not in card
    assert "No benign controls" not in card
    assert verify(tmp_path / "out").sound


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"licences": {}}, r"no licence is known .* drawn \(16\).*--source-licence"),
        ({"licence": ""}, "a release needs a licence"),
        ({"content": None}, "nothing is said of its warning, people, minors, personal_data"),
        ({"content": {"warning": "Hot."}}, "people, minors, personal_data"),
        ({"version": "1.0"}, "MAJOR.MINOR.PATCH"),
        ({"name": "../kitchen"}, "name '../kitchen'"),
        ({"split": "train=0.5"}, "add up to 1"),
        ({"split": "dev=1.0"}, "train, validation, test"),
        ({"split": "train=0.000001,test=0.999999"}, "gets none of 16 pairs"),
        ({"homepage": "javascript:alert(1)"}, "must be a web address"),
        ({"date": "tomorrow"}, "2026-01-31"),
        ({"date": "2026-02-31"}, "2026-01-31"),
        ({"languages": ["English"]}, "a code such as en or pt-BR"),
        ({"colour": "red"}, "unknown key colour"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_written(
    source: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(VlsbenchError, match=message):
        kitchen.released(source, tmp_path / "out", **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_all_bad_images_are_listed_once_and_nothing_is_written(
    source: Path, tmp_path: Path
) -> None:
    whole = (source / "images" / "red.png").read_bytes()
    (source / "images" / "red.png").unlink()
    (source / "images" / "green.png").write_bytes(whole[:40] + whole[44:])
    (source / "images" / "blue.png").write_bytes(b"<svg onload=alert(1)>")
    with pytest.raises(BadRows) as error:
        kitchen.released(source, tmp_path / "out")
    assert [row.row for row in error.value.rows] == [f"pair-{number:03d}" for number in range(6)]
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))
    made = kitchen.released(source, tmp_path / "out", skip_bad=True)
    assert (made.pairs, made.images, made.left_out) == (10, 5, {"unusable row": 6})
    assert verify(tmp_path / "out").sound


def test_pairs_without_an_image_are_refused(tmp_path: Path) -> None:
    rows = kitchen.rows(4)
    del rows[2]["file_name"]
    source = kitchen.write(tmp_path / "pairs", rows)
    with pytest.raises(BadRows, match="only image-text pairs") as error:
        kitchen.released(source, tmp_path / "out")
    assert [row.row for row in error.value.rows] == ["pair-002"]


def test_a_folder_in_use_is_left_alone(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    with pytest.raises(VlsbenchError, match="not an empty folder"):
        kitchen.released(source, out)
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]
    shutil.rmtree(out)
    out.mkdir()
    kitchen.released(source, out)
    assert not list(tmp_path.glob(".out*"))


def test_a_config_file_says_it_all_and_options_go_before_it(source: Path, tmp_path: Path) -> None:
    config = tmp_path / "release.toml"
    config.write_text(
        'name = "kitchen"\nversion = "1.0.0"\nlicence = "cc-by-4.0"\nauthors = ["A. Toaster"]\n'
        'date = 2026-01-31\nlimits = ["Only toasters."]\n[split]\ntest = 1.0\n'
        '[licences]\ndrawn = "CC0-1.0"\n[content]\nwarning = "Hot."\npeople = "None."\n'
        'minors = "None."\npersonal_data = "None."\n'
    )
    made = vlsbench.release(
        source, out=tmp_path / "out", config=config, version="2.0.0", content={"warning": "Warm."}
    )
    assert (made.version, made.date, made.content.warning) == ("2.0.0", "2026-01-31", "Warm.")
    assert made.content.people == "None."
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Only toasters." in card
    assert "author = {A. Toaster}" in card
    config.write_text('name = "kitchen"\nlicense = "mit"\n[content]\nwarn = "x"\n')
    with pytest.raises(VlsbenchError, match=r"release.toml: unknown key license"):
        vlsbench.release(source, out=tmp_path / "other", config=config)


def test_the_resolved_settings_are_a_release_toml(source: Path, tmp_path: Path) -> None:
    given = {**kitchen.NAMED, "licences": {"drawn": "CC0-1.0"}, "content": kitchen.ANSWERS}
    options = {**given, "dataset": source, "out": tmp_path / "out", "split": "train=0.5,test=0.5"}
    settings = resolve(ReleaseConfig, {**options, "limits": ["Small, and only toasters."]})
    (tmp_path / "release.toml").write_text(to_toml(settings))
    assert resolve(ReleaseConfig, {}, file=tmp_path / "release.toml") == settings
    made = vlsbench.release(**values_of(settings))
    assert [split.name for split in made.splits] == ["train", "test"]
    assert "Small, and only toasters." in (tmp_path / "out" / "README.md").read_text()


def test_release_json_is_what_was_returned(source: Path, tmp_path: Path) -> None:
    from dataclasses import asdict

    made = kitchen.released(source, tmp_path / "out")
    found = json.loads((tmp_path / "out" / "release.json").read_text())
    assert found == json.loads(json.dumps(asdict(made)))
    assert found["schema"] == "vlsbench.release/1"
    assert found["statistics"]["shared"] == 8
