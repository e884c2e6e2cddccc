"""What a release is asked to say: from TOML and options to checked `Settings`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.schemas import convert, read_toml

SPLITS = ("train", "validation", "test")
"""The names that Hugging Face's imagefolder tells from a folder's name."""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class Content:
    """What whoever releases a set must say of what it shows."""

    warning: str = ""
    """What a reader will meet."""
    people: str = ""
    """Whether real people can be recognised, and what they agreed to."""
    minors: str = ""
    """Whether pairs concern minors, and how that was handled."""
    personal_data: str = ""
    """Whether names, addresses, faces or the like are in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a release is called and what it says of itself; the fields of a `release.toml`."""

    name: str
    """Letters, digits, `.`, `_`, `-`: the last part of a repository's name on the Hub."""
    version: str
    """MAJOR.MINOR.PATCH."""
    licence: str
    """Of the release as a whole, an SPDX identifier where it has one."""
    title: str = ""
    summary: str = ""
    authors: tuple[str, ...] = ()
    homepage: str = ""
    citation: str = ""
    """BibTeX; made up of title, authors and version where it is empty."""
    languages: tuple[str, ...] = ("en",)
    intended_use: str = ""
    limits: tuple[str, ...] = ()
    maintenance: str = ""
    date: str = ""
    """ISO 8601; today where it is empty."""
    split: Mapping[str, float] = field(default_factory=lambda: {"test": 1.0})
    """Split → share of the clusters of images."""
    content: Content | None = None
    licences: Mapping[str, str] = field(default_factory=dict)
    """Source of images → licence; "" for pairs that name no source."""


def read_config(path: Path) -> dict[str, Any]:
    """Read a `release.toml`: fields of `Settings`, with tables `[content]` and `[licences]`.

    Raises:
        SchemaError: It cannot be read, is not TOML, or holds what `Settings` does not; names the
            key.
    """
    values = read_toml(path)
    if "date" in values:
        values["date"] = str(values["date"])  # TOML's own dates, and quoted ones
    options = {"name": "", "version": "", "licence": ""}
    convert(options | values, Settings, str(path))
    return values


def settings_of(values: Mapping[str, Any]) -> Settings:
    """Make settings of plain values, as TOML or the command line gives them.

    Raises:
        SchemaError: A name is unknown, or a value of the wrong type; names the key.
        VlsbenchError: A value is missing, or not what it has to be.
    """
    given = dict(values)
    for name in ("name", "version", "licence"):
        if not given.get(name):
            raise VlsbenchError(
                f"a release needs a {name}: give --{name}, or {name} = … in --config"
            )
    given["date"] = given.get("date") or datetime.now(UTC).date().isoformat()
    given["split"] = split_of(given.get("split") or {"test": 1.0})
    if isinstance(given.get("content"), Content):
        given["content"] = asdict(given["content"])
    found = convert(given, Settings, "release")
    answers = asdict(found.content) if found.content else {}
    content = Content(**{name: text.strip() for name, text in answers.items()})
    settings = replace(
        found,
        licences={source: licence.strip() for source, licence in found.licences.items()},
        content=content if found.content else None,
    )
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    try:
        json.dumps(asdict(settings), ensure_ascii=False).encode()
    except UnicodeError:
        raise VlsbenchError("release: a text given is not UTF-8") from None
    if not _NAME.fullmatch(settings.name) or "--" in settings.name or ".." in settings.name:
        raise VlsbenchError(
            f"name {settings.name!r}: letters, digits and single . _ - inside, 96 at most, as the "
            "Hugging Face Hub has it"
        )
    version_of(settings.version)
    if not all(settings.licences.values()):
        raise VlsbenchError('release: licences is a table, [licences] with "SOURCE" = "LICENCE"')
    said = asdict(settings.content) if settings.content else {}
    if missing := [name for name, answer in said.items() if not answer]:
        raise VlsbenchError(missing_content(missing))
    try:
        date.fromisoformat(settings.date)
    except ValueError:
        raise VlsbenchError(f"date {settings.date!r}: expected one such as 2026-01-31") from None
    if settings.homepage and not re.fullmatch(r"https?://[^\s<>\"']+", settings.homepage):
        raise VlsbenchError(f"homepage {settings.homepage!r} is no web address")
    for language in settings.languages:
        if not _LANGUAGE.fullmatch(language):
            raise VlsbenchError(f"language {language!r}: expected a code such as en or pt-BR")


def version_of(text: str) -> tuple[int, int, int]:
    """Return a version's numbers. Raises `VlsbenchError` where it is not MAJOR.MINOR.PATCH."""
    found = _VERSION.fullmatch(text)
    if not found:
        raise VlsbenchError(f"version {text!r}: expected MAJOR.MINOR.PATCH, such as 1.0.0")
    major, minor, patch = (int(part) for part in found.groups())
    return major, minor, patch


def parse_pairs(option: str, text: str) -> tuple[str, str]:
    """Read `NAME=VALUE` of an option. Raises `VlsbenchError`."""
    name, equals, value = text.partition("=")
    if not equals or not value.strip():
        raise VlsbenchError(f"{option} {text!r} is not NAME=VALUE")
    return name.strip(), value.strip()


def split_of(given: object) -> dict[str, float]:
    """Return split → share, from a table or from `train=0.1,test=0.9`.

    Raises:
        VlsbenchError: A name is none of `SPLITS`, a share is no number above 0, or the shares do
            not add up to 1.
    """
    if isinstance(given, str):
        given = dict(parse_pairs("--split", part) for part in given.split(","))
    if not isinstance(given, Mapping) or not given:
        raise VlsbenchError(f"split {given!r}: expected train=0.1,test=0.9")
    shares = {}
    for name, value in given.items():
        if name not in SPLITS:
            raise VlsbenchError(f"split {name!r}: there are {', '.join(SPLITS)}")
        try:
            shares[str(name)] = float(value)
        except (TypeError, ValueError):
            raise VlsbenchError(f"split {name}={value!r}: expected a share, such as 0.1") from None
    if any(not 0 < share <= 1 for share in shares.values()) or not math.isclose(
        sum(shares.values()), 1.0, abs_tol=1e-6
    ):
        raise VlsbenchError(
            f"split {', '.join(f'{k}={v:g}' for k, v in shares.items())}: shares are above 0 and "
            "add up to 1"
        )
    return {name: shares[name] for name in SPLITS if name in shares}


def missing_content(missing: list[str]) -> str:
    """Return the one line that says which answers about the content are missing."""
    options = " ".join(f"--{name.replace('_', '-')} TEXT" for name in missing)
    return (
        f"the set holds harmful pairs, and nothing is said of its {', '.join(missing)}: give "
        f"{options}, or [content] in --config (docs/release.md says what each asks)"
    )
