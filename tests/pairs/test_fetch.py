"""Fetching, against a real HTTP server: pinned, checked, resumable, and clear when it fails."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Home, Rows, Source, fetch

from .homes import COMMIT, OTHER, Homes, archive, serving

FILES = {
    "data.json": b'[{"query": "May I put the toaster in?"}]',
    "imgs/a.png": b"\x89PNG\r\n\x1a\n" + bytes(400_000) + b"IEND",
    "README.md": b"not wanted",
}
PROGRAM = """
import json, sys
from pathlib import Path
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Home, Source, fetch

home, dest = json.loads(sys.argv[1])
source = Source("kitchen", lambda root, variant: iter(()), home=Home(**home))
try:
    print(fetch(source, dest=Path(dest)))
except VlsbenchError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def homes() -> Iterator[Homes]:
    with serving(Homes(dict(FILES))) as serving_homes:
        yield serving_homes


Done = subprocess.CompletedProcess[str]
FromHub = Callable[..., Done]


@pytest.fixture
def from_hub(homes: Homes, tmp_path: Path) -> FromHub:
    """Fetch in a fresh process: the Hub's client reads its endpoint when it is imported."""

    def run(token: str = "", **home: object) -> Done:
        home = {"hub": "kitchen/toasters", "files": ["data.json", "imgs/*"], **home}
        environment = homes.environment(tmp_path)
        if token:
            environment["HF_TOKEN"] = token
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps([home, str(tmp_path / "set")])],
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
        )

    return run


def pin(tmp_path: Path) -> dict[str, object]:
    content = json.loads((tmp_path / "set" / "vlsbench-source.json").read_text())
    assert isinstance(content, dict)
    return content


@pytest.mark.long
def test_the_first_fetch_pins_what_main_is(from_hub: FromHub, homes: Homes, tmp_path: Path) -> None:
    done = from_hub()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "set/imgs/a.png").read_bytes() == FILES["imgs/a.png"]
    assert not (tmp_path / "set/README.md").exists()
    written = pin(tmp_path)
    assert (written["repository"], written["revision"]) == ("kitchen/toasters", COMMIT)
    assert written["files"] == {
        name: hashlib.sha256(FILES[name]).hexdigest() for name in ("data.json", "imgs/a.png")
    }
    homes.commit = OTHER
    homes.requests.clear()
    assert from_hub().returncode == 0
    assert homes.requests == []
    assert pin(tmp_path)["revision"] == COMMIT


@pytest.mark.long
def test_a_changed_file_is_fetched_again(from_hub: FromHub, homes: Homes, tmp_path: Path) -> None:
    assert from_hub().returncode == 0
    (tmp_path / "set/data.json").unlink()
    done = from_hub()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "set/data.json").read_bytes() == FILES["data.json"]


@pytest.mark.long
def test_a_gated_set_says_how_to_get_in(from_hub: FromHub, homes: Homes, tmp_path: Path) -> None:
    homes.gated = True
    done = from_hub()
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "accept its terms at https://huggingface.co/datasets/kitchen/toasters" in line
    assert "HF_TOKEN" in line
    assert not (tmp_path / "set/vlsbench-source.json").exists()
    assert homes.tokens == set()
    assert from_hub(token="hf_toaster").returncode == 0
    assert homes.tokens == {"Bearer hf_toaster"}
    assert "hf_toaster" not in (tmp_path / "set/vlsbench-source.json").read_text()


def test_a_token_stored_on_the_machine_is_not_sent(
    from_hub: FromHub, homes: Homes, tmp_path: Path
) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("hf_stored")
    assert from_hub().returncode == 0
    assert homes.tokens == set()


@pytest.mark.long
def test_an_interrupted_fetch_is_no_set_and_goes_on(
    from_hub: FromHub, homes: Homes, tmp_path: Path
) -> None:
    homes.cut = True
    done = from_hub()
    assert done.returncode == 1
    assert "kitchen/toasters" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "set/vlsbench-source.json").exists()
    homes.cut = False
    done = from_hub()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "set/imgs/a.png").read_bytes() == FILES["imgs/a.png"]


def test_a_dead_hub_does_not_make_a_partial_folder_a_set(
    from_hub: FromHub, homes: Homes, tmp_path: Path
) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/data.json").write_bytes(FILES["data.json"])
    homes.url = "http://127.0.0.1:9"
    done = from_hub(revision=COMMIT)
    assert done.returncode == 1
    assert "fetch failed" in done.stderr
    assert not (tmp_path / "set/vlsbench-source.json").exists()


def test_a_half_dead_hub_does_not_either(from_hub: FromHub, homes: Homes, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/data.json").write_bytes(FILES["data.json"])
    homes.tree_down = True
    done = from_hub(revision=COMMIT)
    assert done.returncode == 1
    assert "imgs/a.png is incomplete; run the fetch again" in done.stderr
    assert not (tmp_path / "set/vlsbench-source.json").exists()


def test_the_command_prints_one_line(homes: Homes, tmp_path: Path) -> None:
    homes.gated = True
    homes.commit = "b56f6f6aad102fdb53f46e35fec96836bbe13001"
    homes.files["imgs.tar"] = b""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from vlsbench.cli import main; main()",
            "bench",
            "fetch",
            "vlsbench",
        ],
        capture_output=True,
        text=True,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("HF_")},
            "HF_ENDPOINT": homes.url,
            "HF_HOME": str(tmp_path / "hf"),
            "VLSBENCH_HOME": str(tmp_path),
        },
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "error: Foreshhh/vlsbench is not open to everyone" in done.stderr
    assert "Traceback" not in done.stderr


