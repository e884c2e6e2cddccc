"""Fetching a benchmark from its home at one pinned state, and proof of what came.

The folder's `vlsbench-source.json` is written last: a folder without it was fetched only partly.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from vlsbench.errors import VlsbenchError
from vlsbench.files import cache_folder, file_sha256, output_folder, write_json
from vlsbench.pairs._source import Home
from vlsbench.schemas import SchemaError, read_json
from vlsbench.text import first_line

PIN = "vlsbench-source.json"
GITHUB_URL = "VLSBENCH_GITHUB_URL"
"""Environment variable: where GitHub is, for a mirror."""
TIMEOUT_S = 60
CHUNK_BYTES = 1 << 20


class Fetchable(Protocol):
    """What can be fetched: a benchmark, or a set to train on."""

    @property
    def name(self) -> str:
        """Of its folder in the cache."""

    @property
    def home(self) -> Home | None:
        """Where it is published."""


def home_folder(name: str) -> Path:
    """Return where the benchmark `name` is kept: in `$VLSBENCH_HOME`, or the user's cache."""
    return cache_folder() / "benchmarks" / name


@dataclass(frozen=True, slots=True)
class Pin:
    """What lies in a fetched folder: `vlsbench-source.json`."""

    name: str
    repository: str
    revision: str
    """Commit."""
    fetched: str
    """ISO 8601, UTC."""
    files: Mapping[str, str]
    """File → SHA-256, hex."""


def read_pin(folder: Path) -> Pin | None:
    """Return what a folder was fetched from, or None if no fetch into it was finished."""
    if not (folder / PIN).is_file():
        return None
    try:
        return read_json(folder / PIN, Pin)
    except SchemaError as error:
        raise VlsbenchError(f"{error}; delete it and fetch again") from None


def fetch(source: Fetchable, *, dest: Path | None = None) -> Path:
    """Bring a benchmark to this machine, once.

    Args:
        source: What to fetch; where its commit is not known, it is pinned to what its main branch
            is at the first fetch.
        dest: Folder to fill; by default its place in the cache, where `load` looks.

    Returns:
        The folder, for `load(..., data=folder)`.

    Raises:
        VlsbenchError: It cannot be reached, or asks for terms to be accepted. What was fetched so
            far is kept and taken up by the next try.
    """
    home = source.home
    if home is None or not (home.hub or home.github):
        raise VlsbenchError(
            f"{source.name} has no public home: point --data at a copy, unless it is made on demand"
        )
    folder = dest or home_folder(source.name)
    pin = read_pin(folder)
    wanted = home.revision or home.commit or (pin.revision if pin else "")
    if pin is not None and pin.revision == wanted:
        paths = {folder / name: digest for name, digest in pin.files.items()}
        if all(path.is_file() and file_sha256(path) == sha256 for path, sha256 in paths.items()):
            return folder
    output_folder(folder)
    (folder / PIN).unlink(missing_ok=True)
    bring = _from_hub if home.hub else _from_github
    commit, files = bring(home, wanted, folder)
    if not files:
        raise VlsbenchError(f"{source.name}: {home.hub or home.github} holds none of its files")
    digests = {name: file_sha256(folder / name) for name in sorted(files)}
    _unpack_zips(folder, files)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(Pin(source.name, home.hub or home.github, commit, now, digests), folder / PIN)
    return folder


def card_licence(home: Home, folder: Path) -> str:
    """Return the licence that the card of a data set of the Hub states; empty where it states none.

    Args:
        home: Of the Hub.
        folder: Where it lies if it was fetched; its card is read there, without the Hub.

    Raises:
        VlsbenchError: The Hub cannot be reached or does not know it.
    """
    pin, card = read_pin(folder), folder / "README.md"
    data: Any
    if pin is not None and home.revision in ("", pin.revision) and card.is_file():
        from huggingface_hub import DatasetCard

        data = DatasetCard(card.read_text(encoding="utf-8", errors="replace")).data
    else:
        from huggingface_hub import HfApi

        with _asking(home):
            revision = home.revision or "main"
            data = HfApi(token=_token()).dataset_info(home.hub, revision=revision).card_data
    stated = getattr(data, "license", None) or ""
    return stated if isinstance(stated, str) else ", ".join(map(str, stated))


