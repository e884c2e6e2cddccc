"""The dataset card and Croissant: templates in which others' texts stay text.

Croissant 1.1 with the fields of responsible AI: docs.mlcommons.org/croissant/docs,
croissant-spec-1.1.html (the context is that of its appendix 1, and what mlcroissant adds) and
croissant-rai-spec.html. Which fields NeurIPS asks for: neurips.cc/Conferences/2026,
EvaluationsDatasetsHosting.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from vlsbench.releasing._about import DATA, Figure, Kind, Release, ReleaseConfig
from vlsbench.text import block, counted, markdown, one_line

if TYPE_CHECKING:
    from jinja2 import Environment

HUB_LICENCES = re.compile(
    r"apache-2\.0|mit|cc0-1\.0|cc-by-(2\.0|2\.5|3\.0|4\.0)|cc-by-sa-[34]\.0|cc-by-nc-[234]\.0|"
    r"cc-by-nd-4\.0|cc-by-nc-nd-[34]\.0|cc-by-nc-sa-[234]\.0|cdla-permissive-[12]\.0|"
    r"cdla-sharing-1\.0|odbl|odc-by|pddl|gpl-3\.0|bsd-3-clause"
)
"""Identifiers that the Hub knows and that sets of images go under (its page on licences)."""
SPDX = {"apache-2.0": "Apache-2.0", "mit": "MIT", "cc0-1.0": "CC0-1.0", "odbl": "ODbL-1.0"}
CROISSANT_TYPES = {
    Kind.IMAGE: "sc:ImageObject", Kind.IMAGES: "sc:ImageObject", Kind.TEXT: "sc:Text",
    Kind.JSON: "sc:Text", Kind.BOOL: "sc:Boolean", Kind.INT: "cr:Int64", Kind.FLOAT: "cr:Float64",
}  # fmt: skip


@cache
def terms() -> dict[str, Any]:
    """Return what every card says of access, use and limits."""
    return tomllib.loads(files("vlsbench.releasing").joinpath("terms.toml").read_text("utf-8"))


def context_of(release: Release, settings: ReleaseConfig) -> dict[str, Any]:
    """Return what the card and Croissant both say."""
    limits = [*settings.limits, *terms()["limits"]]
    if release.simulated:
        limits.insert(0, "Simulated pairs: of use for testing software and for nothing else.")
    if release.pairs == release.harmful:
        limits.append("No benign controls: over-refusal cannot be measured on it.")
    if release.leakage is None:
        limits.append("Leakage was not measured.")
    if release.agreement is None:
        limits.append("No agreement of reviewers is on record.")
    if release.synthetic is None:
        limits.append("Whether a model made any of its texts or images is not stated.")
    context = {
        "release": release,
        "settings": settings,
        "statistics": release.statistics,
        "limits": limits,
        "intended_use": settings.intended_use or terms()["intended_use"],
    }
    # A brace in a title would end its field.
    template = _environment(lambda text: re.sub(r"[{}\\\s]+", " ", str(text)).strip())
    entry = template.get_template("citation.bib").render(context)
    return {**context, "citation": settings.citation or entry.strip()}


def card(release: Release, settings: ReleaseConfig, context: Mapping[str, Any]) -> str:
    """Return README.md: its YAML header is what the Hugging Face Hub reads."""
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
    data_files = [
        {"split": split.name, "path": f"{DATA}/{split.name}-*.parquet"} for split in release.splits
    ]
    header = DatasetCardData(
        language=list(settings.languages),
        pretty_name=one_line(release.title),
        task_categories=["visual-question-answering", "image-text-to-text"],
        tags=tags + ["simulated"] * release.simulated,
        configs=[{"config_name": "default", "data_files": data_files}],
        **more,
    )
    template = _environment(_markdown).get_template("card.md")
    return template.render(context, header=Markup(header.to_yaml() + "\n"))


def croissant(
    release: Release, shards: Mapping[str, tuple[int, str]], context: Mapping[str, Any]
) -> str:
    """Return `croissant.json`; `shards` is Parquet file → bytes and SHA-256."""
    sources = ", ".join(
        f"{row.source or 'no source named'} ({row.pairs:,} pairs, {row.licence})"
        for row in release.statistics.sources
    )
    # The licence's page where it is an SPDX identifier in the usual form.
    low = release.licence.lower()
    name = SPDX.get(low) or (low.upper() if low.startswith("cc-by") else "")
    page = f"https://spdx.org/licenses/{name}.html"
    # Whatever the template prints becomes JSON.
    template = _environment(lambda value: json.dumps(value, ensure_ascii=False))
    text = template.get_template("croissant.json").render(
        {**context, "shards": shards, "sources": sources},
        licence=page if name and " " not in name else release.licence,
        types=CROISSANT_TYPES,
        said=_said,
    )
    about = {name: value for name, value in json.loads(text).items() if value not in ("", [], None)}
    return json.dumps(about, indent=1, ensure_ascii=False) + "\n"


def _said(figures: Iterable[Figure]) -> list[str]:
    return [
        f"{one.name}: {'alpha ' if one.unit == 'alpha' else ''}{_value(one)} (95 % interval "
        f"{_interval(one)}), n = {one.n:,}"
        for one in figures
    ]


def _value(figure: Figure) -> str:
    """Write a figure in its unit; a dash where it is not defined."""
    if figure.value is None:
        return "–"
    return f"{figure.value:.3f}" if figure.unit == "alpha" else f"{figure.value * 100:.1f} %"


def _interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return "–"
    scale, form = (1, ".3f") if figure.unit == "alpha" else (100, ".1f")
    return f"{figure.low * scale:{form}} to {figure.high * scale:{form}}"


def _fenced(text: str, language: str = "") -> Markup:
    """Write a text as a block of code that nothing in it can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    clean = block(text).replace("\r", "\n").strip("\n")
    return Markup(f"{fence}{language}\n{clean}\n{fence}")


def _markdown(value: Any) -> str:
    """Escape whatever a template prints, but for what is `Markup`."""
    return str(value) if isinstance(value, Markup) else "" if value is None else markdown(value)


def _environment(finalize: Callable[[Any], str]) -> Environment:
    """Return the templates; `finalize` writes whatever they print, so that it is read as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

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
        "counted": counted,
        "count": lambda number: f"{number:,}",
        "value": _value,
        "interval": _interval,
        "fenced": _fenced,
    }
    return environment
