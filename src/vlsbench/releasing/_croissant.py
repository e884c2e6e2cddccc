"""The set as Croissant 1.0 with the fields of responsible AI.

Format: docs.mlcommons.org/croissant/docs/croissant-spec.html and croissant-rai-spec.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlsbench.releasing._card import (
    INTENDED_USE,
    citation,
    figure_interval,
    figure_value,
    limits_of,
    title_of,
)
from vlsbench.releasing._types import DATA, Column, Figure, Kind, Release, Settings

PARQUET = "application/x-parquet"
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the specification gives, appendix 1."""
_TYPES = {
    Kind.IMAGE: "sc:ImageObject", Kind.IMAGES: "sc:ImageObject", Kind.TEXT: "sc:Text",
    Kind.JSON: "sc:Text", Kind.BOOL: "sc:Boolean", Kind.INT: "cr:Int64", Kind.FLOAT: "cr:Float64",
}  # fmt: skip
_SET = "parquet"
_RECORDS = "pairs"


def croissant(
    release: Release, settings: Settings, files: Mapping[str, tuple[int, str]]
) -> dict[str, Any]:
    """Return `croissant.json`.

    Args:
        release: What is released.
        settings: What it says of itself.
        files: Parquet shard → bytes and SHA-256.
    """
    about: dict[str, Any] = {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.0",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": release.name,
        "alternateName": title_of(settings),
        "description": _description(release, settings),
        "version": release.version,
        "license": _licence(release.licence),
        "datePublished": release.date,
        "citeAs": citation(release, settings),
        "inLanguage": list(settings.languages),
        "keywords": ["safety", "multimodal", "vision-language", *["simulated"] * release.simulated],
        "creator": [{"@type": "sc:Person", "name": name} for name in settings.authors],
        "url": settings.homepage,
        "distribution": _distribution(files),
        "recordSet": [_record_set(release)],
        **_rai(release, settings),
    }
    return {name: value for name, value in about.items() if value not in ("", [])}


def _description(release: Release, settings: Settings) -> str:
    parts = [
        settings.summary,
        f"{release.pairs:,} image-text pairs, {release.harmful:,} of them harmful as a pair; "
        f"{release.images:,} images.",
        f"Content warning: {release.content.warning}",
        "Simulated: made in a closed world for testing software." if release.simulated else "",
    ]
    return " ".join(part for part in parts if part)


def _licence(licence: str) -> str:
    """Return the licence's page where it is an SPDX identifier in the usual form."""
    known = {
        "apache-2.0": "Apache-2.0",
        "mit": "MIT",
        "cc0-1.0": "CC0-1.0",
        "odbl": "ODbL-1.0",
    }
    low = licence.lower()
    name = known.get(low) or (low.upper() if low.startswith("cc-by") else "")
    return f"https://spdx.org/licenses/{name}.html" if name and " " not in name else licence


def _distribution(files: Mapping[str, tuple[int, str]]) -> list[dict[str, Any]]:
    shards = [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{size} B",
            "encodingFormat": PARQUET,
            "sha256": digest,
        }
        for name, (size, digest) in files.items()
    ]
    whole = {
        "@type": "cr:FileSet",
        "@id": _SET,
        "name": _SET,
        "description": "All shards of all splits.",
        "encodingFormat": PARQUET,
        "includes": f"{DATA}/*.parquet",
    }
    return [*shards, whole]


def _record_set(release: Release) -> dict[str, Any]:
    names = "|".join(split.name for split in release.splits)
    split = {
        "@type": "cr:Field",
        "@id": f"{_RECORDS}/split",
        "name": "split",
        "description": "Split, told by the file's name.",
        "dataType": "sc:Text",
        "source": {
            "fileSet": {"@id": _SET},
            "extract": {"fileProperty": "fullpath"},
            "transform": {"regex": rf".*{DATA}/({names})-.*\.parquet$"},
        },
    }
    return {
        "@type": "cr:RecordSet",
        "@id": _RECORDS,
        "name": _RECORDS,
        "description": "One record a pair of a query and its image.",
        "key": {"@id": f"{_RECORDS}/id"},
        "field": [split, *map(_field, release.columns)],
    }


def _field(column: Column) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": _SET}, "extract": {"column": column.name}}
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{_RECORDS}/{column.name}",
        "name": column.name,
        "description": column.about or f"{column.origin}, as in the set it was made from",
        "dataType": _TYPES[column.kind],
        "source": source,
    }
    if column.kind is Kind.IMAGES:
        field["repeated"] = True
    if column.kind in (Kind.IMAGE, Kind.IMAGES):
        source["transform"] = {"jsonPath": "bytes" if column.kind is Kind.IMAGE else "[*].bytes"}
    return field


def _rai(release: Release, settings: Settings) -> dict[str, Any]:
    statistics, made = release.statistics, release.made
    sources = ", ".join(
        f"{row.source or 'no source named'} ({row.pairs:,} pairs, {row.licence})"
        for row in statistics.sources
    )
    collection = f"Images and pairs from {sources}."
    if made:
        collection += f" {made.records:,} records were made, {made.written:,} are on file."
    alphas = [_said(figure) for figure in (release.agreement.figures if release.agreement else ())]
    leaks = [_said(figure) for figure in (release.leakage.figures if release.leakage else ())]
    content = release.content
    reviewers = release.agreement.reviewers if release.agreement else None
    return {
        "rai:dataCollection": collection,
        "rai:dataCollectionType": ["Software Collection" if made else "Secondary Data Analysis"],
        "rai:dataPreprocessingProtocol": [
            "Every image was decoded, and is named by the SHA-256 of its bytes. Splits are by "
            "image: no image is in two."
        ],
        "rai:dataAnnotationProtocol": [
            "People were shown the query alone, then the image, then both, blind to each other."
        ]
        if release.agreement
        else [],
        "rai:dataAnnotationAnalysis": alphas,
        "rai:annotationsPerItem": f"up to {reviewers}" if reviewers else "",
        "rai:machineAnnotationTools": list(made.models) if made else [],
        "rai:dataUseCases": [settings.intended_use or INTENDED_USE],
        "rai:dataBiases": leaks or ["Leakage of the risk by the query was not measured."],
        "rai:dataLimitations": list(limits_of(release, settings)),
        "rai:dataSocialImpact": content.warning + (" Access is gated." if release.gated else ""),
        "rai:personalSensitiveInformation": [
            f"Real people: {content.people}",
            f"Minors: {content.minors}",
            f"Personal data: {content.personal_data}",
        ],
        "rai:dataReleaseMaintenancePlan": settings.maintenance
        or "Versions are numbered; CHANGELOG.md lists the pairs added, removed and changed.",
    }


def _said(figure: Figure) -> str:
    kind = "Krippendorff's alpha " if figure.unit == "alpha" else ""
    within = f" (95 % interval {figure_interval(figure)})" if figure.low is not None else ""
    return f"{figure.name}: {kind}{figure_value(figure)}{within}, n = {figure.n:,}"
