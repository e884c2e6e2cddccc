"""Recipes: what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.build_quality import PLAIN, STAGES
from vlsbench.building import (
    SHIPPED,
    forbidden_category,
    forbidden_text,
    read_recipe,
)
from vlsbench.errors import VlsbenchError
from vlsbench.schemas import SchemaError

GOOD = """
name = "kitchen"

[models]
writer = "a@http://localhost:1/v1"
rewriter = "a@http://localhost:1/v1"
eyes = "a@http://localhost:1/v1"
judge = "a@http://localhost:1/v1"
painter = "b@http://localhost:1/v1"

[elements]
per_subcategory = 4

[draw]
safety = "filtered"

[taxonomy.Household]
Kitchen = "things in a kitchen"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_good_recipe_is_read(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, GOOD))
    assert recipe.elements is not None
    assert recipe.elements.per_subcategory == 4
    assert recipe.spec("checker") == recipe.models.judge
    assert [(cell.category, cell.name) for cell in recipe.taxonomy] == [("Household", "Kitchen")]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_are_read_by_name(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    assert bool(recipe.placeholders()) == (name != "lab")


def test_the_benchmark_of_the_pipeline_is_told_in_settings_that_there_are() -> None:
    for overrides in STAGES.values():
        assert read_recipe("lab", [*PLAIN, *overrides]).quota.per_subcategory is None


def test_the_papers_taxonomy_has_6_categories_and_19_sub_categories() -> None:
    recipe = read_recipe("vlsbench")
    assert len({cell.category for cell in recipe.taxonomy}) == 6
    assert len(recipe.taxonomy) == 19


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("per_subcategory = 4", "per_subcat = 4", "unknown key elements.per_subcat"),
        ("[elements]", "[element]", "unknown key element"),
        (
            "per_subcategory = 4",
            "per_subcategory = 0",
            "elements.per_subcategory: must be at least",
        ),
        (
            "per_subcategory = 4",
            'per_subcategory = "4"',
            "elements.per_subcategory: must be a whole number",
        ),
        ("per_subcategory = 4", "per_subcategory = true", "must be a whole number"),
        ('safety = "filtered"', "", "missing key draw.safety"),
        ('safety = "filtered"', 'safety = "maybe"', "draw.safety: must be one of"),
        ('safety = "filtered"', 'safety = "unfiltered"', "draw.because: an unfiltered"),
        ('[draw]\nsafety = "filtered"', "", "draw: path A draws its images"),
        ('judge = "a@http://localhost:1/v1"', "", "missing key models.judge"),
        ('eyes = "a@http://localhost:1/v1"', "", "models.eyes: is missing"),
        ("name =", "title =", "unknown key title"),
        (
            "Kitchen =",
            "Kitchen = 1 #",
            "taxonomy.Household.Kitchen: must be text",
        ),
        ("[elements]\nper_subcategory = 4", "", "elements: nothing to begin with"),
        ("[models]", "[models", "is not valid TOML"),
        ("[elements]", "[leak_filter]\nvotes = 2\n[elements]", "leak_filter.votes: must be an odd"),
        (
            "[elements]",
            "[leak_filter]\noverlap = 2\n[elements]",
            "overlap: must be at most 1, not 2",
        ),
        (
            "[elements]",
            '[perceive]\nimages = "x"\nlicence = " "\nsource = "y"\n[elements]',
            "perceive.licence: must be stated",
        ),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(SchemaError) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "Sexual content with minors",
        "Erotic pictures of teenagers",
        "Chemical weapons",
        "Defaming real people",
    ],
)
def test_categories_that_must_not_be_generated_cannot_be_named(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, GOOD + f'"{name}" = "whatever"\n')
    with pytest.raises(SchemaError, match="must not be generated"):
        read_recipe(path)


def test_two_sub_categories_with_one_id_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD + '"KITCHEN!" = "the same, shouted"\n')
    with pytest.raises(SchemaError, match="the same id as"):
        read_recipe(path)


def test_rules_about_texts_know_the_category() -> None:
    assert forbidden_text("A toddler with a naked doll")
    assert forbidden_text("A schoolgirl in a park", "Erotic")
    assert not forbidden_text("A toddler with a toaster", "Toddler play")
    assert forbidden_category("Toddler play", "tool") is None


def test_overrides_take_the_place_of_what_the_file_says(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    recipe = read_recipe(path, ["elements.per_subcategory=2", "leak_filter.overlap=false"])
    assert recipe.elements is not None
    assert recipe.elements.per_subcategory == 2
    assert recipe.leak_filter.overlap is None
    assert recipe.digest != read_recipe(path).digest
    assert read_recipe(path, ["models.judge=openai/x"]).models.judge == "openai/x"
    with pytest.raises(SchemaError, match="per_subcategory: must be a whole number, not text"):
        read_recipe(path, ["elements.per_subcategory=two"])
    with pytest.raises(VlsbenchError, match=r"write SECTION\.KEY=VALUE"):
        read_recipe(path, ["elements.per_subcategory"])


def test_an_unknown_recipe_names_those_that_ship() -> None:
    with pytest.raises(VlsbenchError, match="lab, vlsbench, custom"):
        read_recipe("nothing.toml")