def source(**home: object) -> Source:
    def read(root: Path, variant: str) -> Rows:
        yield from ()

    fields: dict[str, object] = {"github": "kitchen/toasters", "files": ("data.json", "imgs/*")}
    return Source("kitchen", read, home=Home(**{**fields, **home}))  # type: ignore[arg-type]


@pytest.fixture
def github(homes: Homes, monkeypatch: pytest.MonkeyPatch) -> Homes:
    monkeypatch.setenv("VLSBENCH_GITHUB_URL", homes.url)
    return homes


def test_a_github_archive_is_fetched_once(github: Homes, tmp_path: Path) -> None:
    folder = fetch(source(commit=COMMIT), dest=tmp_path / "set")
    assert (folder / "imgs/a.png").read_bytes() == FILES["imgs/a.png"]
    assert not (folder / "README.md").exists()
    assert pin(tmp_path)["revision"] == COMMIT
    assert github.requests == [f"GET /kitchen/toasters/archive/{COMMIT}.tar.gz"]
    fetch(source(commit=COMMIT), dest=tmp_path / "set")
    assert len(github.requests) == 1
    (folder / "data.json").write_text("changed")
    fetch(source(commit=COMMIT), dest=tmp_path / "set")
    assert (folder / "data.json").read_bytes() == FILES["data.json"]


def test_github_without_a_commit_is_pinned_at_the_first_fetch(
    github: Homes, tmp_path: Path
) -> None:
    fetch(source(), dest=tmp_path / "set")
    assert pin(tmp_path)["revision"] == COMMIT
    (tmp_path / "set/data.json").unlink()
    fetch(source(), dest=tmp_path / "set")
    assert github.requests[-1].endswith(f"/{COMMIT}.tar.gz")


def test_another_commit_than_asked_for_is_refused(github: Homes, tmp_path: Path) -> None:
    github.commit = OTHER
    with pytest.raises(VlsbenchError, match=f"answered with commit {OTHER}"):
        fetch(source(commit=COMMIT), dest=tmp_path / "set")
    assert not (tmp_path / "set/vlsbench-source.json").exists()


def test_an_archive_cannot_write_outside_its_folder(github: Homes, tmp_path: Path) -> None:
    link = tarfile.TarInfo("kitchen/imgs/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hosts"
    github.archive = archive({**FILES, "imgs/../../evil.png": b"x"}, COMMIT, (link,))
    with pytest.raises(VlsbenchError, match="broken archive"):
        fetch(source(commit=COMMIT), dest=tmp_path / "set")
    assert not (tmp_path / "evil.png").exists()
    assert not (tmp_path / "set/imgs/link").is_symlink()
    assert not (tmp_path / "set/vlsbench-source.json").exists()


def test_links_in_an_archive_are_left_out(github: Homes, tmp_path: Path) -> None:
    link = tarfile.TarInfo("kitchen/imgs/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hosts"
    github.archive = archive(FILES, COMMIT, (link,))
    folder = fetch(source(commit=COMMIT), dest=tmp_path / "set")
    assert sorted(path.name for path in (folder / "imgs").iterdir()) == ["a.png"]


def test_an_archive_that_lacks_its_last_bytes_is_no_set(
    github: Homes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.archive, github.lacks = archive(FILES, COMMIT), 6
    with pytest.raises(VlsbenchError, match=r"6 bytes are missing.*again"):
        fetch(source(commit=COMMIT), dest=tmp_path / "set")
    assert not (tmp_path / "set/vlsbench-source.json").exists()


@pytest.mark.parametrize("kind", ["cut", "html", "half"])
def test_a_broken_archive_is_no_set(github: Homes, tmp_path: Path, kind: str) -> None:
    whole = archive({"imgs/a.png": os.urandom(50_000)}, COMMIT)
    github.cut = kind == "cut"
    github.archive = {"cut": whole, "html": b"<html>", "half": whole[: len(whole) // 2]}[kind]
    with pytest.raises(VlsbenchError, match="again"):
        fetch(source(commit=COMMIT), dest=tmp_path / "set")
    assert not (tmp_path / "set/vlsbench-source.json").exists()
    assert [path.name for path in (tmp_path / "set").glob("*.tar*")] == []


def test_zipped_images_are_unpacked_beside_their_zip(github: Homes, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("sub/a.png", b"inside")
        packed.writestr("../evil.png", b"kept inside")
    github.files["imgs/more.zip"] = buffer.getvalue()
    folder = fetch(source(commit=COMMIT), dest=tmp_path / "set")
    assert (folder / "imgs/sub/a.png").read_bytes() == b"inside"
    assert not (folder / "evil.png").exists()
    assert not (tmp_path / "evil.png").exists()


def test_a_home_without_the_files_or_without_a_server(
    github: Homes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.files = {"README.md": b""}
    with pytest.raises(VlsbenchError, match="holds none of its files"):
        fetch(source(commit=COMMIT), dest=tmp_path / "set")
    with pytest.raises(VlsbenchError, match="no public home"):
        fetch(source(github=""), dest=tmp_path / "set")
    monkeypatch.setenv("VLSBENCH_GITHUB_URL", "http://127.0.0.1:9")
    with pytest.raises(VlsbenchError, match="run it again"):
        fetch(source(commit=COMMIT), dest=tmp_path / "set")