def _token() -> str | bool:
    # False, not None: a token stored on the machine must not be sent without being asked for.
    return os.environ.get("HF_TOKEN") or False


@contextmanager
def _asking(home: Home) -> Iterator[None]:
    """Say in one line what went wrong with the Hub."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        yield
    except (GatedRepoError, RepositoryNotFoundError) as error:
        page = f"https://huggingface.co/datasets/{home.hub}"
        raise VlsbenchError(
            f"{home.hub} is not open to everyone (HTTP {error.response.status_code}): accept its "
            f"terms at {page}, then set HF_TOKEN and fetch again"
        ) from None
    except Exception as error:
        # The client raises what its HTTP library raises, which differs from version to version.
        first = first_line(error)
        raise VlsbenchError(
            f"{home.hub}: fetch failed ({type(error).__name__}: {first}); run it again to go on"
        ) from error


def _from_hub(home: Home, revision: str, folder: Path) -> tuple[str, set[str]]:
    """Fetch from the Hugging Face Hub; returns the commit and the names of the files."""
    from huggingface_hub import HfApi, snapshot_download

    with _asking(home):
        api = HfApi(token=_token())
        info = api.dataset_info(home.hub, revision=revision or "main", files_metadata=True)
        commit = str(info.sha)
        listed = {sibling.rfilename: sibling for sibling in info.siblings or ()}
        names = {name for name in listed if _matches(name, home.files)}
        snapshot_download(
            home.hub,
            repo_type="dataset",
            revision=commit,
            local_dir=folder,
            allow_patterns=list(home.files) or None,
            token=_token(),
        )
    # The client answers an unreachable server with whatever the folder already holds.
    for name in names:
        size = listed[name].size
        path = folder / name
        if not path.is_file() or (size is not None and path.stat().st_size != size):
            raise VlsbenchError(f"{home.hub}: {name} is incomplete; run the fetch again to go on")
    return commit, names


def _from_github(home: Home, revision: str, folder: Path) -> tuple[str, set[str]]:
    """Fetch a commit's archive from GitHub; returns the commit and the names of the files."""
    import urllib.request
    from http.client import HTTPException

    base = os.environ.get(GITHUB_URL) or "https://github.com"
    url = f"{base.rstrip('/')}/{home.github}/archive/{revision or 'HEAD'}.tar.gz"
    try:
        with (
            urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer,
            tarfile.open(fileobj=answer, mode="r|gz") as tar,
        ):
            names = _extract(tar, home.files, folder)
            # Git writes the commit into the archive's header.
            commit = tar.pax_headers.get("comment", revision)
            while answer.read(CHUNK_BYTES):  # an archive ends before its checksum
                pass
            if missing := getattr(answer, "length", 0):
                raise EOFError(f"{missing:,} bytes are missing")
    except (OSError, ValueError, EOFError, HTTPException, tarfile.TarError) as error:
        raise VlsbenchError(
            f"{url}: fetch failed or broken archive ({first_line(error)}); run it again"
        ) from None
    if revision and commit != revision:
        raise VlsbenchError(f"{url}: answered with commit {commit}, not {revision}")
    return commit, names


def _matches(name: str, patterns: Sequence[str]) -> bool:
    # As the Hub's client matches `allow_patterns`: a star crosses slashes.
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _extract(tar: tarfile.TarFile, patterns: Sequence[str], folder: Path) -> set[str]:
    """Write the regular files that match, without the archive's top folder; none may escape."""
    names = set()
    for member in tar:
        name = "/".join(PurePosixPath(member.name).parts[1:])
        content = tar.extractfile(member) if member.isreg() and _matches(name, patterns) else None
        if content is None:
            continue
        # Extraction filters came with Python 3.11.4.
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise tarfile.TarError(f"{name} lies outside")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            shutil.copyfileobj(content, file, CHUNK_BYTES)
        names.add(name)
    return names


def _unpack_zips(folder: Path, files: Iterable[str]) -> None:
    """Unpack images that a home keeps zipped, beside the zip."""
    for name in files:
        if name.lower().endswith(".zip"):
            try:
                with zipfile.ZipFile(folder / name) as archive:
                    archive.extractall((folder / name).parent)
            except zipfile.BadZipFile as error:
                raise VlsbenchError(f"{folder / name}: {error}; fetch again") from None
