"""The dataset card: README.md with the header that the Hugging Face Hub reads."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from vlsbench.releasing._text import fenced, finalize, line, percent, size, size_category
from vlsbench.releasing._types import DATA, FOLDER, Column, Figure, Kind, Release, Settings

if TYPE_CHECKING:
    from jinja2 import Environment

HUB_LICENCES = re.compile(
    r"apache-2\.0|mit|cc0-1\.0|cc-by-(2\.0|2\.5|3\.0|4\.0)|cc-by-sa-[34]\.0|cc-by-nc-[234]\.0|"
    r"cc-by-nd-4\.0|cc-by-nc-nd-[34]\.0|cc-by-nc-sa-[234]\.0|cdla-permissive-[12]\.0|"
    r"cdla-sharing-1\.0|odbl|odc-by|pddl|gpl-3\.0|bsd-3-clause"
)
"""Identifiers that the Hub knows and that sets of images go under (its page on licences)."""
GATE_PROMPT = """\
This set holds pairs that are harmful by design, to measure and improve the safety of models. By \
asking for access you agree to use it for research, evaluation or alignment of model safety only; \
not to train a model to give harmful answers; not to pass it on or publish its harmful content \
beyond short quotations; and to delete it when that purpose ends."""
GATE_FIELDS = {
    "Name": "text",
    "Affiliation": "text",
    "Country": "country",
    "I want to use this set for": {
        "type": "select",
        "options": ["Research", "Evaluation of a model", "Safety alignment", "Other"],
    },
    "I agree to the terms above": "checkbox",
    "I am of legal age": "checkbox",
}
INTENDED_USE = """\
Evaluating, auditing and aligning the safety of models that take images and text, with the images \
shown. Not for training models to give harmful answers, and not as a filter's only test."""
LIMITS = (
    "What is harmful was decided by models, people or a rule as told above; another culture, law "
    "or policy may decide otherwise.",
    "A published set finds its way into training data: results of later models may be too good.",
)


def title_of(settings: Settings) -> str:
    """Return the title, or the name where there is none."""
    return settings.title or settings.name


def limits_of(release: Release, settings: Settings) -> tuple[str, ...]:
    """Return what the release cannot do, as told by whoever made it and as seen in it."""
    found = [*settings.limits, *LIMITS]
    if release.simulated:
        found.insert(0, "Simulated pairs: of use for testing software and for nothing else.")
    if not release.pairs - release.harmful:
        found.append("No benign controls: over-refusal cannot be measured on it.")
    if release.leakage is None:
        found.append("Leakage was not measured.")
    if release.agreement is None:
        found.append("No agreement of reviewers is on record.")
    return tuple(found)


def header(release: Release, settings: Settings) -> str:
    """Return the YAML header, without its dashes."""
    from huggingface_hub import DatasetCardData

    known = release.licence.lower()
    named: dict[str, Any] = {}
    if not HUB_LICENCES.fullmatch(known):
        slug = re.sub(r"[^a-z0-9.]+", "-", known).strip("-.") or "other"
        known, named = "other", {"license_name": slug[:60], "license_link": "README.md"}
    tags = ["safety", "multimodal", "image-text", "vlsbench", "croissant"]
    if release.gated:
        tags.append("not-for-all-audiences")
    if release.simulated:
        tags.append("simulated")
    gate: dict[str, Any] = {}
    if release.gated:
        gate = {
            "extra_gated_heading": "Ask for access",
            "extra_gated_prompt": f"{line(release.content.warning)}\n\n{GATE_PROMPT}",
            "extra_gated_fields": GATE_FIELDS,
            "extra_gated_button_content": "Ask for access",
        }
    configs = [
        {
            "config_name": "default",
            "data_files": [
                {"split": split.name, "path": f"{DATA}/{split.name}-*.parquet"}
                for split in release.splits
            ],
        }
    ]
    data = DatasetCardData(
        language=list(settings.languages),
        license=known,
        pretty_name=line(title_of(settings)),
        size_categories=[size_category(release.pairs)],
        task_categories=["visual-question-answering", "image-text-to-text"],
        tags=tags,
        configs=configs,
        **named,
        **gate,
    )
    return data.to_yaml() + "\n"


def card(release: Release, settings: Settings) -> str:
    """Return README.md."""
    several = any(column.kind is Kind.IMAGES for column in release.columns)
    return (
        _environment()
        .get_template("card.md")
        .render(
            header=Markup(header(release, settings)),
            release=release,
            statistics=release.statistics,
            several=several,
            title=title_of(settings),
            summary=settings.summary,
            loading=_loading(release),
            intended_use=settings.intended_use or INTENDED_USE,
            limits=limits_of(release, settings),
            citation=fenced(citation(release, settings), "bibtex"),
            changes=_changes(release),
        )
    )


def citation(release: Release, settings: Settings) -> str:
    """Return BibTeX: what the settings say, or an entry made up of them."""
    if settings.citation:
        return settings.citation
    key = re.sub(r"[^a-z0-9]+", "", settings.name.lower())
    fields = {
        "title": title_of(settings),
        "author": " and ".join(settings.authors),
        "year": release.date[:4],
        "version": release.version,
        "url": settings.homepage,
    }
    # A brace in a title would end its field.
    clean = {name: re.sub(r"[{}\\\s]+", " ", text).strip() for name, text in fields.items()}
    lines = [f"  {name} = {{{text}}}" for name, text in clean.items() if text]
    return f"@misc{{{key}{release.date[:4]},\n" + ",\n".join(lines) + "\n}"


def _loading(release: Release) -> Markup:
    folder = release.name
    split = release.splits[-1].name
    return fenced(
        f'from datasets import load_dataset\n\npairs = load_dataset("{folder}", split="{split}")\n'
        f'files = load_dataset("imagefolder", data_dir="{folder}/{FOLDER}", split="{split}")\n\n'
        f"# vlsbench eval {folder} --model NAME --judge NAME",
        "python",
    )


def _changes(release: Release) -> str:
    changes = release.changes
    if changes is None:
        return f"{release.version}: first release."
    return (
        f"{release.version} ({release.date}), since {changes.previous}: {len(changes.added):,} "
        f"added, {len(changes.removed):,} removed, {len(changes.changed):,} changed."
    )


def figure_value(figure: Figure) -> str:
    """Write a figure in its unit; a dash where it is not defined."""
    if figure.unit == "alpha":
        return "–" if figure.value is None else f"{figure.value:.3f}"
    return percent(figure.value)


def figure_interval(figure: Figure) -> str:
    """Write the bounds of a figure's interval in its unit; a dash where there are none."""
    if figure.low is None or figure.high is None:
        return "–"
    if figure.unit == "alpha":
        return f"{figure.low:.3f} to {figure.high:.3f}"
    return f"{figure.low * 100:.1f} to {figure.high * 100:.1f}"


def _column_about(column: Column) -> str:
    if not column.about and column.origin and column.origin != column.name:
        return f"{column.origin} of the set that it was made from"
    return column.about or "as in the set that it was made from"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("vlsbench.releasing"),
        # Markdown is escaped by `finalize`; HTML's escapes would show in it.
        autoescape=False,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "count": lambda number: f"{number:,}",
        "size": size,
        "value": figure_value,
        "interval": figure_interval,
        "dollars": lambda cost: Markup(f"US\\$ {cost:,.2f}"),
        "about": _column_about,
    }
    return environment
