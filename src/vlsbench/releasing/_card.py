"""The dataset card and the changelog: Markdown, with the header that the Hugging Face Hub reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from vlsbench.releasing._about import DATA, Figure, Release
from vlsbench.releasing._settings import Settings
from vlsbench.releasing._text import fenced, finalize, size_category, terms
from vlsbench.text import one_line

if TYPE_CHECKING:
    from jinja2 import Environment

HUB_LICENCES = re.compile(
    r"apache-2\.0|mit|cc0-1\.0|cc-by-(2\.0|2\.5|3\.0|4\.0)|cc-by-sa-[34]\.0|cc-by-nc-[234]\.0|"
    r"cc-by-nd-4\.0|cc-by-nc-nd-[34]\.0|cc-by-nc-sa-[234]\.0|cdla-permissive-[12]\.0|"
    r"cdla-sharing-1\.0|odbl|odc-by|pddl|gpl-3\.0|bsd-3-clause"
)
"""Identifiers that the Hub knows and that sets of images go under (its page on licences)."""


def context_of(release: Release, settings: Settings) -> dict[str, Any]:
    """Return what the card and Croissant both say."""
    limits = [*settings.limits, *terms()["limits"]]
    if release.simulated:
        limits.insert(0, "Simulated pairs: of use for testing software and for nothing else.")
    if not release.pairs - release.harmful:
        limits.append("No benign controls: over-refusal cannot be measured on it.")
    if release.leakage is None:
        limits.append("Leakage was not measured.")
    if release.agreement is None:
        limits.append("No agreement of reviewers is on record.")
    context = {
        "release": release,
        "settings": settings,
        "statistics": release.statistics,
        "limits": limits,
        "intended_use": settings.intended_use or terms()["intended_use"],
    }
    # A brace in a title would end its field.
    template = environment(lambda text: re.sub(r"[{}\\\s]+", " ", str(text)).strip())
    entry = template.get_template("citation.bib").render(context)
    return {**context, "citation": settings.citation or entry.strip()}


def header(release: Release, settings: Settings) -> str:
    """Return the YAML header, without its dashes."""
    from huggingface_hub import DatasetCardData

    tags = ["safety", "multimodal", "image-text", "vlsbench", "croissant"]
    more: dict[str, Any] = {"license": release.licence.lower()}
    if not HUB_LICENCES.fullmatch(more["license"]):
        slug = re.sub(r"[^a-z0-9.]+", "-", more["license"]).strip("-.") or "other"
        more = {"license": "other", "license_name": slug[:60], "license_link": "README.md"}
    if release.gated:
        tags.append("not-for-all-audiences")
        warning = one_line(release.content.warning)
        more |= {
            "extra_gated_heading": terms()["gate_heading"],
            "extra_gated_prompt": f"{warning}\n\n{terms()['gate_prompt']}",
            "extra_gated_fields": terms()["gate_fields"] | terms()["gate_confirm"],
            "extra_gated_button_content": terms()["gate_heading"],
        }
    data = DatasetCardData(
        language=list(settings.languages),
        pretty_name=one_line(release.title),
        size_categories=[size_category(release.pairs)],
        task_categories=["visual-question-answering", "image-text-to-text"],
        tags=tags + ["simulated"] * release.simulated,
        configs=[
            {
                "config_name": "default",
                "data_files": [
                    {"split": split.name, "path": f"{DATA}/{split.name}-*.parquet"}
                    for split in release.splits
                ],
            }
        ],
        **more,
    )
    return data.to_yaml() + "\n"


def card(release: Release, settings: Settings, context: Mapping[str, Any]) -> str:
    """Return README.md."""
    template = environment(finalize).get_template("card.md")
    return template.render(context, header=Markup(header(release, settings)))


def changelog(release: Release, previous: Path | None) -> str:
    """Return the changelog with this release on top.

    Args:
        release: This one.
        previous: The changelog of the one before, which need not be there.
    """
    lists: list[tuple[str, Iterable[str]]] = []
    if changes := release.changes:
        changed = [f"{id} ({', '.join(names)})" for id, names in changes.changed.items()]
        lists = [
            *(
                ("Columns added", changes.columns_added),
                ("Columns removed", changes.columns_removed),
            ),
            *(("Added", changes.added), ("Removed", changes.removed), ("Changed", changed)),
        ]
    template = environment(finalize).get_template("changelog.md")
    text = template.render(release=release, lists=lists)
    before = previous.read_text("utf-8") if previous and previous.is_file() else ""
    rest = before.partition("\n## ")[2]
    return f"{text}\n## {rest}" if rest else text


def figure_value(figure: Figure) -> str:
    """Write a figure in its unit; a dash where it is not defined."""
    if figure.value is None:
        return "–"
    return f"{figure.value:.3f}" if figure.unit == "alpha" else f"{figure.value * 100:.1f} %"


def figure_interval(figure: Figure) -> str:
    """Write the bounds of a figure's interval in its unit; a dash where there are none."""
    if figure.low is None or figure.high is None:
        return "–"
    if figure.unit == "alpha":
        return f"{figure.low:.3f} to {figure.high:.3f}"
    return f"{figure.low * 100:.1f} to {figure.high * 100:.1f}"


def environment(finalize: Callable[[Any], str]) -> Environment:
    """Return the templates; `finalize` writes whatever they print, so that it is read as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from rich.filesize import decimal

    environment = Environment(
        loader=PackageLoader("vlsbench.releasing"),
        autoescape=False,  # `finalize` escapes; HTML's escapes would show
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "count": lambda number: f"{number:,}",
        "size": decimal,
        "value": figure_value,
        "interval": figure_interval,
        "dollars": lambda cost: Markup(f"US\\$ {cost:,.2f}"),
        "fenced": fenced,
    }
    return environment
