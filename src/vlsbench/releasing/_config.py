"""What a release is asked to say: from TOML and options to checked `Settings`."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.releasing._types import SPLITS, Content, Settings

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_LISTS = ("authors", "languages", "limits")
CONTENT_FIELDS = tuple(field.name for field in dataclasses.fields(Content))


def read_config(path: Path) -> dict[str, Any]:
    """Read a `release.toml`: fields of `Settings`, with tables `[content]` and `[licences]`.

    Raises:
        VlsbenchError: The file cannot be read, is no TOML, or holds unknown names.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        raise VlsbenchError(f"{path}: no readable TOML ({error})") from None
    _known(str(path), values)
    return values


def _known(where: str, values: Mapping[str, Any]) -> None:
    fields = [field.name for field in dataclasses.fields(Settings)]
    unknown = sorted(set(values) - set(fields))
    content = values.get("content")
    if isinstance(content, Mapping):
        unknown += [f"content.{name}" for name in sorted(set(content) - set(CONTENT_FIELDS))]
    if unknown:
        raise VlsbenchError(
            f"{where}: unknown {', '.join(unknown)}; there are {', '.join(fields)}, and in "
            f"[content] {', '.join(CONTENT_FIELDS)}"
        )


def settings_of(values: Mapping[str, Any]) -> Settings:
    """Make settings of plain values, as TOML or the command line gives them.

    Raises:
        VlsbenchError: A value is missing, of the wrong type, or not what it has to be.
    """
    _known("release", values)
    given = dict(values)
    for name in ("name", "version", "licence"):
        if not given.get(name):
            raise VlsbenchError(
                f"a release needs a {name}: give --{name}, or {name} = … in --config"
            )
    for name in _LISTS:
        if name in given:
            given[name] = tuple(_texts(name, given[name]))
    if isinstance(given.get("date"), date):
        given["date"] = given["date"].isoformat()
    given["date"] = given.get("date") or datetime.now(UTC).date().isoformat()
    given["split"] = split_of(given.get("split") or {"test": 1.0})
    given["licences"] = _licences(given.get("licences", {}))
    if isinstance(given.get("content"), Mapping):
        given["content"] = _content(given["content"])
    for name, value in given.items():
        if name not in (*_LISTS, "split", "licences", "content") and not isinstance(value, str):
            raise VlsbenchError(f"release: {name} is {value!r}, not text")
    settings = Settings(**given)
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    try:
        json.dumps(dataclasses.asdict(settings), ensure_ascii=False).encode()
    except UnicodeError:
        raise VlsbenchError("release: a text given is not UTF-8") from None
    if not _NAME.fullmatch(settings.name) or "--" in settings.name or ".." in settings.name:
        raise VlsbenchError(
            f"name {settings.name!r}: letters, digits and single . _ - inside, 96 at most, as the "
            "Hugging Face Hub has it"
        )
    version_of(settings.version)
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


def _texts(name: str, value: object) -> list[str]:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise VlsbenchError(f"release: {name} is {value!r}, not a list of texts")
    if not all(isinstance(item, str) for item in value):
        raise VlsbenchError(f"release: {name} holds what is no text")
    return list(value)


def _licences(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(
        isinstance(licence, str) and licence.strip() for licence in value.values()
    ):
        raise VlsbenchError('release: licences is a table, [licences] with "SOURCE" = "LICENCE"')
    return {str(source): str(licence).strip() for source, licence in value.items()}


def _content(value: Mapping[str, Any]) -> Content:
    answers = {
        name: str(value.get(name, "")).strip() if isinstance(value.get(name, ""), str) else ""
        for name in CONTENT_FIELDS
    }
    if missing := [name for name, answer in answers.items() if not answer]:
        raise VlsbenchError(missing_content(missing))
    return Content(**answers)


def missing_content(missing: list[str]) -> str:
    """Return the one line that says which answers about the content are missing."""
    options = " ".join(f"--{name.replace('_', '-')} TEXT" for name in missing)
    return (
        f"the set holds harmful pairs, and nothing is said of its {', '.join(missing)}: give "
        f"{options}, or [content] in --config (docs/release.md says what each asks)"
    )
