"""Any text survives, and none of it becomes markup, a key of the header, or a path."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import vlsbench
from tests.releasing import kitchen
from vlsbench.errors import BadRows
from vlsbench.pairs import MadeImage, Pair, PairSet
from vlsbench.releasing import verify
from vlsbench.text import one_line

CONTEXT = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
FILLED = TEXT.filter(lambda text: bool(text.strip()))
SEEN = TEXT.filter(lambda text: bool(one_line(text)))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALAR = st.none() | st.booleans() | st.integers() | FLOATS | TEXT
JSON = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
FIELDS = ("query", "category", "subcategory", "description", "reason", "source")
NASTY = (
    "</td><script>alert(1)</script>",
    "a | b\n---\n# heading\n\n- item",
    "[click](javascript:alert(1)) ![x](http://example.org/x.png)",
    "``` \n```\n{{ 7 * 7 }} {% raw %} $x$ **bold** _it_ &amp; <b>",
    "---\nlicense: mit\n...",
    "'\"\\: !!python/object/apply:os.system [ls]",
    "1. www.example.org https://example.org",
    "\u202e\u0000\x1b[31m\u2028\u200b",
    "=== \\` ~~~ #",
)


def one_pair(tmp_path: Path, **fields: Any) -> PairSet:
    values: dict[str, Any] = {"id": "one", "query": "May the toddler?", **fields}
    pair = Pair(images=(MadeImage("toaster.png", kitchen.image_bytes),), **values)
    return PairSet("made", lambda: [pair])


def release(pairs: PairSet, out: Path, **options: Any) -> Path:
    sources = {pair.source: "CC0-1.0" for pair in pairs}
    shutil.rmtree(out, ignore_errors=True)
    kitchen.released(pairs, out, licences=sources, **options)  # type: ignore[arg-type]
    return out


@pytest.mark.long
@given(fields=st.fixed_dictionaries(dict.fromkeys(FIELDS, TEXT) | {"query": FILLED, "id": FILLED}))
@CONTEXT
def test_any_text_of_a_pair_comes_back(fields: dict[str, str], tmp_path: Path) -> None:
    out = release(one_pair(tmp_path, **fields), tmp_path / "out")
    (pair,) = vlsbench.load(out)
    assert {name: getattr(pair, name) for name in (*FIELDS, "id")} == fields
    assert pair.images[0].read().data == kitchen.image_bytes()
    assert verify(out).sound


@pytest.mark.long
@given(meta=st.lists(st.dictionaries(TEXT, JSON, max_size=4), min_size=1, max_size=3))
@CONTEXT
def test_any_metadata_comes_back_in_a_column_of_its_own(
    meta: list[dict[str, Any]], tmp_path: Path
) -> None:
    for one in meta:
        one.pop("image_licence", None)
        one.pop("twin_of", None)
    pairs = [
        Pair(str(number), "May I?", (MadeImage("a.png", kitchen.image_bytes),), meta=one)
        for number, one in enumerate(meta)
    ]
    out = release(PairSet("made", lambda: pairs), tmp_path / "out")
    columns = json.loads((out / "release.json").read_text("utf-8"))["columns"]
    (file,) = (out / "data").glob("*.parquet")
    stored = pq.read_table(file).to_pylist()
    for row, one in zip(stored, meta, strict=True):
        for column in columns[10:]:
            value, wanted = row[column["name"]], one.get(column["origin"])
            if wanted is None:
                assert value in (None, "")
            elif column["kind"] == "json":
                assert json.loads(value) == wanted
            else:
                assert value == wanted
                assert type(value) is type(wanted)
    assert {key for one in meta for key in one} == {column["origin"] for column in columns[10:]}
    assert verify(out).sound


def test_numbers_without_a_form_in_json_are_empty(tmp_path: Path) -> None:
    nan, infinite = float("nan"), float("inf")
    meta = {"a": infinite, "b": [nan, 1.5], "c": {"d": infinite}}
    out = release(one_pair(tmp_path, meta=meta), tmp_path / "out")
    (pair,) = vlsbench.load(out)
    found = {key: pair.meta[key] for key in meta}
    assert found == {"a": "", "b": "[null, 1.5]", "c": '{"d": null}'}
    assert verify(out).sound


@pytest.mark.parametrize("field", ["query", "category", "meta", "id"])
def test_half_a_surrogate_pair_is_refused_by_name(field: str, tmp_path: Path) -> None:
    fields: dict[str, Any] = {field: "toast\ud800er"}
    if field == "meta":
        fields = {"meta": {"note": ["toast\ud800er"]}}
    with pytest.raises(BadRows, match="half a surrogate pair") as error:
        release(one_pair(tmp_path, **fields), tmp_path / "out")
    str(error.value).encode()
    assert not (tmp_path / "out").exists()


def parts(out: Path) -> tuple[dict[str, Any], str]:
    """Return the header and the body of the card."""
    text = (out / "README.md").read_text("utf-8")
    assert text.startswith("---\n")
    header, body = text[4:].split("\n---\n", 1)
    return yaml.safe_load(header), body


def shown(body: str) -> tuple[list[str], set[str]]:
    """Return the texts that a reader of the Markdown sees, and the kinds of its tokens."""
    parser = MarkdownIt("gfm-like", {"linkify": False, "html": True})
    texts, kinds = [], set()
    for token in parser.parse(body):
        kinds.add(token.type)
        if token.type == "inline":
            kinds |= {child.type for child in token.children or ()}
            found = ("\n" if c.type == "softbreak" else c.content for c in token.children or ())
            texts.append("".join(found))
    return texts, kinds


@pytest.mark.long
@pytest.mark.parametrize("nasty", NASTY)
def test_hostile_texts_are_read_as_text_on_the_card(nasty: str, tmp_path: Path) -> None:
    plain = release(one_pair(tmp_path, category="plain"), tmp_path / "plain")
    hostile = one_pair(tmp_path, category=nasty, subcategory=nasty, source=nasty, meta={nasty: 1})
    content = dict.fromkeys(kitchen.ANSWERS, nasty)
    out = release(
        hostile, tmp_path / "out", title=nasty, summary=nasty, limits=[nasty], content=content,
        authors=[nasty], intended_use=nasty,
    )  # fmt: skip
    header, body = parts(out)
    before, _ = parts(plain)
    assert set(header) == set(before)
    assert header["license"] == "cc-by-4.0"
    assert header["pretty_name"] == one_line(nasty)
    assert header["extra_gated_prompt"].startswith(one_line(nasty))
    texts, kinds = shown(body)
    expected, known = shown(parts(plain)[1])
    assert kinds <= known
    seen = "".join(c for c in one_line(nasty) if c.isprintable() or c == "\u200b").replace(" ", "")
    assert sum(seen in "".join(text.split()) for text in texts) >= 9
    # A summary, a limit, and the three cells of a further column.
    assert len(texts) == len(expected) + 5
    croissant = json.loads((out / "croissant.json").read_text("utf-8"))
    assert croissant["alternateName"] == nasty
    assert verify(out).sound


@pytest.mark.long
@given(nasty=SEEN)
@CONTEXT
def test_the_header_is_yaml_whatever_it_says(nasty: str, tmp_path: Path) -> None:
    content = {**kitchen.ANSWERS, "warning": nasty}
    out = release(
        one_pair(tmp_path, category=nasty), tmp_path / "out", title=nasty, content=content
    )
    header, body = parts(out)
    assert header["pretty_name"] == one_line(nasty)
    assert header["extra_gated_prompt"].startswith(f"{one_line(nasty)}\n\n")
    assert header["configs"][0]["config_name"] == "default"
    assert header["extra_gated_fields"]["Name"] == "text"
    _, kinds = shown(body)
    assert "html_inline" not in kinds
    assert "html_block" not in kinds
    assert "image" not in kinds
    assert "link_open" not in kinds
    assert verify(out).sound


def test_hostile_references_and_ids_are_no_paths(tmp_path: Path) -> None:
    pairs = [
        Pair(name, "May I?", (MadeImage(name, kitchen.image_bytes),))
        for name in ("../../escaped", "/etc/hosts", "a\0b", "C:\\x")
    ]
    out = release(PairSet("made", lambda: pairs), tmp_path / "deep" / "er" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["data"]
    assert {pair.id for pair in vlsbench.load(out)} == {pair.id for pair in pairs}
